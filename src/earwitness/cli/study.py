"""`earwitness study`: train and evaluate a paper's tables and compare them with the published figures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from earwitness.cli.errors import fail
from earwitness.cli.scoring import ClapModel, ErrorModel, SbertModel, SpiceHome, given

if TYPE_CHECKING:
    from earwitness.studies.plan import Plan
    from earwitness.studies.run import Testing

PaperName = Annotated[
    str | None, typer.Argument(help="lamb, lavcap, loae or distillcaps; with --check, default: all.")
]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(help="key.path=value for every row; parts.KIND.key=value for every part of a kind."),
]
TableNumbers = Annotated[
    list[str] | None, typer.Option("--table", "-t", help="Number of a table; repeatable; default: all.")
]
Seeds = Annotated[int, typer.Option(min=1, help="Seeds per row; verdicts need at least two.")]
Out = Annotated[Path | None, typer.Option("--out", "-o", help="Folder of the study; default: studies/PAPER.")]
Base = Annotated[str | None, typer.Option(help="A preset or recipe in place of the paper's preset.")]
DataFolder = Annotated[
    Path | None,
    typer.Option("--data", "-d", help="Folder with train, validation and test.jsonl in place of the sets."),
]
SceneBank = Annotated[
    Path | None,
    typer.Option("--scenes", help="Bank of recordings: composes the data from it, needs --captions."),
]
Captions = Annotated[list[str] | None, typer.Option(help="Captions that training scenes follow; repeatable.")]
TestCaptions = Annotated[list[str] | None, typer.Option(help="Captions of the other scenes; repeatable.")]
Count = Annotated[int, typer.Option(min=1, help="Training scenes.")]
TestCount = Annotated[int, typer.Option(min=1, help="Validation scenes, and as many test scenes.")]
Check = Annotated[bool, typer.Option("--check", help="Print the plan and what is missing.")]
Store = Annotated[Path | None, typer.Option(help="Datastore for rows that retrieve at test time.")]
CorrectorModel = Annotated[
    str | None,
    typer.Option("--corrector", help="Language model for rows with correction, in place of the preset's."),
]
Detector = Annotated[
    str | None,
    typer.Option("--detector", help="Error detector for rows with correction, in place of the preset's."),
]
Metrics = Annotated[str, typer.Option(help="all, default (no neural models), or comma-separated names.")]
BatchSize = Annotated[int, typer.Option(min=1, help="Clips captioned at once.")]
Workers = Annotated[int, typer.Option(min=1, help="Threads that decode test files ahead.")]
Device = Annotated[str, typer.Option(help="For tests: auto, cpu, cuda, cuda:1 ...")]
Dtype = Annotated[str, typer.Option(help="Of the language model at test: auto, float32, bfloat16, float16.")]


def study(
    paper: PaperName = None,
    overrides: Overrides = None,
    table: TableNumbers = None,
    seeds: Seeds = 3,
    out: Out = None,
    base: Base = None,
    data: DataFolder = None,
    scenes: SceneBank = None,
    captions: Captions = None,
    test_captions: TestCaptions = None,
    count: Count = 1280,
    test_count: TestCount = 230,
    check: Check = False,
    store: Store = None,
    corrector: CorrectorModel = None,
    detector: Detector = None,
    metrics: Metrics = "all",
    batch_size: BatchSize = 16,
    workers: Workers = 1,
    device: Device = "auto",
    dtype: Dtype = "auto",
    spice_home: SpiceHome = None,
    sbert_model: SbertModel = None,
    error_model: ErrorModel = None,
    clap_model: ClapModel = None,
) -> None:
    """Reproduce a paper's tables: train and test each row, print it beside the published figures.

    Rows that share a training or a test share its result. A stopped study is resumed by the same command.
    Writes study.csv, study.tex and study.txt; runs are in trained/, evaluations in evaluated/.

    \b
    earwitness study --check                                       the plan of every table of every paper
    earwitness study lamb --table 4 --seeds 3 --out runs/t4
    earwitness study lamb --table 4 model.language_model.source=/models/Llama-2-7b-hf
    earwitness study lavcap --table III --base mine.yaml parts.joint.heads=4
    earwitness study lamb --scenes BANK --captions train.csv --test-captions val.csv --base mine.yaml
    """
    from earwitness.studies.plan import Request, make_plan
    from earwitness.studies.published import papers
    from earwitness.training.callbacks import DiskFullError, Stopped, WorkerLostError
    from earwitness.weights.errors import CheckpointError

    if paper is None and not check:
        raise fail(f"name a paper: {', '.join(papers())}; or --check for the plan of all")
    folder = out or Path("studies") / (paper or "all")
    try:
        if scenes is not None:
            data = _composed(scenes, captions, test_captions, count, test_count, folder / "data")
        names = papers() if paper is None else [paper]
        requests = [Request(name, table or [], seeds, overrides or [], base, data) for name in names]
        if check:
            _check([make_plan(request) for request in requests], folder)
            return
        measures = given(
            spice_home=spice_home, sbert_model=sbert_model, error_model=error_model, clap_model=clap_model
        )
        from earwitness.metrics.evaluation import checked
        from earwitness.studies.run import Testing

        checked(metrics, measures)
        testing = Testing(metrics, measures, batch_size, workers, device, dtype, store, corrector, detector)
        _run(make_plan(requests[0]), folder, testing)
    except (CheckpointError, DiskFullError, WorkerLostError, ValueError, OSError) as error:
        raise fail(error) from None
    except Stopped as stop:
        typer.echo(f"{stop}; repeat the command to resume", err=True)
        raise typer.Exit(143) from None


def _composed(
    bank: Path,
    captions: list[str] | None,
    test_captions: list[str] | None,
    count: int,
    test_count: int,
    out: Path,
) -> Path:
    from earwitness.captioner import DEFAULT
    from earwitness.checkpoints.folder import load_checkpoint
    from earwitness.studies.compose import Scenes, compose

    if not captions or not test_captions:
        raise ValueError("--scenes needs --captions for training and --test-captions for the other scenes")
    scenes = Scenes(bank, captions, test_captions, train=count, held_out=test_count)
    compose(scenes, out, load_checkpoint(DEFAULT))
    return out


def _check(plans: list[Plan], out: Path) -> None:
    """Print the plans, then their faults; exit with status 2 if there are any."""
    from earwitness.studies.plan import described
    from earwitness.studies.run import faults

    for plan in plans:
        for line in described(plan):
            typer.echo(line)
    if found := dict.fromkeys(fault for plan in plans for fault in faults(plan, out)):
        raise fail("\n".join(found))
    typer.echo("No faults found in recipes and data")


def _run(plan: Plan, out: Path, testing: Testing) -> None:
    from earwitness.atomic_write import atomic_write_text
    from earwitness.config.errors import ConfigError
    from earwitness.studies.aggregate import cells
    from earwitness.studies.render import csv_text, latex_tables, text_tables
    from earwitness.studies.run import faults, run_plan

    if found := faults(plan, out):
        raise ConfigError("\n".join(found))
    figures = run_plan(plan, out, testing, lambda line: typer.echo(line, err=True))
    table = list(cells(plan, figures))
    text = "\n".join(text_tables(plan, table)) + "\n"
    for name, content in (("txt", text), ("csv", csv_text(plan, table)), ("tex", latex_tables(plan, table))):
        atomic_write_text(out / f"study.{name}", content)
    typer.echo(text, nl=False)
    typer.echo(f"study.txt, .csv and .tex are in {out}", err=True)
