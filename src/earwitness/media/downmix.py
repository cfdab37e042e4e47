"""Channels to one: their mean, or the loudest channel where the channels cancel each other in the mean."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

CANCELLED = 0.1  # of the loudest channel's energy: a mean that holds less has lost the sound
KEPT = 2.0  # the decision changes only where it is clear by this factor, so that it does not flutter
FADE = 512  # samples over which one mix gives way to another

Array = NDArray[np.float32]


class Downmix:
    """A stream of blocks [channels, n] -> [n]. Each block (about a second) is mixed by its own energies.

    Energies are those of the deviation from each channel's mean: a constant offset is no sound.
    """

    def __init__(self) -> None:
        self.shares: Array | None = None  # [channels], of the block before

    def __call__(self, samples: Array) -> Array:
        if len(samples) == 1:
            return samples[0]
        if self.shares is not None and len(self.shares) != len(samples):
            self.shares = None  # the layout changes inside the stream
        before, self.shares = self.shares, self._chosen(samples)
        mono: Array = self.shares @ samples  # BLAS: fast in either memory order
        if before is not None and not np.array_equal(before, self.shares):
            head = samples[:, :FADE]
            ramp = np.linspace(0, 1, head.shape[1], dtype=np.float32)
            mono[: len(ramp)] = (1 - ramp) * (before @ head) + ramp * mono[: len(ramp)]
        return mono

    def _chosen(self, samples: Array) -> Array:
        """Each channel's share in the mix."""
        count = len(samples)
        mean = np.full(count, 1 / count, np.float32)
        powers, of_mean = np.var(samples, axis=1), np.var(mean @ samples)
        loudest = int(powers.argmax())
        alone = None if self.shares is None or self.shares.max() < 1 else int(self.shares.argmax())
        if powers[loudest] == 0:
            return mean if self.shares is None else self.shares
        if of_mean >= CANCELLED * powers[loudest] * (1 if alone is None else KEPT):
            return mean
        if alone is not None and KEPT * powers[alone] >= powers[loudest]:
            loudest = alone
        return np.eye(count, dtype=np.float32)[loudest]
