"""METEOR's alignment of a candidate with a reference: which words match, found by a beam search."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

BEAM = 40


class Match(NamedTuple):
    """Words `start:start + length` of the reference match words `i:i + width` of the candidate."""

    start: int
    length: int
    i: int
    width: int
    module: int  # 0 exact, 1 stem, 2 synonym, 3 paraphrase


class _Path(NamedTuple):
    gain: int  # minus the sum of both sides' counters, so that sorting puts the best first
    chunks: int  # counted when they close
    distance: int
    end: int  # candidate word after the last match, -1 if the chunk is closed
    used: int  # candidate words in use, as bits
    taken: int  # reference words in use, as bits
    matches: tuple[object, ...]  # linked list (match, rest)


def align(options: Sequence[Sequence[Match]], width: int) -> tuple[list[Match], int]:
    """The chosen matches in the reference's order, and the number of chunks they make.

    Args:
        options: the possible matches that start at each word of the reference, in order of preference.
        width: number of words in the candidate.
    """
    fixed, used, taken = _definite(options, width)
    paths = [_Path(0, 0, 0, -1, used, taken, ())]
    for start, starting in enumerate(options):
        settled = fixed.get(start)
        if settled is not None:
            paths = [_take(path, settled, abs(start - settled.i)) for path in paths]
        elif not starting:
            paths = [_skip(path, start) for path in paths]
        else:
            paths = [branch for path in paths for branch in _branches(path, start, starting)]
        if len(paths) > 1:
            paths.sort(key=_order)
            del paths[BEAM:]
    best = min((_skip(path, len(options)) for path in paths), key=_order)
    chosen: list[Match] = []
    rest = best.matches
    while rest:
        match, rest = rest  # type: ignore[assignment, misc]
        chosen.append(match)  # type: ignore[arg-type]
    return chosen[::-1], best.chunks


def _order(path: _Path) -> tuple[int, ...]:
    return path[:3]


def _definite(options: Sequence[Sequence[Match]], width: int) -> tuple[dict[int, Match], int, int]:
    """Matches that compete with no other, and the words that they use on both sides."""
    words, others = [0] * len(options), [0] * width
    for starting in options:
        for match in starting:
            for place in range(match.start, match.start + match.length):
                words[place] += 1
            for place in range(match.i, match.i + match.width):
                others[place] += 1
    fixed: dict[int, Match] = {}
    used = taken = 0
    for starting in options:
        if len(starting) != 1:
            continue
        match = starting[0]
        alone = all(words[place] == 1 for place in range(match.start, match.start + match.length)) and all(
            others[place] == 1 for place in range(match.i, match.i + match.width)
        )
        if alone:
            fixed[match.start] = match
            used |= _bits(match.i, match.width)
            taken |= _bits(match.start, match.length)
    return fixed, used, taken


def _bits(start: int, length: int) -> int:
    return ((1 << length) - 1) << start


def _skip(path: _Path, start: int) -> _Path:
    """Leave a word of the reference unmatched, which closes the open chunk."""
    if path.end < 0 or path.taken >> start & 1:
        return path
    return path._replace(chunks=path.chunks + 1, end=-1)


def _take(path: _Path, match: Match, distance: int) -> _Path:
    """The path with one more match; `distance` is added to it."""
    # The counters are whole numbers: a single word of weight one half adds nothing.
    counted = match.length + match.width if match.module == 0 else match.length // 2 + match.width // 2
    return _Path(
        path.gain - counted,
        path.chunks + (0 <= path.end != match.i),
        path.distance + distance,
        match.i + match.width,
        path.used | _bits(match.i, match.width),
        path.taken | _bits(match.start, match.length),
        (match, path.matches),
    )


def _branches(path: _Path, start: int, starting: Sequence[Match]) -> list[_Path]:
    """All ways to go on from a path at a word: every free match in turn, then leaving the word out."""
    if path.taken >> start & 1:
        return [path]
    grown: list[_Path] = []
    for match in starting:
        if path.used & _bits(match.i, match.width) or path.taken & _bits(match.start, match.length):
            continue
        grown.append(_take(path, match, 0))
        # The original adds the distance to the path it came from, so later options inherit it.
        path = path._replace(distance=path.distance + abs(start - match.i))
    grown.append(_skip(path, start))
    return grown
