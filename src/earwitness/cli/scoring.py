"""Shared by `earwitness score` and `earwitness evaluate`: options of the metrics, and reports as files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from earwitness.atomic_write import atomic_write_text

if TYPE_CHECKING:
    from earwitness.metrics.comparison import Difference
    from earwitness.metrics.report import Report

SpiceHome = Annotated[Path | None, typer.Option(help="Folder of the official SPICE program.")]
SbertModel = Annotated[str | None, typer.Option(help="Hub name or folder, for sbert_sim and fense.")]
ErrorModel = Annotated[
    str | None, typer.Option(help="FENSE's error detector, for fer, fense, mace and spider_fl.")
]
ClapModel = Annotated[str | None, typer.Option(help="Hub name or folder, for clap_score and mace.")]
BertModel = Annotated[str | None, typer.Option(help="Hub name or folder, for bert_score.")]
JudgeModel = Annotated[
    str | None, typer.Option(help="Folder or GGUF file of an instruct model, for clair_a.")
]
NeuralText = Annotated[
    str | None,
    typer.Option(help="Input of neural metrics: raw captions, or ptb, tokenized ones as in DCASE's tables."),
]
DocumentFrequencies = Annotated[
    Path | None,
    typer.Option(
        help="References for CIDEr-D's document frequencies, for values comparable between subsets."
    ),
]


def given(**settings: Any) -> dict[str, Any]:
    """Return the chosen settings as arguments of `score`."""
    return {
        name: str(value) if isinstance(value, Path) else value
        for name, value in settings.items()
        if value is not None
    }


def frequencies_of(path: Path | None, *, tokenize: bool = True) -> Any:
    """Return the document frequencies of a file of references; None for None."""
    if path is None:
        return None
    from earwitness.metrics.cider_d import DocumentFrequency
    from earwitness.metrics.corpus import Corpus
    from earwitness.metrics.files.scoring import read_captions

    references = list(read_captions(path).values())
    corpus = Corpus([""] * len(references), references, tokenize=tokenize)
    return DocumentFrequency.from_tokens(corpus.reference_tokens)


def write_report(
    report: Report,
    out: Path,
    name: str,
    *,
    intervals: Mapping[str, tuple[float, float]] | None = None,
    other: tuple[str, Report] | None = None,
    differences: Mapping[str, Difference] | None = None,
) -> None:
    """Write a report by the path's ending: .json (complete), .csv (a row per clip) or .tex (a table).

    other: a second system's name and report, which go into the file as well. differences: to that system;
    only JSON holds them, and the intervals.
    """
    from earwitness.metrics.report import latex_table, report_csv

    ending = out.suffix.lower()
    if ending == ".csv":
        atomic_write_text(out, report_csv(report, other))
    elif ending == ".tex":
        systems = {name: report}
        if other is not None:
            systems[other[0] if other[0] != name else f"{name} (other)"] = other[1]
        shared = [each for each in report.corpus if all(each in system.corpus for system in systems.values())]
        atomic_write_text(out, latex_table(systems, shared))
    else:
        found = report.to_dict() | {"intervals": dict(intervals or {})}
        if other is not None:
            rows = {
                each: row._asdict() | {"significant": row.significant}
                for each, row in (differences or {}).items()
            }
            found["comparison"] = {"system": other[0], "signature": other[1].signature, "metrics": rows}
        atomic_write_text(out, json.dumps(found, ensure_ascii=False, indent=1) + "\n")
