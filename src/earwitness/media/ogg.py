"""Chained Ogg files: recordings one after the other, each with headers of its own, as radio streams are.

FFmpeg follows a chain while codec, rate and channels stay as they are and stops where they change. Here each
link of the chain is a file of its own. Pages: RFC 3533, section 6.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from earwitness.media.byte_range import ByteRange

MARK = b"OggS"
HEAD = 27  # bytes of a page before the lengths of its segments
LONGEST_PAGE = HEAD + 255 + 255 * 255  # bytes
SEARCHED = 1 << 16  # bytes at once for the next page behind damage
BEGINS = 2  # flag of the first page of a stream


class Page(NamedTuple):
    at: int  # byte in the file
    begins: bool  # whether it is the first page of its stream
    serial: bytes  # of its stream, unlike any other in the file


def links(file: BinaryIO) -> list[ByteRange]:
    """The links of a chained Ogg file, in order; none for any other file. `file` stays where it stands.

    A file that does not seek is read as FFmpeg reads it.
    """
    try:
        before = file.tell()
    except (OSError, AttributeError):
        return []
    try:
        file.seek(0)
        if file.read(len(MARK)) != MARK or not _ends_in_another_stream(file):
            return []
        begins, in_headers = [], False
        for page in _pages(file):
            if page.begins and not in_headers:
                begins.append(page.at)
            in_headers = page.begins
        return [ByteRange(file, *each) for each in zip(begins, [*begins[1:], file.seek(0, os.SEEK_END)])]
    finally:
        file.seek(before)


def _ends_in_another_stream(file: BinaryIO) -> bool:
    """Whether the last page belongs to none of the streams that begin together at the file's beginning."""
    first = set()
    for page in _pages(file):
        if not page.begins:
            break
        first.add(page.serial)
    end = file.seek(0, os.SEEK_END)
    file.seek(max(0, end - LONGEST_PAGE))
    tail = file.read()
    last = tail[tail.rfind(MARK) :]
    return len(last) >= HEAD and last[14:18] not in first


def _pages(file: BinaryIO) -> Iterator[Page]:
    """All pages, those behind damage included."""
    at = 0
    while True:
        file.seek(at)
        head = file.read(HEAD)
        if len(head) < HEAD:
            return
        if not head.startswith(MARK):
            if (at := _next_mark(file, at + 1)) < 0:
                return
            continue
        yield Page(at, bool(head[5] & BEGINS), head[14:18])
        at += HEAD + head[26] + sum(file.read(head[26]))


def _next_mark(file: BinaryIO, at: int) -> int:
    """Where the next page begins, from byte `at` on; -1 if there is none."""
    while True:
        file.seek(at)
        part = file.read(SEARCHED)
        if (found := part.find(MARK)) >= 0:
            return at + found
        if len(part) < SEARCHED:
            return -1
        at += SEARCHED - len(MARK) + 1
