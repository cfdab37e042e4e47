"""Plan of a study: the trainings and evaluations behind each row of the tables, shared ones once.

A training is one stage of a preset, initialised from the training of the stage before it. Rows with equal
models and equal stages up to one share its training: LAMB's pre-training serves AudioCaps and Clotho.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from earwitness.config.data import ManifestData
from earwitness.config.errors import ConfigError
from earwitness.config.preset import Preset, load_preset, override_value
from earwitness.studies.published import DataSet, Paper, Row, Table, published

PARTS = "parts."  # begins an override of every part of a kind: parts.qformer.hidden=256
OWN = {"workers", "trainer"}  # of a stage: what does not change its result


@dataclass(frozen=True)
class Request:
    """The options of a study.

    tables: by number; none: all. seeds: how many, from 0. overrides: of every row's preset, before the row's
    own. base: a preset or recipe in place of the paper's. data: a folder with train.jsonl, validation.jsonl
    and test.jsonl in place of the paper's sets.
    """

    paper: str
    tables: Sequence[str] = ()
    seeds: int = 1
    overrides: Sequence[str] = ()
    base: str | None = None
    data: Path | None = None


@dataclass(frozen=True)
class Training:
    """A stage and the training before it. preset: has the stages up to this one, and runs this one alone."""

    preset: Preset
    before: Training | None

    @property
    def number(self) -> int:
        return len(self.preset.stages) - 1

    @property
    def name(self) -> str:
        """Name of its folder: the stage's name, the seed, and a hash of all that the result depends on."""
        stage = self.preset.stages[-1]
        recipe = self.preset.model_dump(mode="json", include={"model", "init", "stages"})
        for section in recipe["stages"]:
            for key in OWN:
                section.pop(key, None)
        mark = hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()[:10]
        return f"{stage.name}-s{stage.seed}-{mark}"

    def chain(self) -> list[Training]:
        """The trainings up to this one, first to last."""
        return [*(self.before.chain() if self.before else []), self]


@dataclass(frozen=True)
class Trial:
    """A row on a test set with a seed: its training and evaluation settings."""

    table: str
    row: Row
    test: str  # name of the set
    seed: int
    training: Training
    manifest: str
    store: str | None

    @property
    def name(self) -> str:
        """Name of the evaluation's folder, shared by trials with equal models and settings."""
        settings = [self.training.name, self.manifest, self.store, self.row.decoding.model_dump()]
        mark = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:10]
        return f"{self.test}-s{self.seed}-{mark}"


@dataclass
class Plan:
    """All trials of a study, table by table; left_out: rows that this study cannot include, and why."""

    paper: Paper
    tables: dict[str, Table]
    trials: list[Trial] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)

    def beside(self, test: str) -> str:
        """The published set to compare a test set with: itself, or the paper's first set for other data."""
        return test if test in self.paper.sets else next(iter(self.paper.sets))

    def trainings(self) -> dict[str, Training]:
        """Name -> training, each once, after those it depends on."""
        return {step.name: step for trial in self.trials for step in trial.training.chain()}

    def evaluations(self) -> dict[str, Trial]:
        return {trial.name: trial for trial in self.trials}


def make_plan(request: Request) -> Plan:
    """Plan a study. Raises ConfigError for an unknown table or override."""
    paper = published(request.paper)
    numbers = list(request.tables) or list(paper.tables)
    if unknown := [number for number in numbers if number not in paper.tables]:
        raise ConfigError(
            f"{paper.paper} has no table {', '.join(unknown)}; there are {', '.join(paper.tables)}"
        )
    plan = Plan(paper, {number: paper.tables[number] for number in numbers})
    for number, table in plan.tables.items():
        for row in table.rows:
            if request.data is not None and row.train is not None:
                plan.left_out[f"{number}: {row.name}"] = "needs two sets; --data has one"
                continue
            for test in _tests(request, row):
                for seed in range(request.seeds):
                    plan.trials.append(_trial(request, paper, number, row, test, seed))
    return plan


def _tests(request: Request, row: Row) -> list[str]:
    return list(row.published) if request.data is None else [request.data.name or str(request.data)]


