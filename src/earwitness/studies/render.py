"""Tables of a study: as text, as CSV, as LaTeX with the papers' column names."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence

from earwitness.studies.aggregate import Cell, columns
from earwitness.studies.plan import Plan
from earwitness.studies.published import COLUMNS, shown

FIELDS = [
    "paper",
    "table",
    "row",
    "trained_on",
    "set",
    "metric",
    "seeds",
    "mean",
    "sd",
    "published",
    "difference",
]
FIELDS += ["difference_sd", "published_difference", "verdict"]


LABELS = COLUMNS | {"spice_approx": "SC~", "spider_approx": "SD~"}


def label(metric: str) -> str:
    return LABELS.get(metric, metric)


def number(metric: str, value: float) -> str:
    return f"{value:.3f}" if metric == "loss" else shown(metric, value)


def measured(cell: Cell, between: str = " ± ") -> str:
    """Mean and standard deviation, or a dash."""
    if cell.mean is None:
        return "–"
    sd = "" if cell.sd is None else f"{between}{number(cell.metric, cell.sd)}"
    return number(cell.metric, cell.mean) + sd


def text_tables(plan: Plan, cells: Sequence[Cell]) -> Iterator[str]:
    """A table a test set: ours with the published figure in brackets, then the verdicts."""
    for place, test, own in _tables(plan, cells):
        table = plan.tables[place]
        metrics = columns(own)
        seeds = max(len(cell.values) for cell in own)
        yield f"{plan.paper.paper} {place} on {test}: {table.title}"
        yield (
            f"mean ± standard deviation of {seeds} seeds (published, {plan.beside(test)}); SC~ and SD~ are "
            f"without the SPICE program; verdicts on differences from {table.reference}"
        )
        rows = [["", *(label(metric) for metric in metrics)]]
        verdicts = []
        for name, row_cells in _rows(own):
            rows.append([name, *(_text_cell(row_cells.get(metric)) for metric in metrics)])
            said = [f"{label(m)} {c.verdict}" for m, c in row_cells.items() if c.verdict and _judged(c)]
            verdicts += [f"  {name}: {', '.join(said)}"] if said else []
        yield from _aligned(rows)
        yield from verdicts
        yield ""
    for place, why in plan.left_out.items():
        yield f"left out, {place}: {why}"


def csv_text(plan: Plan, cells: Sequence[Cell]) -> str:
    """A row a cell. Decimal points, whatever the locale."""
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, FIELDS, lineterminator="\n")
    writer.writeheader()
    for cell in cells:
        if not cell.values and cell.published is None:
            continue
        gap = _summary(cell.gaps)
        writer.writerow(
            {
                "paper": plan.paper.paper,
                "table": cell.table,
                "row": cell.row.name,
                "trained_on": cell.row.train or cell.test,
                "set": cell.test,
                "metric": cell.metric,
                "seeds": len(cell.values),
                "mean": _plain(cell.mean),
                "sd": _plain(cell.sd),
                "published": _plain(cell.published),
                "difference": gap[0],
                "difference_sd": gap[1],
                "published_difference": _plain(cell.published_gap),
                "verdict": cell.verdict,
            }
        )
    return out.getvalue()


def latex_tables(plan: Plan, cells: Sequence[Cell]) -> str:
    """A booktabs table a test set: each row ours, then as published."""
    lines: list[str] = []
    for place, test, own in _tables(plan, cells):
        metrics = columns(own)
        lines += [f"% {plan.paper.paper} {place} on {test}: {plan.tables[place].title}"]
        lines += [r"\begin{tabular}{ll" + "r" * len(metrics) + "}", r"\toprule"]
        lines += [" & ".join(["System", "", *(_escape(label(m)) for m in metrics)]) + r" \\", r"\midrule"]
        for name, row_cells in _rows(own):
            ours = [_latex_cell(row_cells.get(metric)) for metric in metrics]
            theirs = [_published(row_cells.get(metric)) for metric in metrics]
            lines.append(" & ".join([_escape(name), "ours", *ours]) + r" \\")
            lines.append(" & ".join(["", "published", *theirs]) + r" \\")
        lines += [r"\bottomrule", r"\end{tabular}", ""]
    return "\n".join(lines)


def _tables(plan: Plan, cells: Sequence[Cell]) -> Iterator[tuple[str, str, list[Cell]]]:
    """(number, test set, cells) of every table and set it was tried on."""
    for place in plan.tables:
        tests = dict.fromkeys(cell.test for cell in cells if cell.table == place)
        for test in tests:
            yield place, test, [cell for cell in cells if cell.table == place and cell.test == test]


def _rows(own: Sequence[Cell]) -> Iterator[tuple[str, dict[str, Cell]]]:
    for name in dict.fromkeys(cell.row.name for cell in own):
        yield name, {cell.metric: cell for cell in own if cell.row.name == name}


def _judged(cell: Cell) -> bool:
    return cell.published_gap is not None and bool(cell.gaps)


def _text_cell(cell: Cell | None) -> str:
    if cell is None:
        return "–"
    return measured(cell) + ("" if cell.published is None else f" ({shown(cell.metric, cell.published)})")


def _latex_cell(cell: Cell | None) -> str:
    return "--" if cell is None or cell.mean is None else measured(cell, r" $\pm$ ")


def _published(cell: Cell | None) -> str:
    return "--" if cell is None or cell.published is None else shown(cell.metric, cell.published)


def _summary(values: Sequence[float]) -> tuple[str, str]:
    from statistics import mean, stdev

    return (
        _plain(mean(values)) if values else "",
        _plain(stdev(values)) if len(values) > 1 else "",
    )


def _plain(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"


def _aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        first, *others = (
            cell.ljust(w) if i == 0 else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths))
        )
        yield "  ".join([first, *others]).rstrip()


def _escape(text: str) -> str:
    return "".join(f"\\{c}" if c in "&%$#_{}" else r"$\sim$" if c == "~" else c for c in text)
