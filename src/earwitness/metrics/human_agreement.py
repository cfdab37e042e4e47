"""How often a metric prefers the caption that people prefer, on the judged pairs of FENSE (Zhou et al. 2022).

The pairs are public: audiocaps_eval.json and clotho_eval.json, in the folder dataset of the repository
https://github.com/blmoistawinde/fense. Each clip has its references and up to eight pairs, judged by four
people: HC two human captions of the clip, HI one of the clip and one of another, HM a human's and a system's,
MM two systems'. As in the paper a human caption is no reference of its own pair, pairs on which the votes are
even do not count, and a pair that a metric scores equally is not agreed on.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from earwitness.metrics.evaluation import score

KINDS = ("HC", "HI", "HM", "MM")
REFERENCES = 4  # of a pair with a human caption, however many the clip has


class JudgedPair(NamedTuple):
    """Two captions of a clip with the references of each; votes above 0 prefer the first."""

    kind: str
    captions: tuple[str, str]
    references: tuple[list[str], list[str]]
    votes: int


class Agreement(NamedTuple):
    """Share of pairs on which a metric agrees with people, and how many pairs counted; by kind and in all."""

    shares: dict[str, float]
    pairs: dict[str, int]


def read_pairs(path: str | os.PathLike[str]) -> list[JudgedPair]:
    """The judged pairs of a file of FENSE.

    Raises:
        ValueError: the file is not one of FENSE's; says where it differs.
        OSError: there is no such file.
    """
    file = Path(path)
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{file} is not valid JSON: {error}") from None
    if not isinstance(data, list) or not data:
        raise ValueError(f"{file} is no list of judged clips, as FENSE's dataset folder has them")
    pairs = []
    for number, clip in enumerate(data, 1):
        try:
            pairs += _pairs(clip)
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise ValueError(f"{file}, clip {number} is no judged clip of FENSE: {error!r}") from None
    return pairs


def _pairs(clip: dict[str, Any]) -> list[JudgedPair]:
    references = list(clip["references"])
    found = []
    for name, entry in clip.items():
        kind = name.partition("_")[0]
        if kind not in KINDS:
            continue
        first, second, *_, votes = entry
        excluded = {"HC": (first, second), "HI": (first, first), "HM": (first, first), "MM": (None, None)}[
            kind
        ]
        own, other = ([text for text in references if text != gone] for gone in excluded)
        if kind != "MM":
            own, other = _four(own), _four(other)
        found.append(JudgedPair(kind, (first, second), (own, other), sum(votes)))
    return found


def _four(references: list[str]) -> list[str]:
    """As the authors do, a clip with fewer references repeats its first ones."""
    if not references:
        raise ValueError("no reference is left")
    return [references[number % len(references)] for number in range(max(REFERENCES, len(references)))]


def human_agreement(
    pairs: Sequence[JudgedPair], metrics: str | Iterable[str] = "default", **settings: Any
) -> tuple[dict[str, Agreement], dict[str, str]]:
    """The agreement of every metric with values by clip, and the metrics that are missing, with the reason.

    All first captions are scored as one corpus, all second ones as another.

    Raises:
        ValueError: no pair, or an unknown metric.
    """
    first, second = (
        score(
            [pair.captions[n] for pair in pairs], [pair.references[n] for pair in pairs], metrics, **settings
        )
        for n in (0, 1)
    )
    found = {}
    for name in first.clips:
        gains = [a - b for a, b in zip(first.clips[name], second.clips[name], strict=True)]
        found[name] = _agreement(pairs, gains)
    return found, first.missing


def _agreement(pairs: Sequence[JudgedPair], gains: Sequence[float]) -> Agreement:
    agreed: dict[str, list[bool]] = {kind: [] for kind in (*KINDS, "all")}
    for pair, gain in zip(pairs, gains, strict=True):
        if pair.votes:
            for kind in (pair.kind, "all"):
                agreed[kind].append(gain * pair.votes > 0)
    counted = {kind: rows for kind, rows in agreed.items() if rows}
    return Agreement(
        {kind: sum(rows) / len(rows) for kind, rows in counted.items()},
        {kind: len(rows) for kind, rows in counted.items()},
    )


def agreement_table(found: dict[str, Agreement]) -> str:
    """A Markdown table, a row a metric, in per cent."""
    kinds = [kind for kind in (*KINDS, "all") if any(kind in row.shares for row in found.values())]
    lines = ["| metric | " + " | ".join(kinds) + " |", "|---|" + "---:|" * len(kinds)]
    for name, row in found.items():
        cells = [f"{100 * row.shares[kind]:.1f}" if kind in row.shares else "" for kind in kinds]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    if found:
        counts = next(iter(found.values())).pairs
        lines.append("| pairs | " + " | ".join(str(counts.get(kind, 0)) for kind in kinds) + " |")
    return "\n".join(lines) + "\n"