def _trial(request: Request, paper: Paper, number: str, row: Row, test: str, seed: int) -> Trial:
    if request.data is not None:
        tested = trained = DataSet(test=str(request.data / "test.jsonl"))
    else:
        tested, trained = paper.sets[test], paper.sets[row.train or test]
    shared, preset = (recipe(request, paper, row, s, seed) for s in (DataSet(test=trained.test), trained))
    return Trial(number, row, test, seed, _chained(shared, preset), tested.test, tested.store)


def recipe(request: Request, paper: Paper, row: Row, trained: DataSet, seed: int) -> Preset:
    """Build a row's preset: overrides of the set, the request, the row, and of parts of a kind."""
    general = [o for o in request.overrides if not o.startswith(PARTS)]
    base = request.base if request.base and row.preset is None else row.preset or paper.preset
    preset = load_preset(base, [*trained.overrides, *general, *row.overrides, f"stages.*.seed={seed}"])
    data = preset.model_dump()
    if request.data is not None:
        for stage in data["stages"]:
            if stage["data"]["kind"] == "manifest":
                stage["data"]["train"] = [{"path": str(request.data / "train.jsonl")}]
                stage["data"]["validation"] = [str(request.data / "validation.jsonl")]
    for override in request.overrides:
        if override.startswith(PARTS):
            _set_parts(data["model"], override)
    return Preset.model_validate(data)


def _set_parts(model: dict[str, Any], override: str) -> None:
    """Apply parts.KIND.key=value: set the key in every fusion and adapter of that kind that has it."""
    path, equals, value = override.removeprefix(PARTS).partition("=")
    kind, dot, key = path.partition(".")
    if not equals or not dot:
        raise ConfigError(f"override {override!r} is not of the form parts.KIND.key=value")
    for part in [model.get("fusion"), *model["adapter"]]:
        if part and part["kind"] == kind and key in part:
            part[key] = override_value(value)


def _chained(shared: Preset, preset: Preset) -> Training:
    """Chain the trainings: the last stage has its set's settings, earlier ones those that all sets share."""
    chosen = [n for n, stage in enumerate(preset.stages) if not preset.only or stage.name in preset.only]
    training: Training | None = None
    for number in chosen:
        recipe = (preset if number == chosen[-1] else shared).model_dump()
        recipe |= {"stages": recipe["stages"][: number + 1], "only": [recipe["stages"][number]["name"]]}
        if training is not None:
            recipe["init"] = None  # the training before it, whose folder the study knows
        training = Training(Preset.model_validate(recipe | {"report_to": []}), training)
    if training is None:
        raise ConfigError(f"{preset.description}: the preset has no stage to train")
    return training


def described(plan: Plan) -> Iterator[str]:
    """Yield the plan as lines: every row with its trainings and test, and the totals."""
    trainings, evaluations = plan.trainings(), plan.evaluations()
    users: dict[str, int] = {}
    for trial in plan.trials:
        users[trial.training.name] = users.get(trial.training.name, 0) + 1
    for number, table in plan.tables.items():
        yield f"{plan.paper.paper} {number}: {table.title} (reference: {table.reference})"
        for trial in plan.trials:
            if trial.table == number:
                yield from _row_lines(trial)
    for place, why in plan.left_out.items():
        yield f"left out, {place}: {why}"
    yield f"{len(trainings)} trainings and {len(evaluations)} evaluations for {len(plan.trials)} trials"


def _row_lines(trial: Trial) -> Iterator[str]:
    overrides = " ".join(trial.row.overrides) or "the preset as it is"
    yield f"  {trial.row.name} on {trial.test}, seed {trial.seed}: {overrides}"
    for step in trial.training.chain():
        stage = step.preset.stages[-1]
        data = stage.data
        sets = ", ".join(s.path for s in data.train) if isinstance(data, ManifestData) else data.kind
        epochs = f"{data.epochs:g} epochs of " if hasattr(data, "epochs") else ""
        yield (
            f"    {step.name}: {epochs}{sets}, batch {stage.batch_size}, "
            f"learning rate {stage.learning_rate:g}, warm-up {stage.warmup:g}"
        )
    options = trial.row.decoding.model_dump(exclude_defaults=True)
    decoding = ", ".join(f"{key} {value}" for key, value in options.items())
    yield f"    test: {trial.manifest}{f', {decoding}' if decoding else ''}"
