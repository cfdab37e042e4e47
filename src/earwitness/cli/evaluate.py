"""`earwitness evaluate`: captions a split of a manifest and scores what was said."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from earwitness.cli.errors import exit_on_error
from earwitness.cli.evaluation_folder import CaptionFile, open_folder
from earwitness.cli.progress import JobProgress
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
from earwitness.media.containers import MediaError

if TYPE_CHECKING:
    from earwitness.captioner import Captioner
    from earwitness.captions import Caption
    from earwitness.data.manifest import Row
    from earwitness.metrics.report import Report
    from earwitness.metrics.sounds import Sound

Model = Annotated[str, typer.Option("--model", "-m", help="Checkpoint folder or hub name.")]
Data = Annotated[Path, typer.Option("--data", "-d", help="The split: a manifest (JSONL) with captions.")]
Out = Annotated[
    Path | None, typer.Option("--out", "-o", help="Folder of the results; none: evaluations/MODEL-DATA.")
]
Metrics = Annotated[str, typer.Option(help="all, default (no neural models), or names with commas between.")]
Beams = Annotated[
    int | None, typer.Option(min=1, help="Beams of the search.", show_default="the model's own")
]
BatchSize = Annotated[int, typer.Option(min=1, help="Clips captioned at once.")]
Guide = Annotated[bool, typer.Option(help="The model's Token Guide, if it has one.")]
Workers = Annotated[int, typer.Option(min=1, help="Threads that decode files ahead.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 ...")]
Dtype = Annotated[str, typer.Option(help="Of the language model: auto, float32, bfloat16, float16.")]


def evaluate(
    model: Model,
    data: Data,
    out: Out = None,
    metrics: Metrics = "all",
    beams: Beams = None,
    batch_size: BatchSize = 16,
    guide: Guide = True,
    workers: Workers = 1,
    device: Device = "auto",
    dtype: Dtype = "auto",
    document_frequency: DocumentFrequencies = None,
    spice_home: SpiceHome = None,
    sbert_model: SbertModel = None,
    error_model: ErrorModel = None,
    clap_model: ClapModel = None,
    bert_model: BertModel = None,
) -> None:
    """Caption a split and score it.

    Writes captions.jsonl, report.json, report.csv, report.tex and worst.html. A run that was stopped goes
    on: captions that are in the folder are kept. Clips that cannot be heard are named at the end and make
    the exit status 1; the others are scored without them.

    \b
    earwitness evaluate --model runs/lamb/model --data audiocaps/test.jsonl
    earwitness evaluate --model runs/lamb/model --data audiocaps/test.jsonl --metrics default --out lamb
    """
    from earwitness.devices import resolve_device

    folder = out or Path("evaluations") / f"{Path(model).name}-{data.stem}"
    settings = {"model": model, "data": str(data.absolute()), "beams": beams, "guide": guide, "dtype": dtype}
    chosen = {"batch_size": batch_size, "beams": beams, "use_guide": guide, "workers": workers}
    failures: dict[str, str] = {}  # id -> why it has no caption
    with exit_on_error():
        rows = _read(data)
        measures = given(
            document_frequency=frequencies_of(document_frequency),
            spice_home=spice_home,
            sbert_model=sbert_model,
            error_model=error_model,
            clap_model=clap_model,
            bert_model=bert_model,
            device=resolve_device(device),
        )
        with CaptionFile(open_folder(folder, settings) / "captions.jsonl") as captions:
            if todo := [row for row in rows if row.id not in captions.texts]:
                captioner = _load(model, device, dtype)
                for row, caption in _listen(captioner, todo, failures, chosen):
                    captions.add(row.id, caption, captioner.name)
        judged = [row for row in rows if row.id in captions.texts and row.captions]
        report = _score(judged, captions.texts, metrics, measures)
        _write(report, judged, folder, Path(model).name)
    _tell(report, rows, failures, folder)
    if failures:
        raise typer.Exit(1)


def _read(data: Path) -> list[Row]:
    """The rows of a manifest; they must have ids of their own, and captions to be judged by."""
    from earwitness.data.manifest import Manifest

    rows = list(Manifest.open(data))
    double = [name for name, count in Counter(row.id for row in rows).items() if count > 1]
    if double:
        raise ValueError(f"{data}: {len(double)} ids stand in several rows, the first is {double[0]!r}")
    if not any(row.captions for row in rows):
        raise ValueError(f"{data}: no row has captions to judge by")
    return rows


def _load(model: str, device: str, dtype: str) -> Captioner:
    with _status("Loading the model"):
        from earwitness.captioner import Captioner

        return Captioner.from_pretrained(model, device=device, dtype=dtype)


def _listen(
    captioner: Captioner, rows: Sequence[Row], failures: dict[str, str], options: dict[str, Any]
) -> Iterator[tuple[Row, Caption]]:
    """The captions of rows as they come; of what cannot be heard, why not goes into `failures`."""
    waiting: deque[Row] = deque()  # rows that the captioner has taken
    reasons: deque[str] = deque()  # why it could not hear those of them that have no caption

    def sources() -> Iterator[Any]:
        for row in rows:
            try:
                source = _source(row, captioner)
            except MediaError as error:
                failures[row.id] = error.reason
                continue
            waiting.append(row)
            yield source

    with JobProgress(len(rows)) as progress:
        stream = captioner.stream(
            sources(), on_error=lambda _, error: reasons.append(error.reason), **options
        )
        for done, caption in enumerate(stream, 1):
            progress(done, 0.0 if caption is None else caption.end - caption.start)
            row = waiting.popleft()
            if caption is None:
                failures[row.id] = reasons.popleft()
            else:
                start, end = row.start + caption.start, row.start + caption.end
                yield row, replace(caption, source=row.audio, start=start, end=end)


def _source(row: Row, captioner: Captioner) -> Any:
    """What the captioner is given: a whole file by its name, a stretch of one as sound."""
    if not row.start and row.end is None:
        return row.video if row.video and captioner.sampler else row.audio
    from earwitness.media.reading import load_audio

    return load_audio(row.audio, captioner.sample_rate, start=row.start, end=row.end).waveform


def _score(rows: Sequence[Row], texts: dict[str, str], metrics: str, settings: dict[str, Any]) -> Report:
    from earwitness.metrics import score

    if not rows:
        raise ValueError("no clip that has captions to judge by could be heard: there is nothing to score")
    with _status("Scoring"):
        return score(
            [texts[row.id] for row in rows],
            [row.captions for row in rows],
            metrics,
            ids=[row.id for row in rows],
            audio=list(_sounds(rows).values()),
            **settings,
        )


def _sounds(rows: Sequence[Row]) -> dict[str, Sound]:
    from earwitness.metrics.sounds import Sound

    return {row.id: Sound(row.audio, row.start, row.end) for row in rows}


def _write(report: Report, rows: Sequence[Row], folder: Path, name: str) -> None:
    from earwitness.metrics.worst_cases import write_page

    for ending in (".json", ".csv", ".tex"):
        write_report(report, folder / f"report{ending}", name)
    if report.clips:
        write_page(report, folder / "worst.html", audio=_sounds(rows), title=f"Worst captions of {name}")


def _tell(report: Report, rows: Sequence[Row], failures: dict[str, str], folder: Path) -> None:
    typer.echo(str(report))
    typer.echo(f"captions.jsonl, report.json, .csv, .tex and worst.html are in {folder}", err=True)
    without = sum(not row.captions for row in rows)
    if without:
        typer.echo(
            f"{without} of {len(rows)} clips have no captions to judge by and are not scored.", err=True
        )
    if failures:
        typer.echo(
            f"{len(failures)} of {len(rows)} clips could not be heard; scores leave them out:", err=True
        )
        for name, reason in failures.items():
            typer.echo(f"  {name}: {reason}", err=True)


def _status(text: str) -> AbstractContextManager[object]:
    from rich.console import Console

    return Console(stderr=True).status(text)
