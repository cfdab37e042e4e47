"""`earwitness score`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from earwitness.cli.errors import exit_on_error
from earwitness.cli.scoring import (
    BertModel,
    ClapModel,
    DocumentFrequencies,
    ErrorModel,
    SbertModel,
    SpiceHome,
    frequencies_of,
    given,
    write_report,
)

if TYPE_CHECKING:
    from earwitness.metrics.report import Report

CandidateFile = Annotated[
    Path, typer.Option("--candidates", "-c", help="The captions to judge: CSV, JSON or JSONL.")
]
ReferenceFile = Annotated[
    Path, typer.Option("--references", "-r", help="What people wrote, in the same formats.")
]
Metrics = Annotated[str, typer.Option("--metrics", "-m", help="default, all, or names with commas between.")]
Out = Annotated[
    Path | None, typer.Option("--out", "-o", help="Write the report: .json (all), .csv (per clip) or .tex.")
]
Other = Annotated[
    Path | None, typer.Option(help="A second system's captions: differences with confidence intervals.")
]
Worst = Annotated[Path | None, typer.Option(help="Write a page of the clips that score worst (.html).")]
WorstBy = Annotated[str | None, typer.Option(help="The metric that sorts that page.")]
Audio = Annotated[
    Path | None,
    typer.Option(help="Folder with a sound file for each id: for clap_score, mace and the page."),
]
Tokenize = Annotated[
    bool, typer.Option(help="--no-tokenize: the texts were tokenized before, split them at blanks.")
]
Device = Annotated[str, typer.Option(help="Where neural metrics run.")]


def score(
    candidates: CandidateFile,
    references: ReferenceFile,
    metrics: Metrics = "default",
    out: Out = None,
    compare: Other = None,
    worst: Worst = None,
    worst_by: WorstBy = None,
    audio: Audio = None,
    tokenize: Tokenize = True,
    document_frequency: DocumentFrequencies = None,
    spice_home: SpiceHome = None,
    sbert_model: SbertModel = None,
    error_model: ErrorModel = None,
    clap_model: ClapModel = None,
    bert_model: BertModel = None,
    device: Device = "cpu",
) -> None:
    """Score captions against references: no Java, no network, seconds.

    Files hold the columns id and caption; several rows with one id, or a list, are several references.

    \b
    earwitness score -c mine.csv -r test.csv                       BLEU, METEOR, CIDEr-D, spice_approx ...
    earwitness score -c mine.csv -r test.csv -m meteor,cider_d     only these
    earwitness score -c mine.csv -r test.csv --worst worst.html    what to look at next
    earwitness score -c mine.csv -r test.csv --compare other.csv   is mine better, and surely so?
    """
    from earwitness.metrics.files import score_files
    from earwitness.metrics.worst_cases import write_page

    with exit_on_error():
        _check_endings(out, worst)
        settings = given(
            document_frequency=frequencies_of(document_frequency, tokenize=tokenize),
            audio=audio,
            spice_home=spice_home,
            sbert_model=sbert_model,
            error_model=error_model,
            clap_model=clap_model,
            bert_model=bert_model,
        )
        settings |= {"tokenize": tokenize, "device": device}
        report = score_files(candidates, references, metrics, **settings)
        typer.echo(str(report))
        if compare is not None:
            _show_differences(report, score_files(compare, references, metrics, **settings))
        if out is not None:
            write_report(report, out, candidates.stem)
        if worst is not None:
            write_page(report, worst, metric=worst_by, audio=audio)
    if not report.corpus:
        raise typer.Exit(1)


def _check_endings(out: Path | None, worst: Path | None) -> None:
    """Complain before the work, not after it."""
    if out is not None and out.suffix.lower() not in (".json", ".csv", ".tex"):
        raise ValueError(f"{out}: reports are written as .json, .csv or .tex")
    for path in (out, worst):
        if path is not None and not path.absolute().parent.is_dir():
            raise ValueError(f"{path}: the folder {path.absolute().parent} does not exist")


def _show_differences(first: Report, second: Report) -> None:
    from earwitness.metrics.comparison import compare

    typer.echo("\nmetric          first   second  difference  95 % interval         p")
    for name, row in compare(first, second).items():
        mark = " *" if row.significant else ""
        typer.echo(
            f"{name:<14} {row.first:7.4f} {row.second:7.4f}  {row.difference:+9.4f}  "
            f"[{row.low:+.4f}, {row.high:+.4f}]  {row.p:.4f}{mark}"
        )
