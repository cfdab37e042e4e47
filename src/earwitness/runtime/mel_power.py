"""Power in mel bands of overlapping windows, by products of small matrices.

A discrete Fourier transform of R C samples x[C r + c] falls into two smaller ones (Cooley and Tukey 1965):
over r, then over c with the factors between them. Products of matrices compute both, and the bands, for a
block of windows at a time. That takes half the time of numpy's transform, which computes one window after
another.
"""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import as_strided

from earwitness.runtime.protocol import Array

ROWS, COLUMNS = 16, 32  # R and C
SIZE = ROWS * COLUMNS  # samples of a window
HOP = 160  # samples from one window to the next, a multiple of COLUMNS
# Windows at once, and groups of bands: each product has fewer than 2^18 multiplications, which OpenBLAS
# leaves to one thread. Sharing one so small takes longer, a hundred times as long on a busy machine.
BLOCK, GROUPS = 28, 4


class MelPower:
    """float32 waveform [S] -> power in bands [bands, 1 + max(S, 257) // 160].

    Windows are centred on every 160th sample; the ends are mirrored.
    """

    def __init__(self, window: Array, filters: Array) -> None:
        """window: [512]. filters: the share of each frequency's power in each band, [257, bands].

        bands: a multiple of GROUPS.
        """
        p, r, c = np.arange(ROWS // 2 + 1), np.arange(ROWS), np.arange(COLUMNS)
        frequency = p[:, None] + ROWS * c  # [P, C]; p above R / 2 follow, for the samples are real
        over_rows = np.exp(-2j * np.pi / ROWS * np.outer(p, r))
        over_columns = np.exp(-2j * np.pi / SIZE * c[:, None] * frequency[:, None])  # [P, C, C]
        self._rows = np.concatenate([over_rows.real, over_rows.imag]).astype(np.float32)  # [2 P, R]
        self._of_real = np.concatenate([over_columns.real, over_columns.imag], 2).astype(np.float32)
        self._of_imaginary = np.concatenate([-over_columns.imag, over_columns.real], 2).astype(np.float32)
        self._window = window.reshape(ROWS, 1, COLUMNS)
        half = SIZE // 2
        twice = (frequency > half) & (frequency % (ROWS // 2) == 0)  # the mirror image of one in the table
        own = filters[np.where(frequency > half, SIZE - frequency, frequency)] * ~twice[..., None]
        bands = own.reshape(frequency.size, GROUPS, -1).transpose(1, 0, 2)
        self._filters = np.ascontiguousarray(bands, np.float32)  # [G, P C, bands / G]

    def __call__(self, waveform: Array) -> Array:
        waveform = np.pad(waveform, (0, max(0, SIZE // 2 + 1 - len(waveform))))  # no fewer can be mirrored
        count = 1 + len(waveform) // HOP
        padded = np.pad(waveform, SIZE // 2, mode="reflect")
        rows = np.ascontiguousarray(padded[: len(padded) // COLUMNS * COLUMNS]).reshape(-1, COLUMNS)
        bands = np.empty((GROUPS, count, self._filters.shape[2]), np.float32)
        for first in range(0, count, BLOCK):
            block = bands[:, first : first + BLOCK]
            power = self._power(rows[first * HOP // COLUMNS :], block.shape[1])
            np.matmul(power, self._filters, out=block)
        return bands.transpose(0, 2, 1).reshape(-1, count)

    def _power(self, rows: Array, count: int) -> Array:
        """Power [count, P C] of the windows that begin at every fifth of the rows [., C]."""
        down, along = rows.strides
        windows = as_strided(
            rows, (ROWS, count, COLUMNS), (down, down * HOP // COLUMNS, along), writeable=False
        )
        samples = (windows * self._window).reshape(ROWS, -1)
        real, imaginary = (self._rows @ samples).reshape(2, -1, count, COLUMNS)  # each [P, count, C]
        spectrum = real @ self._of_real
        spectrum += imaginary @ self._of_imaginary  # [P, count, 2 C]
        np.square(spectrum, out=spectrum)
        power = np.empty((count, len(spectrum), COLUMNS), np.float32)
        np.add(spectrum[..., :COLUMNS], spectrum[..., COLUMNS:], out=power.transpose(1, 0, 2))
        return power.reshape(count, -1)
