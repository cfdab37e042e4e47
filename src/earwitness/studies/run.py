"""Runs a plan: trains, evaluates, measures. What a stopped study left done is not done again."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from earwitness.atomic_write import atomic_write_text
from earwitness.captioner_parts import Parts, load_captioner
from earwitness.checkpoints.folder import WEIGHTS, load_checkpoint
from earwitness.config.errors import ConfigError
from earwitness.devices import resolve_device
from earwitness.studies.evaluation import Options, evaluate_split, read_split
from earwitness.studies.plan import Plan, Training, Trial
from earwitness.training.preflight import look
from earwitness.training.run import train

Say = Callable[[str], None]
FIGURES = "figures.json"


@dataclass(frozen=True)
class Testing:
    """How models are tested. metrics, measures: of `score`."""

    metrics: str = "all"
    measures: dict[str, Any] = field(default_factory=dict)
    batch_size: int = 16
    workers: int = 1
    device: str = "auto"
    dtype: str = "auto"
    store: Path | None = None  # datastore in place of the one that the paper's set names
    corrector: str | None = None
    detector: str | None = None


def faults(plan: Plan, out: Path) -> list[str]:
    """Find the faults of all trainings and tests before anything is trained; each fault once."""
    found: dict[str, None] = {}
    for training in plan.trainings().values():
        try:
            look(training.preset, out / "look")
        except ConfigError as error:
            found[str(error)] = None
    for manifest in {trial.manifest: None for trial in plan.trials}:
        try:
            read_split(Path(manifest))
        except ValueError as error:
            found[str(error)] = None
    return list(found)


def run_plan(plan: Plan, out: Path, testing: Testing, say: Say) -> dict[str, dict[str, float]]:
    """Trains and tests all that is not done yet; name of an evaluation -> metric -> value.

    Raises what training raises: ConfigError, Stopped, DiskFullError ...
    """
    trainings, evaluations = plan.trainings(), plan.evaluations()
    for number, (name, training) in enumerate(trainings.items(), 1):
        if (out / "trained" / name / "model" / WEIGHTS).is_file():
            continue
        say(f"training {number} of {len(trainings)}: {name}")
        run_training(training, out)
    figures: dict[str, dict[str, float]] = {}
    for number, (name, trial) in enumerate(evaluations.items(), 1):
        file = out / "evaluated" / name / FIGURES
        if not file.is_file():
            what = f"{trial.row.name} on {trial.test}, seed {trial.seed}"
            say(f"evaluation {number} of {len(evaluations)}: {what}")
            atomic_write_text(file, json.dumps(run_trial(trial, out, testing), indent=1) + "\n")
        figures[name] = json.loads(file.read_text("utf-8"))
    for trial in plan.trials:  # of tables that share a trial, one may need the gap
        asked = any(metric.startswith("gap_") for metric in plan.tables[trial.table].metrics())
        if asked and "gap_l2" not in figures[trial.name]:
            figures[trial.name] |= measured_gap(trial, out, testing)
            text = json.dumps(figures[trial.name], indent=1) + "\n"
            atomic_write_text(out / "evaluated" / trial.name / FIGURES, text)
    return figures


def run_training(training: Training, out: Path) -> None:
    """Train one stage from the model of the stage before it."""
    preset = training.preset
    if training.before is not None:
        init = str(out / "trained" / training.before.name)
        preset = type(preset).model_validate(preset.model_dump() | {"init": init})
    with redirect_stdout(sys.stderr):  # where the table is printed, nothing else is
        train(preset, out / "trained" / training.name)


def run_trial(trial: Trial, out: Path, testing: Testing) -> dict[str, float]:
    """Captions the test set; the metrics, the minutes it took, the validation loss of the training."""
    model = out / "trained" / trial.training.name / "model"
    parts = parts_of(trial, testing)
    evaluated = evaluate_split(
        lambda: load_captioner(str(model), testing.device, testing.dtype, parts),
        read_split(Path(trial.manifest)),
        out / "evaluated" / trial.name,
        {"model": str(model), "data": trial.manifest, "decoding": trial.row.decoding.model_dump()},
        options_of(trial, testing),
        testing.metrics,
        testing.measures,
    )
    if failures := evaluated.failures:
        raise ConfigError(f"{trial.manifest}: {len(failures)} clips cannot be read: {failures}")
    minutes = {"minutes": evaluated.timing["seconds"] / 60}
    return evaluated.report.corpus | minutes | validation_loss(out / "trained" / trial.training.name)


def options_of(trial: Trial, testing: Testing) -> Options:
    chosen = trial.row.decoding.model_dump(include={"beams", "length_penalty", "max_new_tokens"})
    decoding = {key: value for key, value in chosen.items() if value is not None}
    shown = trial.row.decoding.retrieve == "manifest"
    return Options(testing.batch_size, testing.workers, shown, decoding, trial.seed)


def parts_of(trial: Trial, testing: Testing) -> Parts:
    """Raises ConfigError for a row that searches a datastore where none is named."""
    decoding, store = trial.row.decoding, None
    if decoding.retrieve == "store":
        store = testing.store or (Path(trial.store) if trial.store else None)
        if store is None:
            raise ConfigError(
                f"{trial.row.name}: searches a datastore while captioning; name it with --store"
            )
    return Parts(
        retrieve=store,
        rerank=decoding.rerank,
        correct=decoding.correct,
        corrector=testing.corrector if decoding.correct else None,
        detector=testing.detector if decoding.correct else None,
        stored_frames=True,
    )


def validation_loss(run: Path) -> dict[str, float]:
    """The cross-entropy of the captions, nats a token, that the last stage reached."""
    (done,) = run.glob("*/done.json")
    metrics = json.loads(done.read_text("utf-8"))
    return {"loss": metrics["eval_caption"]} if "eval_caption" in metrics else {}


def measured_gap(trial: Trial, out: Path, testing: Testing) -> dict[str, float]:
    """LAMB's modality gap over the pairs of the test set, as `earwitness gap` measures it."""
    from earwitness.analysis.modality_gap import embed_pairs, gap_figures

    model = load_checkpoint(out / "trained" / trial.training.name / "model")
    rows = [row for row in read_split(Path(trial.manifest)) if row.captions]
    embedded = embed_pairs(model.to(resolve_device(testing.device)), rows, batch_size=testing.batch_size)
    return {f"gap_{name}": value for name, value in gap_figures(embedded)["pairs"].items()}
