"""CLAP score: cosine of a clip's sound and its caption in a joint embedding space."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from earwitness.metrics.corpus import Corpus, Score, mean_score
from earwitness.metrics.meteor.data import MissingData
from earwitness.metrics.neural import load_or_explain
from earwitness.metrics.sounds import Sound, as_sound

CLIP_BATCH = 8


def clap_score(corpus: Corpus, audio: Sequence[Sound | str] | None, model: str, device: str = "cpu") -> Score:
    """Per clip the cosine of sound and candidate; of a sound longer than the model hears, its middle counts.

    Args:
        corpus: captions; the candidates' raw text is used.
        audio: a sound a clip (a file, or a Sound for a stretch of one), in the candidates' order.
        model: hub name or folder of a CLAP model.

    Raises:
        MissingData: no audio was given, or the model cannot be loaded.
        ValueError: the number of files is not that of clips.
    """
    if audio is None:
        raise MissingData("clap_score needs the sounds: pass audio= with a file for every clip")
    if len(audio) != len(corpus):
        raise ValueError(f"{len(corpus)} clips but {len(audio)} sound files")
    import torch

    network, processor = load_or_explain("clap_score", model, lambda: _load(model))
    network = network.to(device).eval()
    rate, longest = processor.feature_extractor.sampling_rate, processor.feature_extractor.nb_max_samples
    values: list[float] = []
    with torch.inference_mode():
        for start in range(0, len(corpus), CLIP_BATCH):
            waves = [
                _middle(as_sound(sound).waveform(rate), longest)
                for sound in audio[start : start + CLIP_BATCH]
            ]
            sounds = processor.feature_extractor(waves, sampling_rate=rate, return_tensors="pt").to(device)
            texts = corpus.candidates[start : start + CLIP_BATCH]
            words = processor.tokenizer(texts, padding=True, truncation=True, return_tensors="pt").to(device)
            pair = (
                _vectors(network.get_audio_features(**sounds)),
                _vectors(network.get_text_features(**words)),
            )
            values.extend(torch.nn.functional.cosine_similarity(*pair).double().cpu().tolist())
    return mean_score(values)


def _middle(wave: NDArray[np.float32], longest: int) -> NDArray[np.float32]:
    """As much as the model hears, from the middle: the processor would cut at random."""
    first = max(0, len(wave) - longest) // 2
    return wave[first : first + longest]


def _vectors(output: Any) -> Any:
    """The embeddings, from whatever the installed release of transformers wraps them in."""
    return getattr(output, "pooler_output", output)


def _load(model: str) -> tuple[Any, Any]:
    from transformers import ClapModel, ClapProcessor

    return ClapModel.from_pretrained(model), ClapProcessor.from_pretrained(model)
