"""Embedders: text and audio as unit vectors in one space, where cosine says how well they match."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from earwitness.atomic_write import atomic_write

if TYPE_CHECKING:
    from numpy.typing import NDArray

DEFAULT_CLAP = "laion/clap-htsat-unfused"


class Embedder(Protocol):
    """The interface that datastore and re-ranking need; any joint model of text and audio can implement it.

    name: says which model it is; a datastore records it and is searched with the same one only.
    """

    name: str

    def embed_text(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """N texts -> unit vectors [N, D]."""
        ...

    def embed_audio(self, waveforms: Sequence[NDArray[np.float32]], sample_rate: int) -> NDArray[np.float32]:
        """N mono waveforms of any length -> unit vectors [N, D]."""
        ...


class ClapEmbedder:
    """CLAP (Wu et al. 2023) through transformers, by hub name or local folder; loaded when first used.

    CLAP takes 10 s. Its own preprocessing crops a longer clip at random; here a longer clip is split into
    windows of 10 s, whose vectors are averaged, weighted by length.
    """

    def __init__(
        self, name_or_path: str | Path = DEFAULT_CLAP, *, device: str = "cpu", batch_size: int = 16
    ) -> None:
        self.name = str(name_or_path)
        self.device = device
        self.batch_size = batch_size
        self._loaded: tuple[Any, Any, Any] | None = None

    def embed_text(self, texts: Sequence[str]) -> NDArray[np.float32]:
        model, tokenizer, _ = self._load()
        import torch

        vectors = []
        for start in range(0, len(texts), self.batch_size):
            batch = list(texts[start : start + self.batch_size])
            limit = model.config.text_config.max_position_embeddings - 2  # RoBERTa's positions start at 2
            inputs = tokenizer(batch, padding=True, truncation=True, max_length=limit, return_tensors="pt")
            with torch.inference_mode():
                output = model.get_text_features(
                    input_ids=inputs["input_ids"].to(self.device),
                    attention_mask=inputs["attention_mask"].to(self.device),
                )
            vectors.append(_pooled(output))
        return _stack(vectors, model.config.projection_dim)

    def embed_audio(self, waveforms: Sequence[NDArray[np.float32]], sample_rate: int) -> NDArray[np.float32]:
        """Raises ValueError for a waveform that is not one-dimensional, is empty, or holds nan."""
        extractor = self._load()[2]
        size = extractor.nb_max_samples
        windows: list[NDArray[np.float32]] = []
        owners: list[int] = []
        for i, waveform in enumerate(waveforms):
            waveform = _resampled(_checked(waveform, i), sample_rate, extractor.sampling_rate)
            cut = [waveform[start : start + size] for start in range(0, len(waveform), size)]
            windows += cut
            owners += [i] * len(cut)
        vectors = self._embed_windows(windows)
        sums = np.zeros((len(waveforms), vectors.shape[1]), dtype=np.float32)
        np.add.at(sums, owners, vectors * np.array([len(w) for w in windows], dtype=np.float32)[:, None])
        return unit(sums)

    def _embed_windows(self, windows: list[NDArray[np.float32]]) -> NDArray[np.float32]:
        import torch

        model, _, extractor = self._load()
        vectors = []
        for start in range(0, len(windows), self.batch_size):
            inputs = extractor(
                windows[start : start + self.batch_size],
                sampling_rate=extractor.sampling_rate,
                return_tensors="pt",
            )
            # No window is longer than CLAP's 10 s. The flag must be given: unset, a fusion model picks a
            # clip of the batch at random and treats it as a longer one.
            longer = torch.zeros(len(inputs["input_features"]), 1, dtype=torch.bool, device=self.device)
            with torch.inference_mode():
                features = inputs["input_features"].to(self.device, model.dtype)
                vectors.append(_pooled(model.get_audio_features(features, is_longer=longer)))
        return _stack(vectors, model.config.projection_dim)

    def _load(self) -> tuple[Any, Any, Any]:
        if self._loaded is None:
            from transformers import AutoFeatureExtractor, AutoTokenizer, ClapModel

            try:
                model: Any = ClapModel.from_pretrained(self.name)
                tokenizer = AutoTokenizer.from_pretrained(self.name)
                extractor = AutoFeatureExtractor.from_pretrained(self.name)
            except OSError as error:
                raise OSError(
                    f"cannot load CLAP from {self.name!r}: give the path of a folder that holds the model, "
                    f"its tokenizer and preprocessor_config.json, or download it once with "
                    f"`hf download {DEFAULT_CLAP}` ({error})"
                ) from error
            self._loaded = model.to(self.device).eval(), tokenizer, extractor
        return self._loaded


def embed_text(
    embedder: Embedder, texts: Sequence[str], dtype: str, kept: Path | None = None
) -> NDArray[np.floating]:
    """Unit vectors of texts, [N, D] of `dtype`; in the folder `kept` they are kept for the next time."""
    key = [embedder.name, dtype, *texts]
    return kept_vectors(kept, key, lambda: unit(embedder.embed_text(texts)).astype(dtype))


def kept_vectors(
    folder: Path | None, key: Sequence[str], compute: Callable[[], NDArray[np.floating]]
) -> NDArray[np.floating]:
    """What `compute` gave when it was called with this key and folder before; else what it gives now."""
    if folder is None:
        return compute()
    file = folder / f"{hashlib.sha256(json.dumps(key).encode()).hexdigest()[:32]}.npy"
    if not file.is_file():
        with atomic_write(file) as out:
            np.save(out, compute())
    return np.load(file, allow_pickle=False)


def unit(vectors: NDArray[Any]) -> NDArray[np.float32]:
    """Rows [N, D] scaled to length 1. Raises ValueError, naming the first, for rows of zeros, inf or nan."""
    vectors = np.asarray(vectors, dtype=np.float32)
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    bad = np.flatnonzero(~np.isfinite(norms[:, 0]) | (norms[:, 0] == 0))
    if len(bad):
        raise ValueError(
            f"{len(bad)} vectors have no direction (zeros, inf or nan); the first is row {bad[0]}"
        )
    return vectors / norms


def _pooled(output: Any) -> NDArray[np.float32]:
    """Older releases of transformers give the vectors themselves, newer ones an output that holds them."""
    vectors = getattr(output, "pooler_output", output)
    return unit(vectors.float().cpu().numpy())


def _stack(vectors: list[NDArray[np.float32]], dim: int) -> NDArray[np.float32]:
    return np.concatenate(vectors) if vectors else np.zeros((0, dim), dtype=np.float32)


def _checked(waveform: NDArray[np.float32], i: int) -> NDArray[np.float32]:
    waveform = np.asarray(waveform, dtype=np.float32)
    if waveform.ndim != 1 or not len(waveform):
        raise ValueError(f"waveform {i} must be mono samples [S], S > 0, not {waveform.shape}")
    if not np.isfinite(waveform).all():
        raise ValueError(f"waveform {i} holds nan or infinite samples")
    return waveform


def _resampled(waveform: NDArray[np.float32], rate: int, target: int) -> NDArray[np.float32]:
    if rate == target:
        return waveform
    import soxr

    return soxr.resample(waveform, rate, target).astype(np.float32)
