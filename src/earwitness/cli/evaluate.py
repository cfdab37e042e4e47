"""`earwitness evaluate`: caption a split of a manifest and score the captions."""

from __future__ import annotations

import hashlib
import json
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from earwitness.cli.errors import exit_on_error
from earwitness.cli.parts import Correct, CorrectorModel, Detector, Rerank, Retrieve, load_captioner
from earwitness.cli.progress import JobProgress
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
    from earwitness.studies.evaluation import Evaluated

Model = Annotated[str, typer.Option("--model", "-m", help="Checkpoint folder or hub name.")]
Data = Annotated[Path, typer.Option("--data", "-d", help="The split: a manifest (JSONL) with captions.")]
Out = Annotated[
    Path | None,
    typer.Option("--out", "-o", help="Folder of the results; default: evaluations/MODEL-DATA-SETTINGS."),
]
Metrics = Annotated[str, typer.Option(help="all, default (no neural models), or comma-separated names.")]
Beams = Annotated[int | None, typer.Option(min=1, help="Beam width.", show_default="the model's own")]
LengthPenalty = Annotated[
    float | None,
    typer.Option(
        help="Beams are ranked by log-probability / length ** this.", show_default="the model's own"
    ),
]
MaxNewTokens = Annotated[
    int | None, typer.Option(min=1, help="Maximum tokens of a caption.", show_default="40")
]
TopP = Annotated[
    float | None,
    typer.Option(min=0, max=1, help="Nucleus sampling with this probability mass, without beams."),
]
Temperature = Annotated[float | None, typer.Option(min=0.01, help="Sampling temperature; enables sampling.")]
Seed = Annotated[int, typer.Option(help="Seed of sampling.")]
Retrieved = Annotated[
    bool,
    typer.Option(help="Use the manifest's column `retrieved` in the model's prompt, if it has one for it."),
]
BatchSize = Annotated[int, typer.Option(min=1, help="Clips captioned at once.")]
Guide = Annotated[bool, typer.Option(help="Use the model's Token Guide.")]
Workers = Annotated[int, typer.Option(min=1, help="Threads that decode files ahead.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 ...")]
Dtype = Annotated[str, typer.Option(help="Of the language model: auto, float32, bfloat16, float16.")]


def evaluate(
    model: Model,
    data: Data,
    out: Out = None,
    metrics: Metrics = "all",
    beams: Beams = None,
    length_penalty: LengthPenalty = None,
    max_new_tokens: MaxNewTokens = None,
    top_p: TopP = None,
    temperature: Temperature = None,
    seed: Seed = 0,
    retrieve: Retrieve = None,
    retrieved: Retrieved = True,
    rerank: Rerank = False,
    correct: Correct = False,
    corrector: CorrectorModel = None,
    detector: Detector = None,
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
    judge_model: JudgeModel = None,
    neural_text: NeuralText = None,
) -> None:
    """Caption a split and score it.

    Writes captions.jsonl, report.json, report.csv, report.tex, worst.html and timing.json. An interrupted run
    resumes: captions in the folder are kept. Clips that cannot be read are reported at the end, and the exit
    status is then 1; scores exclude them. Of a clip longer than the model's maximum the loudest window is
    captioned; the report's signature counts such clips.

    \b
    earwitness evaluate --model runs/lamb/model --data audiocaps/test.jsonl
    earwitness evaluate --model runs/lamb/model --data audiocaps/test.jsonl --metrics default --out lamb
    earwitness evaluate --model M --data clotho/evaluation.jsonl --correct --corrector LLM --detector FILE
    earwitness evaluate --model M --data audiocaps/test.jsonl --retrieve STORE --beams 4
    earwitness evaluate --model M --data audiocaps/test.jsonl --top-p 0.9 --seed 1
    """
    from earwitness.devices import resolve_device
    from earwitness.studies.evaluation import Options, evaluate_split, read_split

    decoding = _decoding(beams, length_penalty, max_new_tokens, top_p, temperature)
    parts: dict[str, Any] = {"retrieve": retrieve, "rerank": rerank, "correct": correct}
    parts |= {"corrector": corrector, "detector": detector}
    with exit_on_error():
        if rerank and (beams == 1 or decoding.get("do_sample")):
            raise ValueError("--rerank chooses among beams: --beams must be 2 or more, without sampling")
        rows = read_split(data)
        shown = retrieved and retrieve is None and any(row.retrieved is not None for row in rows)
        settings = _settings(
            model, data, decoding, parts, guide=guide, dtype=dtype, retrieved=shown, seed=seed
        )
        folder = out or default_folder(settings)
        measures = given(
            document_frequency=frequencies_of(document_frequency),
            spice_home=spice_home,
            sbert_model=sbert_model,
            error_model=error_model,
            clap_model=clap_model,
            bert_model=bert_model,
            judge_model=judge_model,
            neural_text=neural_text,
            device=resolve_device(device),
        )
        parts["stored_frames"] = any((row.video or "").endswith(".npy") for row in rows)
        options = Options(batch_size, workers, shown, decoding | {"use_guide": guide}, seed)
        with JobProgress(len(rows)) as progress:
            evaluated = evaluate_split(
                lambda: load_captioner(model, device, dtype, **parts),
                rows,
                folder,
                settings,
                options,
                metrics,
                measures,
                progress,
            )
        _write(evaluated, folder, name_of_model(model))
    _print(evaluated, len(rows), folder, corrected=correct)
    _print_habits(evaluated.captions)
    if evaluated.failures:
        raise typer.Exit(1)


