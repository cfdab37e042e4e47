"""Sound that comes as numbers: arrays and tensors, with or without a rate."""

from __future__ import annotations

from typing import Any

import numpy as np

from earwitness.media.containers import MAX_CHANNELS, MediaError, check_rate
from earwitness.media.source import media_of, name_of, track_of


def array_and_rate(source: Any, assumed_rate: int) -> tuple[np.ndarray, int]:
    """An array, tensor or (array, rate) pair -> ([channels, S], Hz); MediaError for what is not sound."""
    if track_of(source) not in (None, 1):
        raise MediaError(name_of(source), f"has one audio track; there is no track {track_of(source)}")
    source = media_of(source)
    array, rate = source if isinstance(source, tuple) else (source, assumed_rate)
    if hasattr(array, "detach"):  # torch, which need not be imported to be recognised
        array = array.detach().cpu()
        array = (array.float() if array.is_floating_point() else array).numpy()
    array = np.asarray(array)
    if array.ndim not in (1, 2) or array.dtype.kind not in "fiu":
        reason = f"arrays of sound are [S] or [channels, S] numbers, not {array.shape} of {array.dtype}"
        raise MediaError("<array>", reason)
    array = np.atleast_2d(array)
    if not 1 <= len(array) <= MAX_CHANNELS:
        reason = f"has {len(array)} channels, not 1 to {MAX_CHANNELS}; arrays are [channels, S]: transpose?"
        raise MediaError("<array>", reason)
    if not isinstance(rate, int | float | np.integer | np.floating) or rate % 1 != 0:  # NaN neither
        raise MediaError("<array>", f"its sample rate is {rate!r}, not a whole number of Hz")
    check_rate("<array>", int(rate))
    return array, int(rate)
