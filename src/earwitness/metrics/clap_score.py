"""CLAP score: how near a caption is to the clip's sound, or to its references, in a joint embedding space."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from earwitness.metrics.clap import ClapEmbedder
from earwitness.metrics.corpus import Score, mean_score
from earwitness.metrics.meteor.data import MissingData
from earwitness.metrics.neural import mean_cosines
from earwitness.metrics.sounds import Sound, as_sound


def clap_score(candidates: Sequence[str], sounds: Sequence[Sound], embedder: ClapEmbedder) -> Score:
    """Per clip the cosine of its sound and its candidate."""
    return mean_score(np.einsum("nd,nd->n", embedder.sounds(sounds), embedder.texts(candidates)))


def sounds_of_clips(audio: Sequence[Sound | str] | None, clips: int) -> list[Sound]:
    """A sound for every clip: files, or Sounds for stretches of them.

    Raises:
        MissingData: no audio was given.
        ValueError: the number of sounds is not that of clips.
    """
    if audio is None:
        raise MissingData("clap_score needs the sounds: pass audio= with a file for every clip")
    if len(audio) != clips:
        raise ValueError(f"{clips} clips but {len(audio)} sound files")
    return [as_sound(sound) for sound in audio]


def clap_score_text(
    candidates: Sequence[str], references: Sequence[Sequence[str]], embedder: ClapEmbedder
) -> Score:
    """Per clip the mean over references of the cosine with the candidate."""
    return mean_cosines(candidates, references, embedder.texts)
