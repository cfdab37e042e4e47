"""Memory settings that make training on CPUs up to half as fast again."""

from __future__ import annotations

import ctypes
import sys

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4


def keep_freed_memory() -> None:
    """Tells glibc to keep freed blocks instead of returning them to the kernel; elsewhere it does nothing.

    Each step allocates the same hundreds of megabytes again; without this every page is faulted in anew
    (43 -> 69 clips/s of the convolutional encoder with the same settings
    given through the environment, one run on two busy cores, 2026-11-21).
    """
    if sys.platform != "linux":
        return
    try:
        libc = ctypes.CDLL("libc.so.6")
    except OSError:
        return
    libc.mallopt(_M_MMAP_MAX, 0)
    libc.mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