def _decoding(
    beams: int | None,
    length_penalty: float | None,
    max_new_tokens: int | None,
    top_p: float | None,
    temperature: float | None,
) -> dict[str, Any]:
    """Return the given options for `LanguageModel.generate`. Sampling draws one caption, without beams."""
    named = {"beams": beams, "length_penalty": length_penalty, "max_new_tokens": max_new_tokens}
    sampling = {"top_p": top_p, "temperature": temperature}
    chosen = {key: value for key, value in (named | sampling).items() if value is not None}
    if chosen.keys() & sampling.keys():
        chosen |= {"do_sample": True, "beams": beams or 1, "top_k": 0}
    return chosen


def _settings(
    model: str, data: Path, decoding: dict[str, Any], parts: dict[str, Any], **more: Any
) -> dict[str, Any]:
    """Return the settings on which the captions of a folder depend."""
    place = str(Path(model).absolute()) if Path(model).exists() else model
    given_parts = {key: str(value) if isinstance(value, Path) else value for key, value in parts.items()}
    return {"model": place, "data": str(data.absolute()), "decoding": decoding} | given_parts | more


def name_of_model(model: str) -> str:
    """Return RUN for the checkpoint RUN/model, else the last part of a folder or hub name."""
    path = Path(model)
    return path.absolute().parent.name if path.name == "model" and path.absolute().parent.name else path.name


def default_folder(settings: dict[str, Any]) -> Path:
    """Return a folder that is unique to the run, split and settings."""
    mark = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:8]
    data = Path(settings["data"])
    return Path("evaluations") / f"{name_of_model(settings['model'])}-{data.parent.name}-{data.stem}-{mark}"


def _write(evaluated: Evaluated, folder: Path, name: str) -> None:
    from earwitness.metrics.worst_cases import write_page
    from earwitness.studies.evaluation import sounds

    report = evaluated.report
    for ending in (".csv", ".tex"):
        write_report(report, folder / f"report{ending}", name)
    if report.clips:
        audio = dict(zip(report.ids, sounds(evaluated.rows)))
        with _status("Writing the page of the worst captions"):
            write_page(report, folder / "worst.html", audio=audio, title=f"Worst captions of {name}")


def _print(evaluated: Evaluated, count: int, folder: Path, *, corrected: bool) -> None:
    typer.echo(str(evaluated.report))
    typer.echo(f"captions.jsonl, report.json, .csv, .tex and worst.html are in {folder}", err=True)
    timing = evaluated.timing
    if timing["clips"]:
        pace = f"{timing['seconds_per_clip']:.3f} s a clip, {timing['clips_per_second']:.2f} clips/s"
        typer.echo(f"{pace}, without the loading of the model.", err=True)
    if evaluated.cut:
        typer.echo(
            f"{len(evaluated.cut)} of {count} clips are longer than the model takes at once: the loudest "
            "window of each was captioned.",
            err=True,
        )
    if corrected:
        typer.echo(f"{evaluated.corrected} of {count} captions were corrected.", err=True)
    unscored = count - len(evaluated.failures) - len(evaluated.rows)
    if unscored:
        typer.echo(f"{unscored} of {count} clips have no references and are not scored.", err=True)
    if evaluated.failures:
        typer.echo(
            f"{len(evaluated.failures)} of {count} clips could not be read; scores exclude them:", err=True
        )
        for name, reason in evaluated.failures.items():
            typer.echo(f"  {name}: {reason}", err=True)


def _print_habits(captions: list[str]) -> None:
    """Warn of captions that are all alike, or all begin alike, as those of a chatting language model."""
    from earwitness.metrics.habits import Habits

    habits = Habits.of(captions)
    typer.echo(f"{habits}.", err=True)
    for warning in habits.warnings():
        typer.echo(f"Warning: {warning}.", err=True)


def _status(text: str) -> AbstractContextManager[object]:
    from rich.console import Console

    return Console(stderr=True).status(text)
