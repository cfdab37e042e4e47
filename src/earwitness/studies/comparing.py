"""Finished evaluations read back and set side by side."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path

from earwitness.atomic_write import atomic_write_text
from earwitness.metrics import compare
from earwitness.metrics.comparison import Difference
from earwitness.metrics.report import Report, latex_table, shown
from earwitness.studies.evaluation_folder import REPORT

Reports = dict[str, Report]
Compared = dict[str, dict[str, Difference]]  # name of an evaluation -> metric -> difference from the first


def read_reports(places: Sequence[Path]) -> Reports:
    """Name -> report, of folders of evaluations or of report.json files. Raises ValueError, OSError."""
    if len(places) < 2:
        raise ValueError("name two evaluations or more")
    reports: Reports = {}
    for place in places:
        file = place / REPORT if place.is_dir() else place
        name = file.parent.name if file.name == REPORT else file.stem
        if name in reports:
            name = str(file)
        reports[name] = Report.from_json(file)
    return reports


def names_of(reports: Reports, metrics: str | None) -> list[str]:
    """Return the requested metrics, or those of every report. Raises ValueError where a report lacks one."""
    first, *others = reports.values()
    if metrics is None:
        return [name for name in first.corpus if all(name in report.corpus for report in others)]
    names = [name.strip() for name in metrics.split(",")]
    for system, report in reports.items():
        if lacking := [name for name in names if name not in report.corpus]:
            raise ValueError(f"{system} has no {', '.join(lacking)}; it has {', '.join(report.corpus)}")
    return names


def compared(reports: Reports, names: Sequence[str]) -> Compared:
    """Differences of each evaluation from the first, where metrics have values a clip."""
    first, *others = reports
    per_clip = [name for name in names if name in reports[first].clips]
    return {name: compare(reports[name], reports[first], per_clip) for name in others} if per_clip else {}


def text_table(reports: Reports, names: Sequence[str], found: Compared) -> Iterator[str]:
    """A row an evaluation; below each but the first its differences."""
    width = max(len(system) for system in reports)
    columns = [max(len(name), 8) for name in names]
    yield "  ".join([" " * width, *(name.rjust(w) for name, w in zip(names, columns))])
    for system, report in reports.items():
        cells = [shown(name, report.corpus[name]).rjust(w) for name, w in zip(names, columns)]
        yield "  ".join([system.ljust(width), *cells])
        if system in found:
            gaps = [_gap(name, found[system].get(name)).rjust(w) for name, w in zip(names, columns)]
            yield "  ".join(["  difference".ljust(width), *gaps])
    for signature, systems in _signatures(reports).items():
        yield f"{', '.join(systems)}: {signature}"


def write_table(path: Path, reports: Reports, names: Sequence[str], found: Compared) -> None:
    """.tex: a booktabs table; .csv: a row an evaluation and metric, with the paired test."""
    if path.suffix.lower() == ".tex":
        atomic_write_text(path, latex_table(reports, names))
        return
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["evaluation", "metric", "value", "difference", "low", "high", "p"])
    for system, report in reports.items():
        for name in names:
            row = found.get(system, {}).get(name)
            test = [] if row is None else [repr(v) for v in (row.difference, row.low, row.high, row.p)]
            writer.writerow([system, name, repr(report.corpus[name]), *(test or [""] * 4)])
    atomic_write_text(path, out.getvalue())


def _gap(name: str, row: Difference | None) -> str:
    if row is None:
        return ""
    sign = "+" if row.difference >= 0 else "-"
    return f"{sign}{shown(name, abs(row.difference))}{'*' if row.significant else ''}"


def _signatures(reports: Reports) -> dict[str, list[str]]:
    """Each signature with the evaluations that have it: where there are several, numbers are not
    comparable.
    """
    found: dict[str, list[str]] = {}
    for system, report in reports.items():
        found.setdefault(report.signature, []).append(system)
    return found
