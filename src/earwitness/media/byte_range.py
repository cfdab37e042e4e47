"""A part of a file, with other bytes in front of it, as a file of its own."""

from __future__ import annotations

import io
import os
from typing import BinaryIO


class ByteRange(io.RawIOBase):
    """`head`, then the bytes `begin` to `end` of a file that seeks. Closing it leaves the file open."""

    def __init__(self, file: BinaryIO, begin: int, end: int, head: bytes = b"") -> None:
        self.file, self.begin, self.head = file, begin, head
        self.size = len(head) + end - begin
        self.at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self.at, os.SEEK_END: self.size}[whence]
        self.at = max(0, base + offset)
        return self.at

    def read(self, size: int = -1) -> bytes:
        left = max(0, self.size - self.at)
        wanted = left if size < 0 else min(size, left)
        part = self.head[self.at : self.at + wanted]
        if len(part) < wanted:
            self.file.seek(self.begin + self.at + len(part) - len(self.head))
            part += self.file.read(wanted - len(part))
        self.at += len(part)
        return part
