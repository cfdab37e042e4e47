"""The text of a file: UTF-8, or UTF-16 with its byte order mark."""

from __future__ import annotations

import codecs
from pathlib import Path

MARKS = {codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}


def read_text(path: Path) -> str:
    """Decode a file.

    Raises:
        ValueError: the file is in another encoding; the message says how to save it again.
        OSError: the file cannot be read.
    """
    data = path.read_bytes()
    encoding = MARKS.get(data[:2], "utf-8-sig")
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path} is not UTF-8 text ({error.reason} at byte {error.start}); "
            "in a spreadsheet, save it as 'CSV UTF-8'"
        ) from None
    if "\0" in text[:1000]:
        raise ValueError(
            f"{path} is not UTF-8 text (it holds null characters); in a spreadsheet, save it as 'CSV UTF-8'"
        )
    return text
