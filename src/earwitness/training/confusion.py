"""Confusion: audio tokens as uncertain as those of new recordings, in training what reads them."""

from __future__ import annotations

import torch

from earwitness.embeds import Embeds


def confused(h_a: Embeds, most: float) -> Embeds:
    """Shift each clip away from one clip of the batch and towards another. Ours.

    An encoder is more certain of training recordings than of new ones, and a language model that reads it
    in training learns to trust it. So the mean of one other clip is taken from all tokens of a clip and
    that of another added, both times s / sqrt(2), s drawn from 0 to `most`: with s = 1 the shift has the
    spread that the means of clips have. Such errors have the directions in which clips differ, as the
    encoder's errors do; isotropic noise averages out.
    """
    means = h_a.mean()  # [B, D]
    clips, device = len(means), means.device
    scale = most / 2**0.5 * torch.rand(clips, 1, device=device, dtype=means.dtype)
    shift = scale * (
        means[torch.randperm(clips, device=device)] - means[torch.randperm(clips, device=device)]
    )
    return Embeds(h_a.values + shift[:, None], h_a.mask)
