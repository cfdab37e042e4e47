"""Level and offset of clips: how a recording was made, not what it contains."""

from __future__ import annotations

import torch
from torch import Tensor

from earwitness.embeds import length_mask

LEVEL_PEAK, LEVEL_FLOOR = 0.7, 1e-5  # of full scale


def without_offset(waveforms: Tensor, lengths: Tensor) -> Tensor:
    """Waveforms [B, S] minus each clip's mean over its `lengths` [B] real samples; padding stays 0.

    A constant offset (a cheap converter's) is no sound, but spectra leak it into their lowest bands.
    """
    real = length_mask(lengths.to(waveforms.device), waveforms.shape[-1])
    waveforms = waveforms.float()
    means = (waveforms * real).sum(1, keepdim=True) / real.sum(1, keepdim=True).clamp(min=1)
    return (waveforms - means) * real


def levelled(waveforms: Tensor, lengths: Tensor) -> Tensor:
    """Waveforms [B, S] scaled so that each clip's `lengths` [B] real samples peak at LEVEL_PEAK.

    How loud a recording was made is not what it contains. A clip fainter than LEVEL_FLOOR is left as it is.
    """
    real = length_mask(lengths.to(waveforms.device), waveforms.shape[-1])
    peaks = (waveforms.float() * real).abs().amax(1, keepdim=True)
    return waveforms * torch.where(peaks > LEVEL_FLOOR, LEVEL_PEAK / peaks, 1.0)
