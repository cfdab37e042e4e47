"""Errors of presets and recipes: every fault with its place and the nearest valid key."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from typing import Any, get_args

from pydantic import ValidationError

from earwitness.config.section import Section


class ConfigError(ValueError):
    """An invalid preset, recipe or override; the message lists every fault with its place."""


def validated(schema: type[Any], data: Any, where: str) -> Any:
    """Validate data; raise ConfigError with one line per fault: place, fault, the nearest valid key."""
    try:
        return schema.model_validate(data)
    except ValidationError as error:
        unknown_first = sorted(error.errors(), key=lambda e: e["type"] != "extra_forbidden")
        raise ConfigError(f"{where}:\n" + "\n".join(_fault(e, schema) for e in unknown_first)) from None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return the end of a message that suggests the nearest known word, or nothing."""
    near = difflib.get_close_matches(word, known, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def _keys(section: type[Section]) -> Iterator[str]:
    """Yield the keys of a section and of its subclasses."""
    yield from section.model_fields
    for one in section.__subclasses__():
        yield from _keys(one)


def _siblings(schema: Any, place: tuple[int | str, ...]) -> list[str]:
    """The keys of the section that holds `place`, a fault's; none where its class is unknown."""
    possible: list[type[Section]] = [schema]
    for step in place[:-1]:
        if isinstance(step, int):
            continue
        inside = [s.model_fields[step].annotation for s in possible if step in s.model_fields]
        if inside:
            possible = [section for annotation in inside for section in _sections(annotation)]
        else:  # the kind of one of several
            possible = [s for s in possible if "kind" in s.model_fields and step in _kinds(s)]
    return [key for section in possible for key in section.model_fields]


def _sections(annotation: Any) -> Iterator[type[Section]]:
    """The classes of sections that an annotation is made of."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        yield annotation
    for part in get_args(annotation):
        yield from _sections(part)


def _kinds(section: type[Section]) -> tuple[Any, ...]:
    return get_args(section.model_fields["kind"].annotation)


def _fault(error: Any, schema: type[Any]) -> str:
    place = ".".join(str(p) for p in error["loc"])
    if error["type"] == "extra_forbidden":
        key = str(error["loc"][-1])
        near = did_you_mean(key, _siblings(schema, error["loc"])) or did_you_mean(key, set(_keys(Section)))
        return f"  {place}: unknown key{near}"
    scalar = error["type"] != "missing" and not isinstance(error["input"], (dict, list))
    message = error["msg"].removeprefix("Value error, ")
    return f"  {place}: {message}" + (f" (got {error['input']!r})" if scalar else "")
