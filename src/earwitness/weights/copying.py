"""Copy weights into a module completely, or raise an error that names every mismatch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from earwitness.weights.errors import CheckpointError

_SHOWN = 8  # mismatches named; a checkpoint of another model has hundreds


def copy_weights(
    found: Mapping[str, Tensor],
    wanted: Mapping[str, Tensor],
    source: str | Path,
    *,
    needed: Iterable[str] | None = None,
) -> None:
    """Writes the tensors `found` into those `wanted` of the same names, in place.

    needed: the names that must be found; default all that are wanted. source: where they are from, for the
    message. Raises CheckpointError for tensors that are missing, unexpected or of another shape.
    """
    faults = [f"missing {name}" for name in (wanted if needed is None else needed) if name not in found]
    faults += [f"unexpected {name}" for name in found if name not in wanted]
    faults += [
        f"{name} is {list(found[name].shape)} instead of {list(tensor.shape)}"
        for name, tensor in wanted.items()
        if name in found and found[name].shape != tensor.shape
    ]
    if faults:
        more = f"; and {len(faults) - _SHOWN} more" if len(faults) > _SHOWN else ""
        raise CheckpointError(f"{source} does not fit: {'; '.join(faults[:_SHOWN])}{more}")
    with torch.no_grad():
        for name, tensor in found.items():
            wanted[name].copy_(tensor)
