"""SpecAugment (Park et al. 2019): stretches of time and of frequency are hidden in training."""

from __future__ import annotations

import numpy as np
from torch import Tensor

BAND_SHARE = 3 / 16  # of a spectrogram's bands: 12 of 64


def spec_augment(
    mel: Tensor, seed: int, masks: int = 2, frames: int = 40, bands: int | None = None
) -> Tensor:
    """[B, bands, T] with `masks` stretches of time and as many of frequency set to the clip's mean.

    frames, bands: the stretches are shorter than these (bands: default 3/16 of them all).
    """
    rng = np.random.default_rng(seed)
    out = mel.clone()
    widest = bands or int(mel.shape[1] * BAND_SHARE)
    for i in range(len(out)):
        mean = mel[i].mean()
        for _ in range(masks):
            at, width = int(rng.integers(mel.shape[2])), int(rng.integers(frames))
            out[i, :, at : at + width] = mean
        for _ in range(masks):
            at, width = int(rng.integers(mel.shape[1])), int(rng.integers(widest))
            out[i, at : at + width] = mean
    return out
