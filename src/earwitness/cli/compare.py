"""`earwitness compare`: finished evaluations in one table, with paired tests."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from earwitness.cli.errors import exit_on_error

Evaluations = Annotated[
    list[Path],
    typer.Argument(help="Folders of evaluations, or their report.json; the first is the baseline."),
]
Metrics = Annotated[
    str | None, typer.Option(help="Comma-separated names; default: those that all evaluations have.")
]
Out = Annotated[Path | None, typer.Option("--out", "-o", help="Also write the table: .csv or .tex.")]


def compare(evaluations: Evaluations, metrics: Metrics = None, out: Out = None) -> None:
    """Compare finished evaluations: differences from the first, with paired tests over the clips.

    An asterisk marks a difference that is significant at .05 after correction for all metrics shown (paired
    randomization test, Holm), on 20 clips or more.

    \b
    earwitness compare evaluations/lamb-*                           of one test set
    earwitness compare runs/t4/evaluated/* --metrics cider_d,spider --out t4.tex
    """
    from earwitness.studies.comparing import compared, names_of, read_reports, text_table, write_table

    with exit_on_error():
        if out is not None and out.suffix.lower() not in (".csv", ".tex"):
            raise ValueError(f"{out}: tables are written as .csv or .tex")
        reports = read_reports(evaluations)
        names = names_of(reports, metrics)
        found = compared(reports, names)
        for line in text_table(reports, names, found):
            typer.echo(line)
        if out is not None:
            write_table(out, reports, names, found)
