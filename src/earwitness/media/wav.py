"""WAV files whose header disagrees with what follows it."""

from __future__ import annotations

import io
import os
from typing import Any, BinaryIO

from earwitness.media.byte_range import ByteRange

UNKNOWN_SIZE = 0x7FFFF000  # bytes from which on a header was written before the length was known
MAX_CHUNKS = 64  # before the sound
MAX_HEAD = 1 << 22  # bytes before the sound: pictures in tags


def riff_shortfall(source: Any) -> int:
    """Bytes that a WAV file lacks against its own header: FFmpeg believes the file's size instead."""
    try:
        if isinstance(source, bytes | bytearray | memoryview):
            head, size = bytes(source[:12]), len(source)
        elif isinstance(source, str | os.PathLike):
            with open(source, "rb") as file:
                head, size = file.read(12), os.path.getsize(source)
        else:
            return 0
    except OSError:
        return 0
    declared = int.from_bytes(head[4:8], "little") + 8
    if not _is_wav(head) or declared >= UNKNOWN_SIZE:
        return 0
    return max(0, declared - size)


def with_pad_bytes(file: BinaryIO) -> io.RawIOBase | None:
    """The file with the pad bytes that some writers leave out after chunks of odd size; None if none lacks.

    RIFF chunks begin at even offsets. A reader that takes the pad byte for granted finds the next chunk's
    identifier one byte too late and gives up.
    """
    file.seek(0)
    head = file.read(12)
    if not _is_wav(head):
        return None
    missing = False
    for _ in range(MAX_CHUNKS):
        chunk = file.read(8)
        size = int.from_bytes(chunk[4:8], "little")
        if len(chunk) < 8 or not _is_identifier(chunk[:4]) or len(head) + size > MAX_HEAD:
            return None
        head += chunk
        if chunk[:4] == b"data":
            if not missing:
                return None
            sound = file.tell()
            return ByteRange(file, sound, file.seek(0, os.SEEK_END), head)
        head += file.read(size)
        if size % 2:
            following = file.read(5)
            padded = not _is_identifier(following[:4]) or following[1:] == b"data"
            missing |= not padded
            head += b"\0"
            file.seek(int(padded) - len(following), os.SEEK_CUR)
    return None


def _is_wav(head: bytes) -> bool:
    return head[:4] == b"RIFF" and head[8:12] == b"WAVE"


def _is_identifier(name: bytes) -> bool:
    return len(name) == 4 and all(32 <= byte < 127 for byte in name)
