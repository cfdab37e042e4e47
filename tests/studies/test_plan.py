"""What a study does: rows as trainings and tests, shared where rows agree."""

from __future__ import annotations

from pathlib import Path

import pytest

from earwitness.config.errors import ConfigError
from earwitness.studies.plan import Request, described, make_plan
from earwitness.studies.published import papers, published


@pytest.mark.parametrize("paper", papers())
def test_every_table_has_a_plan_for_every_row_and_set(paper: str) -> None:
    plan = make_plan(Request(paper, seeds=2))
    wanted = [
        (number, row.name, test, seed)
        for number, _, row in published(paper).rows()
        for test in row.published
        for seed in range(2)
    ]
    assert [(t.table, t.row.name, t.test, t.seed) for t in plan.trials] == wanted
    lines = "\n".join(described(plan))
    assert all(row.name in lines for _, _, row in published(paper).rows())
    assert all(trial.manifest in lines for trial in plan.trials)


def test_two_sets_share_their_pre_training_and_repeated_rows_everything() -> None:
    plan = make_plan(Request("lamb", ["1", "2", "4"]))
    by_row = {(t.table, t.row.name, t.test): t for t in plan.trials}
    caps, clotho = by_row["1", "LAMB", "audiocaps"], by_row["1", "LAMB", "clotho"]
    assert caps.training.chain()[0] == clotho.training.chain()[0]
    assert caps.training.name != clotho.training.name
    assert clotho.training.preset.model.max_seconds == 30
    whole = by_row["4", "whole", "audiocaps"]
    assert whole.name == by_row["2", "CMA", "audiocaps"].name == caps.name
    assert by_row["4", "without TSA", "audiocaps"].name != by_row["2", "linear", "audiocaps"].name
    names = list(plan.trainings())
    for trial in plan.trials:
        first, last = trial.training.chain()
        assert names.index(first.name) < names.index(last.name)


def test_seeds_are_trainings_of_their_own() -> None:
    plan = make_plan(Request("lamb", ["3"], seeds=3))
    assert len({trial.training.name for trial in plan.trials}) == 9
    assert {trial.training.preset.stages[-1].seed for trial in plan.trials} == {0, 1, 2}


def test_the_row_has_the_last_word_and_parts_of_a_kind_come_after_it() -> None:
    overrides = ["model.prompt=<audio>", "parts.joint.heads=4", "stages.0.batch_size=2"]
    plan = make_plan(Request("lavcap", ["III", "VI"], overrides=overrides))
    models = {t.row.name: t.training.preset.model for t in plan.trials}
    assert models["prompt I"].prompt == "<audio>" and "<Content>" in models["prompt II"].prompt
    assert models["joint encoder"].fusion.heads == 4 and models["cross-attention"].fusion.heads == 12
    assert models["OT-Att"].fusion.kind == "ot_attention"
    assert all(t.training.preset.stages[0].batch_size == 2 for t in plan.trials)


def test_a_folder_takes_the_place_of_the_sets() -> None:
    plan = make_plan(Request("distillcaps", ["3", "5"], data=Path("mine")))
    assert {t.manifest for t in plan.trials} == {"mine/test.jsonl"}
    stage = plan.trials[0].training.preset.stages[0]
    assert [s.path for s in stage.data.train] == ["mine/train.jsonl"]
    assert list(plan.left_out) == ["3: AudioCaps to Clotho", "3: Clotho to AudioCaps"]
    assert plan.beside("mine") == "audiocaps"


@pytest.mark.parametrize(
    "request_, message",
    [
        (Request("lamb", ["9"]), "LAMB has no table 9; there are 1, 2"),
        (Request("lamb", ["4"], overrides=["parts.joint=4"]), "not of the form parts"),
        (Request("lamb", ["4"], overrides=["model.guid=null"]), "guid: unknown key"),
    ],
)
def test_faults_are_named(request_: Request, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make_plan(request_)
