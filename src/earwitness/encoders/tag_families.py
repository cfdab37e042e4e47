"""Which AudioSet classes name the same source: "Dog", "Bark" and "Growling" are one source of sound."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from importlib import resources

from earwitness.encoders.audioset import audioset_classes

GENERIC, NO_SOURCE = "generic", "no source"


@lru_cache(maxsize=1)
def _families() -> dict[str, str]:
    """Class name -> family."""
    names = audioset_classes()
    families: dict[str, str] = {}
    for line in (
        resources.files("earwitness.encoders").joinpath("tag_families.txt").read_text("utf-8").splitlines()
    ):
        family, _, numbers = line.partition(": ")
        if line and not line.startswith("#"):
            families |= {names[number]: family for number in _numbers(numbers)}
    return families


def _numbers(text: str) -> Iterator[int]:
    for part in text.split():
        first, _, last = part.partition("-")
        yield from range(int(first), int(last or first) + 1)


def family(tag: str) -> str:
    """The family of an AudioSet class; a class in none, or any other tag, is a family of its own.

    "generic" are classes of which others are kinds (Animal, Vehicle), "no source" those that name a place or
    a property of a recording (Inside, Noise).
    """
    return _families().get(tag, tag)


def source(tag: str) -> str | None:
    """The family of a tag, None where that is none of one source."""
    own = family(tag)
    return None if own in (GENERIC, NO_SOURCE) else own
