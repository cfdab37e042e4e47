"""What `earwitness score` and `earwitness evaluate` share: options of the metrics, and reports as files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from earwitness.atomic_write import atomic_write_text

if TYPE_CHECKING:
    from earwitness.metrics.report import Report

SpiceHome = Annotated[Path | None, typer.Option(help="Folder of the official SPICE program.")]
SbertModel = Annotated[str | None, typer.Option(help="Hub name or folder, for sbert_sim and fense.")]
ErrorModel = Annotated[
    str | None, typer.Option(help="FENSE's error detector, for fer, fense, mace and spider_fl.")
]
ClapModel = Annotated[str | None, typer.Option(help="Hub name or folder, for clap_score and mace.")]
BertModel = Annotated[str | None, typer.Option(help="Hub name or folder, for bert_score.")]
DocumentFrequencies = Annotated[
    Path | None,
    typer.Option(help="References that weigh CIDEr-D's words, for values comparable between subsets."),
]


def given(**settings: Any) -> dict[str, Any]:
    """The settings that were chosen, as `score` takes them."""
    return {
        name: str(value) if isinstance(value, Path) else value
        for name, value in settings.items()
        if value is not None
    }


def frequencies_of(path: Path | None, *, tokenize: bool = True) -> Any:
    """Document frequencies of a file of references, None for None."""
    if path is None:
        return None
    from earwitness.metrics.cider_d import DocumentFrequency
    from earwitness.metrics.corpus import Corpus
    from earwitness.metrics.files import read_captions

    references = list(read_captions(path).values())
    corpus = Corpus([""] * len(references), references, tokenize=tokenize)
    return DocumentFrequency.from_tokens(corpus.reference_tokens)


def write_report(report: Report, out: Path, name: str) -> None:
    """As the ending says: .json (everything), .csv (a row a clip) or .tex (a table)."""
    ending = out.suffix.lower()
    if ending == ".json":
        report.to_json(out)
    elif ending == ".csv":
        report.to_csv(out)
    else:
        atomic_write_text(out, report.to_latex(name))
