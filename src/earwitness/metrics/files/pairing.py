"""Which candidates belong to which references: rows of two files, matched by id."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import NamedTuple

from earwitness.media.files import AUDIO_SUFFIXES, VIDEO_SUFFIXES
from earwitness.metrics.files.captions import CaptionFile

Groups = dict[str, list[int]]  # key -> rows


def _same(name: str) -> str:
    return name


def _without_folder(name: str) -> str:
    return re.split(r"[/\\]", name)[-1]


def _without_ending(name: str) -> str:
    suffix = PurePosixPath(name).suffix
    return name.removesuffix(suffix) if suffix.lower() in AUDIO_SUFFIXES | VIDEO_SUFFIXES else name


def _stem(name: str) -> str:
    return _without_ending(_without_folder(name))


# How ids are compared, and what is said when it is not letter by letter.
COMPARISONS: dict[str, Callable[[str], str]] = {
    "": _same,
    "without endings such as .wav": _without_ending,
    "without folders": _without_folder,
    "without folders and endings": _stem,
}


class Pairing(NamedTuple):
    """Clips of two files: id, candidates, references; how many there could be; what is worth saying."""

    ids: list[str]
    candidates: list[list[str]]
    references: list[list[str]]
    total: int
    notes: list[str]


@dataclass(frozen=True)
class Match:
    """Rows of two files under common keys; problem: why they must not be scored like this.

    comparison: a key of COMPARISONS. by_start: the keys hold the starts of rows.
    """

    columns: tuple[str, str]
    comparison: str
    own: Groups
    other: Groups
    by_start: bool = False
    problem: str = ""

    @property
    def common(self) -> list[str]:
        return [key for key in self.own if key in self.other]

    @property
    def complete(self) -> bool:
        return self.own.keys() == self.other.keys()

    def rows(self) -> set[tuple[tuple[int, ...], tuple[int, ...]]]:
        return {(tuple(self.own[key]), tuple(self.other[key])) for key in self.common}


def pair(own: CaptionFile, other: CaptionFile, *, partial: bool = False) -> Pairing:
    """Match candidates and references.

    partial: clips that only one file has are left out instead of being an error.

    Raises:
        ValueError: ids that do not match, match in two ways, or hold several windows of one recording.
    """
    if not own.ids or not other.ids:  # one file in both roles, without ids
        rows = {str(row + 1): [row] for row in range(len(own.texts))}
        match = Match(("row", "row"), "", rows, rows)
    else:
        match = _chosen(own, other)
    if match.problem:
        raise ValueError(match.problem)
    notes = [f"ids are compared {match.comparison}"] if match.comparison else []
    keys = [key for key in match.common if any(other.texts[row] for row in match.other[key])]
    notes += _left_out(own, other, match, keys, partial)
    if not keys:
        raise ValueError(f"no clip of {own.path} has references in {other.path}")
    return Pairing(
        [_label(own, match, key) for key in keys],
        [list(dict.fromkeys(text for row in match.own[key] for text in own.texts[row])) for key in keys],
        [[text for row in match.other[key] for text in other.texts[row]] for key in keys],
        len(match.other),
        notes,
    )


def _left_out(
    own: CaptionFile, other: CaptionFile, match: Match, keys: Sequence[str], partial: bool
) -> list[str]:
    """What --partial leaves out, in words. Raises ValueError with the same words where nothing may be."""
    alone = [key for key in match.own if key not in match.other]
    unanswered = [key for key in match.other if key not in match.own]
    scored = set(keys)
    empty = [key for key in match.common if key not in scored]
    lost = [
        (f"candidates have no reference in {other.path}", alone),
        (f"clips of {other.path} have no candidate in {own.path}", unanswered),
        (f"clips of {other.path} have only empty references", empty),
    ]
    found = [lacks(f"{len(names)} {problem}", names) for problem, names in lost if names]
    if found and not partial:
        remedy = f"; --partial scores the {len(keys)} clips that have both" if keys else ""
        raise ValueError(found[0] + remedy)
    return found


def _label(own: CaptionFile, match: Match, key: str) -> str:
    """Return the id as the candidates have it, with the start time where clips share an id."""
    row = match.own[key][0]
    name = own.ids[match.columns[0]][row] if match.columns[0] in own.ids else key
    return f"{name}@{own.starts[row]}" if match.by_start and own.starts else name


def _chosen(own: CaptionFile, other: CaptionFile) -> Match:
    """The match that covers both files; where there is none, the one that covers most."""
    found: list[Match] = []
    for tier in _tiers(own, other):
        matches = [match for match in tier if match is not None]
        if complete := [match for match in matches if match.complete]:
            return _agreed(complete)
        found += matches
    most = max((len(match.common) for match in found), default=0)
    if not most:
        (a, mine), (b, theirs) = next(iter(own.ids.items())), next(iter(other.ids.items()))
        raise ValueError(
            f"no id of {own.path} ({a}, such as {mine[0]!r}) is in {other.path} ({b}, such as "
            f"{theirs[0]!r}); --id-column names another column"
        )
    return _agreed([match for match in found if len(match.common) == most])


def _tiers(own: CaptionFile, other: CaptionFile) -> Iterator[list[Match | None]]:
    """Ways to match, the plainest first: columns of one name, any columns, any columns with shorter ids."""
    pairs = [(a, b) for a in own.ids for b in other.ids]
    yield [_match(own, other, a, b, "") for a, b in pairs if a == b]
    yield [_match(own, other, a, b, "") for a, b in pairs if a != b]
    for comparison in list(COMPARISONS)[1:]:
        yield [_match(own, other, a, b, comparison) for a, b in pairs]


def _match(own: CaptionFile, other: CaptionFile, a: str, b: str, comparison: str) -> Match | None:
    """Group the rows of both files; None where the comparison would make one clip of two."""
    mine, theirs = own.ids[a], other.ids[b]
    shorter = COMPARISONS[comparison]
    keys = [[shorter(name) for name in names] for names in (mine, theirs)]
    for names, short in zip((mine, theirs), keys, strict=True):
        if len(set(short)) < len(set(names)):
            return None
    problem, by_start = "", False
    if (cut := _several_starts(own, keys[0])) or _several_starts(other, keys[1]):
        if own.starts is not None and other.starts is not None:
            by_start = True
            for short, file in zip(keys, (own, other), strict=True):
                short[:] = [f"{key}@{start}" for key, start in zip(short, file.starts or (), strict=True)]
        elif cut:
            problem = _windows(own, keys[0])
        else:
            name = _several_starts(other, keys[1])
            problem = (
                f"{other.path} has several segments of {name!r}, which differ in their start; "
                f"{own.path} needs a column start as well"
            )
    groups: tuple[Groups, Groups] = ({}, {})
    for short, group in zip(keys, groups, strict=True):
        for row, key in enumerate(short):
            group.setdefault(key, []).append(row)
    return Match((a, b), comparison, *groups, by_start, problem)


def _several_starts(file: CaptionFile, keys: Sequence[str]) -> str:
    """The first id whose rows begin at different times, "" if there is none."""
    first: dict[str, str] = {}
    for key, start in zip(keys, file.starts or (), strict=False):
        if first.setdefault(key, start) != start:
            return key
    return ""


def _windows(own: CaptionFile, keys: Sequence[str]) -> str:
    name = _several_starts(own, keys)
    count = sum(key == name for key in keys)
    return (
        f"{own.path} has {count} windows of one file, {name!r}: a score needs one caption for each clip; "
        "caption the files without --timeline, or give the references a column start"
    )


def _agreed(matches: Sequence[Match]) -> Match:
    """The first of matches that pair the same rows. Raises ValueError if they do not."""
    first = matches[0]
    for match in matches[1:]:
        if match.rows() != first.rows():
            one, two = (" with ".join(dict.fromkeys(m.columns)) for m in (first, match))
            raise ValueError(
                f"the files match by {one} and, differently, by {two}: name the right one with --id-column"
            )
    return first


def lacks(problem: str, ids: Sequence[str]) -> str:
    """A problem with the first ids that have it."""
    shown = ", ".join(repr(i) for i in ids[:5])
    return f"{problem}: {shown}{' ...' if len(ids) > 5 else ''}"
