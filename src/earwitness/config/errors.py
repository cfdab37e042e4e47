"""Errors of presets and recipes: every fault with its place and the nearest right key."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from typing import Any

from pydantic import ValidationError

from earwitness.config.section import Section


class ConfigError(ValueError):
    """A preset, recipe or override that cannot be; the message lists every fault with its place."""


def validated(schema: type[Any], data: Any, where: str) -> Any:
    """schema.model_validate with one line per fault: place, what is wrong, the nearest right key."""
    try:
        return schema.model_validate(data)
    except ValidationError as error:
        raise ConfigError(f"{where}:\n" + "\n".join(_fault(e) for e in error.errors())) from None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The nearest known word as the end of a message, or nothing."""
    near = difflib.get_close_matches(word, known, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def _keys(section: type[Section]) -> Iterator[str]:
    """Of a section and of all that are made from it."""
    yield from section.model_fields
    for one in section.__subclasses__():
        yield from _keys(one)


def _fault(error: Any) -> str:
    place = ".".join(str(p) for p in error["loc"])
    if error["type"] == "extra_forbidden":
        return f"  {place}: unknown key" + did_you_mean(str(error["loc"][-1]), set(_keys(Section)))
    scalar = error["type"] != "missing" and not isinstance(error["input"], (dict, list))
    message = error["msg"].removeprefix("Value error, ")
    return f"  {place}: {message}" + (f" (got {error['input']!r})" if scalar else "")
