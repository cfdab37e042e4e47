"""Statistics over seeds: means, standard deviations, and whether a published direction holds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import mean, stdev

from earwitness.studies.plan import Plan
from earwitness.studies.published import COLUMNS, PERCENT, Row

# Quantiles of Student's t for two-sided 95 % intervals, 1 to 9 degrees of freedom, and of the normal law.
STUDENT = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)
NORMAL = 1.960
APPROXIMATE = {"spice_approx": "spice", "spider_approx": "spider"}  # compared with these published metrics
EXTRA = (*APPROXIMATE, "loss")  # measured beside the papers' columns


@dataclass(frozen=True)
class Cell:
    """A metric of a row on a test set, as printed (percentages times 100).

    values: by seed. published: the paper's figure. gaps: by seed, differences from the reference row;
    published_gap: the paper's difference. verdict: on the published direction.
    """

    table: str
    row: Row
    test: str
    metric: str
    values: tuple[float, ...]
    published: float | None
    gaps: tuple[float, ...]
    published_gap: float | None
    verdict: str

    @property
    def mean(self) -> float | None:
        return mean(self.values) if self.values else None

    @property
    def sd(self) -> float | None:
        return stdev(self.values) if len(self.values) > 1 else None


def cells(plan: Plan, figures: dict[str, dict[str, float]]) -> Iterator[Cell]:
    """Yield every cell of every table. figures: name of an evaluation -> metric -> value."""
    found: dict[tuple[str, str, str], dict[int, dict[str, float]]] = {}
    for trial in plan.trials:
        found.setdefault((trial.table, trial.row.name, trial.test), {})[trial.seed] = figures[trial.name]
    for number, table in plan.tables.items():
        rows = {row.name: row for row in table.rows}
        for (place, name, test), own in found.items():
            if place != number:
                continue
            row, other = rows[name], rows[table.reference]
            base = found.get((number, table.reference, test), {})
            for metric in [*table.metrics(), *EXTRA]:
                values, reference = _values(own, metric), _values(base, metric)
                exact = APPROXIMATE.get(metric, metric)
                beside = plan.beside(test)
                printed, base_printed = (r.published.get(beside, {}).get(exact) for r in (row, other))
                gaps = tuple(values[s] - reference[s] for s in values if s in reference and row is not other)
                gap = None
                if printed is not None and base_printed is not None and row is not other:
                    gap = printed - base_printed
                outcome = "" if row is other else verdict(gaps, gap)
                printed = printed if exact == metric else None
                yield Cell(number, row, test, metric, tuple(values.values()), printed, gaps, gap, outcome)


def _values(own: dict[int, dict[str, float]], metric: str) -> dict[int, float]:
    scale = 100.0 if metric in PERCENT else 1.0
    return {seed: scale * figures[metric] for seed, figures in own.items() if metric in figures}


def verdict(gaps: Sequence[float], published: float | None) -> str:
    """Compare the seeds' differences with the published one, by Student's t test at 95 %."""
    if published is None or published == 0:
        return "no published direction"
    if not gaps:
        return "not measured"
    if len(gaps) < 2:
        return "one seed: no verdict"
    limit = STUDENT[len(gaps) - 2] if len(gaps) - 2 < len(STUDENT) else NORMAL
    if abs(mean(gaps)) <= limit * stdev(gaps) / len(gaps) ** 0.5:
        return "within noise"
    return "holds" if (mean(gaps) > 0) == (published > 0) else "does not hold"


def columns(table_cells: Sequence[Cell]) -> list[str]:
    """Return the metrics with a value or a published figure, in the papers' order.

    An approximation is included only where the metric itself was not measured.
    """
    measured = {cell.metric for cell in table_cells if cell.values}
    known = measured | {cell.metric for cell in table_cells if cell.published is not None}
    return [m for m in [*COLUMNS, *EXTRA] if m in known and APPROXIMATE.get(m) not in measured]
