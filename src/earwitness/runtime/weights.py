"""The header of a safetensors file: what is stored where. No tensor is read."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import NamedTuple


class StoredTensor(NamedTuple):
    kind: str  # "F16", "F32" ...
    shape: tuple[int, ...]
    begin: int  # offsets in the file
    end: int


def stored_tensors(weights: Path) -> dict[str, StoredTensor]:
    """The tensors of a safetensors file by name. Raises ValueError if it is none."""
    header = _header(weights)
    try:
        entries = json.loads(header)
        entries.pop("__metadata__", None)
        first = 8 + len(header)
        return {
            name: StoredTensor(
                e["dtype"], tuple(e["shape"]), *(first + offset for offset in e["data_offsets"])
            )
            for name, e in entries.items()
        }
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ValueError(f"{weights} is no safetensors file") from None


def layout(weights: Path) -> str:
    """A digest of what is stored where: graphs that refer into the file fit any other of the same layout."""
    places = sorted(stored_tensors(weights).items())
    return hashlib.sha256(repr(places).encode()).hexdigest()


def _header(weights: Path) -> bytes:
    with weights.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        if size > weights.stat().st_size:
            raise ValueError(f"{weights} is no safetensors file")
        return file.read(size)
