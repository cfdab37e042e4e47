"""`earwitness score`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def score(
    candidates: Annotated[
        Path, typer.Option("--candidates", "-c", help="The captions to judge: CSV, JSON or JSONL.")
    ],
    references: Annotated[
        Path, typer.Option("--references", "-r", help="What people wrote, in the same formats.")
    ],
    metrics: Annotated[
        str, typer.Option("--metrics", "-m", help="default, all, or names with commas between.")
    ] = "default",
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Write the report: .json (all), .csv (per clip) or .tex."),
    ] = None,
    compare: Annotated[
        Path | None, typer.Option(help="A second system's captions: differences with confidence intervals.")
    ] = None,
    worst: Annotated[
        Path | None, typer.Option(help="Write a page of the clips that score worst (.html).")
    ] = None,
    worst_by: Annotated[str | None, typer.Option(help="The metric that sorts that page.")] = None,
    audio: Annotated[
        Path | None,
        typer.Option(help="Folder with a sound file for each id: for clap_score, mace and the page."),
    ] = None,
    tokenize: Annotated[
        bool, typer.Option(help="--no-tokenize: the texts were tokenized before, split them at blanks.")
    ] = True,
    document_frequency: Annotated[
        Path | None,
        typer.Option(help="References that weigh CIDEr-D's words, for values comparable between subsets."),
    ] = None,
    spice_home: Annotated[Path | None, typer.Option(help="Folder of the official SPICE program.")] = None,
    sbert_model: Annotated[
        str | None, typer.Option(help="Hub name or folder, for sbert_sim and fense.")
    ] = None,
    error_model: Annotated[
        str | None, typer.Option(help="FENSE's error detector, for fer, fense and spider_fl.")
    ] = None,
    clap_model: Annotated[
        str | None, typer.Option(help="Hub name or folder, for clap_score and mace.")
    ] = None,
    bert_model: Annotated[str | None, typer.Option(help="Hub name or folder, for bert_score.")] = None,
    device: Annotated[str, typer.Option(help="Where neural metrics run.")] = "cpu",
) -> None:
    """Score captions against references: no Java, no network, seconds.

    Files hold the columns id and caption; several rows with one id, or a list, are several references.

    \b
    earwitness score -c mine.csv -r test.csv                       BLEU, METEOR, CIDEr-D, spice_approx ...
    earwitness score -c mine.csv -r test.csv -m meteor,cider_d     only these
    earwitness score -c mine.csv -r test.csv --worst worst.html    what to look at next
    earwitness score -c mine.csv -r test.csv --compare other.csv   is mine better, and surely so?
    """
    from earwitness.metrics.cider_d import DocumentFrequency
    from earwitness.metrics.corpus import Corpus
    from earwitness.metrics.files import read_captions, score_files

    models = {
        "sbert_model": sbert_model,
        "error_model": error_model,
        "clap_model": clap_model,
        "bert_model": bert_model,
        "spice_home": None if spice_home is None else str(spice_home),
    }
    options: dict[str, object] = {name: value for name, value in models.items() if value is not None}
    try:
        _check_endings(out, worst)
        if document_frequency is not None:
            given = list(read_captions(document_frequency).values())
            tokens = Corpus([""] * len(given), given, tokenize=tokenize).reference_tokens
            options["document_frequency"] = DocumentFrequency.from_tokens(tokens)
        if audio is not None:
            options["audio"] = _sounds(audio, list(read_captions(candidates)))
        report = score_files(candidates, references, metrics, tokenize=tokenize, device=device, **options)
        typer.echo(str(report))
        if compare is not None:
            other = score_files(compare, references, metrics, tokenize=tokenize, device=device, **options)
            _show_differences(report, other)
        if out is not None:
            _write(report, out, candidates.stem)
        if worst is not None:
            report.worst_cases(worst, metric=worst_by, audio=audio)
    except (ValueError, OSError) as error:
        typer.echo(f"Error: {error}", err=True)
        raise typer.Exit(2) from None
    if not report.corpus:
        raise typer.Exit(1)


def _check_endings(out: Path | None, worst: Path | None) -> None:
    """Complain before the work, not after it."""
    if out is not None and out.suffix.lower() not in (".json", ".csv", ".tex"):
        raise ValueError(f"{out}: reports are written as .json, .csv or .tex")
    for path in (out, worst):
        if path is not None and not path.absolute().parent.is_dir():
            raise ValueError(f"{path}: the folder {path.absolute().parent} does not exist")


def _sounds(folder: Path, ids: list[str]) -> list[str]:
    from earwitness.metrics.worst_cases import sound_of

    found = [sound_of(name, folder) for name in ids]
    if lacking := [name for name, path in zip(ids, found, strict=True) if path is None]:
        raise ValueError(f"{folder} has no sound file for {len(lacking)} ids, the first {lacking[0]!r}")
    return [str(path) for path in found]


def _write(report, out: Path, name: str) -> None:  # type: ignore[no-untyped-def]
    ending = out.suffix.lower()
    if ending == ".json":
        report.to_json(out)
    elif ending == ".csv":
        report.to_csv(out)
    else:
        from earwitness.metrics.report import write_whole

        write_whole(out, report.to_latex(name))


def _show_differences(first, second) -> None:  # type: ignore[no-untyped-def]
    typer.echo("\nper clip        first   second  difference  95 % interval         p")
    for name, row in first.compare(second).items():
        mark = " *" if row.significant else ""
        typer.echo(
            f"{name:<14} {row.first:7.4f} {row.second:7.4f}  {row.difference:+9.4f}  "
            f"[{row.low:+.4f}, {row.high:+.4f}]  {row.p:.4f}{mark}"
        )
