"""The rows of docs/ablations.md, and their figures beside the published ones."""

from __future__ import annotations

import re
from itertools import dropwhile, takewhile
from pathlib import Path
from statistics import mean, stdev
from typing import NamedTuple

PAGE = Path(__file__).parents[2] / "docs" / "ablations.md"
SETS = {
    "lamb": ("LAMB 2", "LAMB 3", "LAMB 4"),
    "lavcap": ("LAVCap II", "LAVCap III", "LAVCap IV"),
    "distillcaps": ("DistillCaps 5", "DistillCaps 6-7"),
}
STUDENT = {2: 12.71, 3: 4.30, 4: 3.18, 5: 2.78}  # seeds -> t of 95 %, both sides
Figures = dict[int, dict[str, float]]  # seed -> name -> value


class Row(NamedTuple):
    """One row of a paper's table: the preset and overrides that make it, and the figure the paper gives."""

    table: str
    name: str
    preset: str
    overrides: tuple[str, ...]
    published: str


def page_rows(page: Path = PAGE) -> list[Row]:
    """Every row of the page's first table, in order."""
    lines = dropwhile(lambda line: not line.startswith("|"), page.read_text("utf-8").splitlines())
    table = list(takewhile(lambda line: line.startswith("|"), lines))
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table[2:]]
    return [Row(t, n, preset, tuple(re.findall(r"`([^`]+)`", o)), said) for t, n, preset, o, said in cells]


def print_table(table: str, rows: list[tuple[Row, Figures]], whole: Figures) -> None:
    """rows: those of one table with their figures; whole: the figures of the preset as it is."""
    print(f"\n{table}: mean (standard deviation) over {len(whole)} seeds; difference from the whole preset")
    print(f"{'':26} {'val. loss':>14} {'CIDEr-D':>14} {'difference':>20}  verdict; published")
    print(line("the whole preset", whole, whole, ""))
    for row, figures in rows:
        print(line(row.name, figures, whole, row.published, ours="ours" in row.name))


def line(name: str, figures: Figures, whole: Figures, published: str, *, ours: bool = False) -> str:
    cells = " ".join(f"{spread([f[key] for f in figures.values()]):>14}" for key in ("loss", "cider_d"))
    if figures == whole:
        return f"{name:26.26} {cells} {'':>20}  {published}"
    gaps = [figures[seed]["loss"] - whole[seed]["loss"] for seed in whole]
    said = "no claim" if ours else verdict(gaps)
    return f"{name:26.26} {cells} {spread(gaps) + ' nats':>20}  {said}; {published}"


def spread(values: list[float]) -> str:
    return f"{mean(values):.3f}" + (f" ({stdev(values):.3f})" if len(values) > 1 else "")


def verdict(gaps: list[float]) -> str:
    """gaps: loss of the row less that of the whole preset, seed by seed. The papers say that all are worse.

    What Student's t cannot tell from nothing at 95 % is noise.
    """
    if len(gaps) < 2:
        return "one seed says nothing"
    error = stdev(gaps) / len(gaps) ** 0.5
    if abs(mean(gaps)) <= STUDENT.get(len(gaps), 2.6) * error:
        return "within noise"
    return "direction holds" if mean(gaps) > 0 else "DIRECTION DOES NOT HOLD"


def print_more(name: str, figures: Figures) -> None:
    """What only some tables have: the modality gap, and captions with retrieval at test time."""
    values = {key: spread([f[key] for f in figures.values()]) for key in next(iter(figures.values()))}
    said = f"  {name:26.26} gap L2 {values['gap_l2']}, cosine {values['gap_cosine']}"
    if "retrieval_cider_d" in values:
        gains = [f["retrieval_cider_d"] - f["cider_d"] for f in figures.values()]
        said += f"; CIDEr-D with retrieval {values['retrieval_cider_d']}, gain {spread(gains)}"
    print(said)
