"""`earwitness score`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from earwitness.cli.errors import exit_on_error
from earwitness.cli.progress import StepProgress
from earwitness.cli.scoring import (
    BertModel,
    ClapModel,
    DocumentFrequencies,
    ErrorModel,
    JudgeModel,
    NeuralText,
    SbertModel,
    SpiceHome,
    frequencies_of,
    given,
    write_report,
)

if TYPE_CHECKING:
    from earwitness.metrics.comparison import Difference
    from earwitness.metrics.report import Report

CandidateFile = Annotated[
    Path, typer.Option("--candidates", "-c", help="Captions to score: CSV, JSON, JSONL or Parquet.")
]
ReferenceFile = Annotated[
    Path, typer.Option("--references", "-r", help="Human captions, in the same formats, or in the same file.")
]
Partial = Annotated[
    bool, typer.Option("--partial", help="Score the clips that both files have; the signature records it.")
]
IdColumn = Annotated[str | None, typer.Option(help="Column of the ids, if it has an unusual name.")]
CaptionColumn = Annotated[str | None, typer.Option(help="Column of the candidates, likewise.")]
ReferenceColumn = Annotated[
    list[str] | None, typer.Option(help="A column of references, likewise; repeatable.")
]
Metrics = Annotated[
    str, typer.Option("--metrics", "-m", help="default, all, dcase2024, or comma-separated names.")
]
Out = Annotated[
    Path | None,
    typer.Option("--out", "-o", help="Write the report: .json (complete), .csv (per clip) or .tex."),
]
Other = Annotated[Path | None, typer.Option(help="A second system's captions: differences, intervals, p.")]
Worst = Annotated[Path | None, typer.Option(help="Write a page of the clips that score lowest (.html).")]
WorstBy = Annotated[str | None, typer.Option(help="The metric that sorts these pages.")]
Differences = Annotated[
    Path | None, typer.Option(help="With --compare: write a page of the clips that differ most (.html).")
]
Audio = Annotated[
    Path | None,
    typer.Option(help="Folder with an audio file for each id: for clap_score, mace and the page."),
]
Tokenize = Annotated[
    bool, typer.Option(help="--no-tokenize: the texts are tokenized already; split them at blanks.")
]
Device = Annotated[str, typer.Option(help="Device of neural metrics.")]


def score(
    candidates: CandidateFile,
    references: ReferenceFile,
    metrics: Metrics = "default",
    out: Out = None,
    compare: Other = None,
    differences: Differences = None,
    worst: Worst = None,
    worst_by: WorstBy = None,
    audio: Audio = None,
    partial: Partial = False,
    id_column: IdColumn = None,
    caption_column: CaptionColumn = None,
    reference_column: ReferenceColumn = None,
    tokenize: Tokenize = True,
    document_frequency: DocumentFrequencies = None,
    spice_home: SpiceHome = None,
    sbert_model: SbertModel = None,
    error_model: ErrorModel = None,
    clap_model: ClapModel = None,
    bert_model: BertModel = None,
    judge_model: JudgeModel = None,
    neural_text: NeuralText = None,
    device: Device = "cpu",
) -> None:
    """Score captions against references, without Java or network access.

    Files hold the columns id and caption; several rows with one id, or a list, are several references. A
    file with predictions and references may be both -c and -r.

    \b
    earwitness score -c mine.csv -r test.csv                       BLEU, METEOR, CIDEr-D, spice_approx ...
    earwitness score -c mine.csv -r test.csv -m meteor,cider_d     only these
    earwitness score -c mine.csv -r test.csv --worst worst.html    the clips that score lowest
    earwitness score -c mine.csv -r test.csv --compare other.csv   differences with significance
    earwitness score -c both.csv -r both.csv                       caption_predicted, caption_1, caption_2 ...
    """
    wanted = Wanted(out, compare, differences, worst, worst_by, audio)
    with exit_on_error():
        _check(wanted)
        settings = given(
            document_frequency=frequencies_of(document_frequency, tokenize=tokenize),
            audio=audio,
            spice_home=spice_home,
            sbert_model=sbert_model,
            error_model=error_model,
            clap_model=clap_model,
            bert_model=bert_model,
            judge_model=judge_model,
            neural_text=neural_text,
            id_column=id_column,
            caption_column=caption_column,
            reference_columns=reference_column,
        )
        settings |= {"tokenize": tokenize, "device": device, "partial": partial}
        report = _scored(candidates, references, metrics, settings)
        _deliver(report, candidates.stem, wanted, lambda file: _scored(file, references, metrics, settings))
    if not report.corpus:
        raise typer.Exit(1)


class Wanted(NamedTuple):
    """The outputs of a report: files, pages, a comparison with another system's file."""

    out: Path | None
    compare: Path | None
    differences: Path | None
    worst: Path | None
    worst_by: str | None
    audio: Path | None


def _deliver(report: Report, name: str, wanted: Wanted, scored: Callable[[Path], Report]) -> None:
    """Print the report and write its outputs. scored: returns the report of another system's file."""
    from earwitness.metrics.comparison import compare, intervals
    from earwitness.metrics.worst_cases import write_differences, write_page

    bounds = intervals(report)
    typer.echo(report.table(bounds))
    other = differences = None
    if wanted.compare is not None:
        other = (wanted.compare.stem, scored(wanted.compare))
        differences = compare(report, other[1])
        _show(differences)
        if wanted.differences is not None:
            write_differences(
                report,
                other[1],
                wanted.differences,
                metric=wanted.worst_by,
                audio=wanted.audio,
                names=(name, other[0]),
            )
    if wanted.out is not None:
        write_report(report, wanted.out, name, intervals=bounds, other=other, differences=differences)
    if wanted.worst is not None:
        write_page(report, wanted.worst, metric=wanted.worst_by, audio=wanted.audio)


def _scored(candidates: Path, references: Path, metrics: str, settings: dict[str, Any]) -> Report:
    """Score two files; print notes on reading them to standard error."""
    from earwitness.metrics.files.scoring import score_files

    with StepProgress() as progress:
        report = score_files(candidates, references, metrics, progress=progress, **settings)
    for note in report.notes:
        typer.echo(f"Note: {note}", err=True)
    return report


def _check(wanted: Wanted) -> None:
    """Check the outputs before scoring."""
    if wanted.out is not None and wanted.out.suffix.lower() not in (".json", ".csv", ".tex"):
        raise ValueError(f"{wanted.out}: reports are written as .json, .csv or .tex")
    if wanted.differences is not None and wanted.compare is None:
        raise ValueError("--differences needs a second system: set its captions with --compare")
    for path in (wanted.out, wanted.worst, wanted.differences):
        if path is not None and not path.absolute().parent.is_dir():
            raise ValueError(f"{path}: the folder {path.absolute().parent} does not exist")


def _show(differences: dict[str, Difference]) -> None:
    from earwitness.metrics.comparison import FEWEST_CLIPS, LEVEL

    typer.echo("\nmetric            first   second  difference  95 % interval         p       corrected")
    for name, row in differences.items():
        mark = " *" if row.significant else ""
        typer.echo(
            f"{name:<16} {row.first:7.4f} {row.second:7.4f}  {row.difference:+9.4f}  "
            f"[{row.low:+.4f}, {row.high:+.4f}]  {row.p:.4f}  {row.p_corrected:.4f}{mark}"
        )
    clips = next(iter(differences.values())).clips
    typer.echo(
        f"p by paired randomization; *: below {LEVEL} after correction for {len(differences)} metrics"
        if clips >= FEWEST_CLIPS
        else f"{clips} clips are too few for a significance test; at least {FEWEST_CLIPS} are needed"
    )
