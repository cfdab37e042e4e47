"""Where a model computes, how precisely, and what becomes of the memory it frees."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import torch

T = TypeVar("T")

_M_TRIM_THRESHOLD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -4, -8  # glibc's mallopt


def resolve_device(device: str) -> str:
    """ "auto": the GPU if there is one that torch can use, else "cpu"."""
    if device != "auto":
        return device
    if find_spec("torch") is None or not gpu_driver_present():
        return "cpu"
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def gpu_driver_present() -> bool:
    """Whether the driver of a GPU is there, found out in milliseconds: importing torch takes seconds."""
    if Path("/dev/kfd").exists():  # AMD's
        return True
    try:
        cuda = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return False
    count = ctypes.c_int()
    return cuda.cuInit(0) == 0 and cuda.cuDeviceGetCount(ctypes.byref(count)) == 0 and count.value > 0


def torch_dtype(dtype: str | torch.dtype, device: torch.device) -> torch.dtype:
    """A dtype or its name; "auto": bfloat16 on a GPU, float32 elsewhere. Raises ValueError for another."""
    import torch

    if dtype == "auto":
        return torch.bfloat16 if device.type == "cuda" else torch.float32
    found = getattr(torch, dtype, None) if isinstance(dtype, str) else dtype
    if not isinstance(found, torch.dtype) or not found.is_floating_point:
        raise ValueError(f"unknown dtype {dtype!r}: choose auto, float32, bfloat16 or float16")
    return found


def run_in_temporary_thread(make: Callable[[], T]) -> T:
    """Return make(), called in a thread that ends afterwards.

    OpenMP keeps a team of threads for each thread that ever computed. Once they outnumber the cores they
    sleep after every operation: a model would take a third longer in any thread but the one that loaded it
    (docs/LOG.md).
    """
    with ThreadPoolExecutor(1, thread_name_prefix="earwitness") as thread:
        return thread.submit(make).result()


def keep_freed_memory() -> None:
    """Make glibc keep freed blocks instead of returning them to the kernel; elsewhere it does nothing.

    For processes that only run models: each batch allocates the same hundreds of megabytes again, and without
    this every page is faulted in anew. All threads share one heap, so that memory freed by one is available
    to the others (times and megabytes: docs/LOG.md).
    """
    if sys.platform != "linux":
        return
    try:
        libc = ctypes.CDLL("libc.so.6")
    except OSError:
        return
    libc.mallopt(_M_MMAP_MAX, 0)
    libc.mallopt(_M_ARENA_MAX, 1)
    libc.mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
