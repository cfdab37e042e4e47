"""Embeddings of sounds and captions in one space (CLAP), for clap_score and MACE."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from earwitness.metrics.corpus import Floats
from earwitness.metrics.neural import batches, load_or_explain
from earwitness.metrics.sounds import Sound

CLIP_BATCH = 8


class ClapEmbedder(Protocol):
    """Whatever embeds sounds and texts in one space; `name` goes into the signature of a report."""

    name: str

    def sounds(self, sounds: Sequence[Sound]) -> Floats:
        """N sounds -> unit vectors [N, D]. Raises MediaError for a sound that cannot be read."""
        ...

    def texts(self, texts: Sequence[str]) -> Floats:
        """N texts -> unit vectors [N, D]."""
        ...


class TransformersClap:
    """A CLAP model in the layout of transformers, such as laion/clap-htsat-unfused.

    Of a sound longer than the model takes, the middle counts. Raises MissingData where it cannot be loaded.
    """

    def __init__(self, name: str, device: str = "cpu") -> None:
        self.name, self.device = name, device
        network, self._processor = load_or_explain("clap_score", name, lambda: _load(name))
        self._network = network.to(device).eval()

    def sounds(self, sounds: Sequence[Sound]) -> Floats:
        import torch

        extractor = self._processor.feature_extractor
        rate, longest = extractor.sampling_rate, extractor.nb_max_samples
        parts: list[Floats] = []
        with torch.inference_mode():
            for start in range(0, len(sounds), CLIP_BATCH):
                waves = [
                    _middle(sound.waveform(rate), longest) for sound in sounds[start : start + CLIP_BATCH]
                ]
                inputs = extractor(waves, sampling_rate=rate, return_tensors="pt").to(self.device)
                parts.append(_unit(self._network.get_audio_features(**inputs)))
        return np.concatenate(parts)

    def texts(self, texts: Sequence[str]) -> Floats:
        import torch

        parts: list[Floats] = []
        with torch.inference_mode():
            for batch in batches(texts):
                inputs = self._processor.tokenizer(batch, padding=True, truncation=True, return_tensors="pt")
                parts.append(_unit(self._network.get_text_features(**inputs.to(self.device))))
        return np.concatenate(parts)


def _middle(wave: NDArray[np.float32], longest: int) -> NDArray[np.float32]:
    """As much as the model takes, from the middle: the processor would cut at random."""
    first = max(0, len(wave) - longest) // 2
    return wave[first : first + longest]


def _unit(output: Any) -> Floats:
    """Embeddings, from whatever the installed release of transformers wraps them in, at unit length."""
    import torch

    vectors = getattr(output, "pooler_output", output)
    return torch.nn.functional.normalize(vectors.double(), dim=-1).cpu().numpy()


def _load(name: str) -> tuple[Any, Any]:
    from transformers import ClapModel, ClapProcessor

    return ClapModel.from_pretrained(name), ClapProcessor.from_pretrained(name)
