"""Where a model computes, and how precisely."""

from __future__ import annotations

import torch


def resolve_device(device: str) -> str:
    """ "auto": the GPU if there is one."""
    return device if device != "auto" else "cuda" if torch.cuda.is_available() else "cpu"


def torch_dtype(dtype: str | torch.dtype, device: torch.device) -> torch.dtype:
    """A dtype or its name; "auto": bfloat16 on a GPU, float32 elsewhere. Raises ValueError for another."""
    if dtype == "auto":
        return torch.bfloat16 if device.type == "cuda" else torch.float32
    found = getattr(torch, dtype, None) if isinstance(dtype, str) else dtype
    if not isinstance(found, torch.dtype) or not found.is_floating_point:
        raise ValueError(f"unknown dtype {dtype!r}: choose auto, float32, bfloat16 or float16")
    return found
