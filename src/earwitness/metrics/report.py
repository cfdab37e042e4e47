"""The result of an evaluation: a table, per-clip scores, what was measured how, and the ways to write it
down."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from earwitness.atomic_write import atomic_write_text
from earwitness.metrics.corpus import Corpus, Pooled
from earwitness.version import __version__

# Metrics on the scale 0 to 1 are usually printed times 100; these are not.
COUNTS = frozenset(("vocabulary", "diversity.length"))
POOLED = frozenset(("bleu_1", "bleu_2", "bleu_3", "bleu_4", "meteor"))  # no means over clips
LOWER_IS_BETTER = frozenset(("fer", "diversity.self_similarity"))


@dataclass
class Report:
    """Scores of one system.

    corpus: value of every metric. clips: its values per clip, in the order of ids. signature: how it was
        measured.
    missing: requested metrics that could not be computed, and why. pooled: how the corpus values
        that are no means come about. notes: what a reader of the numbers should know, such as captions that
        were left out. comments: texts by clip, such as the reasons of a judge.
    """

    corpus: dict[str, float]
    clips: dict[str, list[float]]
    signature: str
    ids: list[str] = field(default_factory=list)
    candidates: list[str] = field(default_factory=list)
    references: list[list[str]] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)
    pooled: dict[str, Pooled] = field(default_factory=dict, repr=False)
    notes: list[str] = field(default_factory=list)
    comments: dict[str, list[str]] = field(default_factory=dict)

    def __str__(self) -> str:
        """A table of the corpus values, what is missing, and the signature."""
        return self.table()

    def table(self, intervals: Mapping[str, tuple[float, float]] | None = None) -> str:
        """The same, with the intervals of the values that have one."""
        bounds = intervals or {}
        width = max((len(name) for name in self.corpus), default=0)
        rows = []
        for name, value in self.corpus.items():
            low, high = (shown(name, bound) for bound in bounds.get(name, (0.0, 0.0)))
            rows.append(
                f"{name:<{width}}  {shown(name, value):>8}" + (f"  [{low}, {high}]" * (name in bounds))
            )
        if bounds:
            rows.append("95 % intervals by bootstrap over clips")
        return "\n".join([*rows, *self._left_out(), self.signature])

    def _left_out(self) -> list[str]:
        """One line: the metrics that are missing, those with one reason together."""
        by_reason: dict[str, list[str]] = {}
        for name, reason in self.missing.items():
            by_reason.setdefault(reason, []).append(name)
        parts = [f"{', '.join(names)} ({reason})" for reason, names in by_reason.items()]
        return [f"left out: {'; '.join(parts)}"] if parts else []

    def to_dict(self) -> dict[str, Any]:
        """Everything, as JSON can hold it."""
        return {
            "corpus": self.corpus,
            "signature": self.signature,
            "missing": self.missing,
            "notes": self.notes,
            "clips": self.rows(),
        }

    def rows(self) -> list[dict[str, Any]]:
        """One dictionary a clip: id, candidate, references, every metric."""
        return [
            {
                "id": self.ids[number],
                "candidate": self.candidates[number],
                "references": self.references[number],
                **{name: values[number] for name, values in self.clips.items()},
                **{name: texts[number] for name, texts in self.comments.items()},
            }
            for number in range(len(self.ids))
        ]

    @classmethod
    def from_json(cls, path: str | os.PathLike[str]) -> Report:
        """Read what `to_json` wrote. Sums that BLEU and METEOR are pooled from are computed again.

        Raises ValueError for a file that is no report, or whose pooled values come out otherwise today.
        """
        from earwitness.metrics.evaluation import score

        try:
            data = json.loads(Path(path).read_text("utf-8"))
            rows, corpus = data["clips"], dict(data["corpus"])
            ids, candidates, references = (
                [row[key] for row in rows] for key in ("id", "candidate", "references")
            )
            names = [key for key in (rows[0] if rows else ()) if key not in ("id", "candidate", "references")]
            columns = {name: [row[name] for row in rows] for name in names}
            comments = {name: values for name, values in columns.items() if isinstance(values[0], str)}
            clips = {name: values for name, values in columns.items() if name not in comments}
            report = cls(corpus, clips, data["signature"], ids, candidates, references)
            report.missing, report.comments = dict(data.get("missing", {})), comments
            report.notes = list(data.get("notes", ()))
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{path} is no report of `earwitness evaluate` or `score`: {error}") from None
        pooled = [name for name in corpus if name in POOLED]
        if pooled and rows:
            again = score(candidates, references, pooled, tokenize="|tok:split|" not in report.signature)
            if other := [name for name in pooled if abs(again.corpus[name] - corpus[name]) > 1e-9]:
                raise ValueError(
                    f"{path}: {', '.join(other)} come out otherwise in this version: score again"
                )
            report.pooled = again.pooled
        return report

    def to_json(self, path: str | os.PathLike[str]) -> None:
        """Write everything to a JSON file."""
        text = json.dumps(self.to_dict(), ensure_ascii=False, indent=1)
        atomic_write_text(path, text + "\n")

    def to_csv(self, path: str | os.PathLike[str]) -> None:
        """Write one row a clip: id, candidate, then the metrics. Decimal points, whatever the locale."""
        atomic_write_text(path, report_csv(self))

    def to_latex(self, name: str = "system", metrics: Sequence[str] | None = None) -> str:
        """A LaTeX table (booktabs) of the corpus values."""
        return latex_table({name: self}, metrics)


def report_csv(report: Report, other: tuple[str, Report] | None = None) -> str:
    """A table with one row a clip: id, candidate, metrics, comments; with those of another system behind.

    other: the system's name, which comes before the names of its columns, and its report on the same clips.
    """
    systems = [("", report)] + ([(f"{other[0]}.", other[1])] if other else [])
    columns: dict[str, dict[str, str]] = {}
    for prefix, system in systems:
        columns[f"{prefix}candidate"] = dict(zip(system.ids, system.candidates, strict=True))
        for name, values in system.clips.items():
            columns[prefix + name] = dict(zip(system.ids, map(repr, values), strict=True))
        for name, texts in system.comments.items():
            columns[prefix + name] = dict(zip(system.ids, texts, strict=True))
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["id", *columns])
    writer.writerows([name, *(column[name] for column in columns.values())] for name in report.ids)
    return out.getvalue()


def shown(name: str, value: float) -> str:
    """A corpus value as tables print it: times 100 with one decimal, counts as they are."""
    if name in COUNTS:
        return f"{value:.1f}" if value % 1 else f"{value:.0f}"
    return f"{100 * value:.2f}"


def latex_table(reports: Mapping[str, Report], metrics: Sequence[str] | None = None) -> str:
    """A LaTeX table (booktabs) with one row a system, the best value of every column in bold.

    Raises:
        ValueError: no report, or a metric that one of them lacks.
    """
    if not reports:
        raise ValueError("there is no report to make a table of")
    first = next(iter(reports.values()))
    names = list(metrics or first.corpus)
    for system, report in reports.items():
        if lacking := [name for name in names if name not in report.corpus]:
            raise ValueError(f"{system} has no {', '.join(lacking)}")
    best = {
        name: (min if name in LOWER_IS_BETTER else max)(report.corpus[name] for report in reports.values())
        for name in names
    }
    lines = [r"\begin{tabular}{l" + "r" * len(names) + "}", r"\toprule"]
    lines += [" & ".join(["System", *(_escape(name) for name in names)]) + r" \\", r"\midrule"]
    for system, report in reports.items():
        cells = [_escape(system)]
        for name in names:
            text = shown(name, report.corpus[name])
            bold = len(reports) > 1 and report.corpus[name] == best[name]
            cells.append(rf"\textbf{{{text}}}" if bold else text)
        lines.append(" & ".join(cells) + r" \\")
    lines += [r"\bottomrule", r"\end{tabular}"]
    for system, report in reports.items():
        lines.append("% " + " ".join(f"{system}: {report.signature}".split()))  # a comment ends with its line
    return "\n".join(lines) + "\n"


def _escape(text: str) -> str:
    marks = {c: rf"\{c}" for c in "&%$#_{}"} | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}"}
    marks["^"] = r"\textasciicircum{}"
    return "".join(marks.get(c, c) for c in " ".join(text.split()))


def signature(corpus: Corpus, models: Mapping[str, str], given_frequency: bool) -> str:
    """What has to be equal for two reports to be comparable, in one line."""
    counts = [len(texts) for texts in corpus.references]
    few, many = min(counts), max(counts)
    parts = [
        f"earwitness:{__version__}",
        f"tok:{'ptb-3.4.1' if corpus.tokenize else 'split'}",
        f"clips:{len(corpus)}",
        f"refs:{few}" if few == many else f"refs:{few}-{many}",
        *(["df:given"] if given_frequency else []),
        *(f"{name}:{model}" for name, model in sorted(models.items())),
    ]
    return "|".join(parts)
