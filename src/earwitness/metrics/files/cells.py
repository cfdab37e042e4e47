"""The captions in one cell: a text, a list of texts, or a list that somebody wrote as text."""

from __future__ import annotations

import ast
import io
import json
import math
import re
import tokenize
from collections.abc import Mapping
from typing import Any

_INNER = ("caption", "captions", "text", "raw", "sentence")  # where an object of a list keeps its text
_QUOTED = re.compile(r"""(\[|\(|array\(\s*\[)\s*["']""")


def captions_in(value: Any) -> list[str]:
    """The captions of a cell, [] for a missing value.

    Raises:
        ValueError: the cell holds something else; the message says what.
    """
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return []
    if isinstance(value, str):
        found = _list_in_text(value)
        return [value] if found is None else found
    if isinstance(value, Mapping):
        inner = [name for name in _INNER if name in value]
        if not inner:
            raise ValueError(f"an object without a caption: {value!r:.60}")
        return captions_in(value[inner[0]])
    if isinstance(value, (list, tuple)):
        if bad := [each for each in value if not isinstance(each, (str, Mapping))]:
            raise ValueError(f"a list with {bad[0]!r:.60}, which is not a text")
        return [text for each in value for text in ([each] if isinstance(each, str) else captions_in(each))]
    raise ValueError(f"{value!r:.60}, not a text or a list of texts")


def _list_in_text(text: str) -> list[str] | None:
    """The texts of a list in JSON or in Python's notation; None for a text that is no list."""
    stripped = text.strip()
    if not stripped or stripped[0] not in "[(a" or stripped[-1] not in "])":
        return None
    quoted = _QUOTED.match(stripped) is not None
    if stripped[0] != "[" and not quoted:
        return None
    try:
        value = _parsed(stripped)
    except (ValueError, SyntaxError, RecursionError, MemoryError, tokenize.TokenError) as error:
        if quoted:
            raise ValueError(
                f"{text!r:.60}, which looks like a list but is none ({str(error).splitlines()[0]:.80}); "
                "write it as JSON"
            ) from None
        return None
    if isinstance(value, str):  # a caption in brackets and quotes
        return None
    if not isinstance(value, (list, tuple)) or not all(isinstance(each, str) for each in value):
        raise ValueError(f"{text!r:.60}, which is a list, but not of texts")
    return list(value)


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        value = ast.literal_eval(text)
    # Python joins texts that no comma separates, as NumPy prints them: two captions would become one.
    written = sum(t.type == tokenize.STRING for t in tokenize.generate_tokens(io.StringIO(text).readline))
    if isinstance(value, (list, tuple)) and written > len(value):
        raise ValueError("no commas between its texts")
    return value
