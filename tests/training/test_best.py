"""Which weights are kept, what a small set trains, whom a run folder belongs to, which overlap is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from earwitness import score
from earwitness.captioner import Captioner
from earwitness.config.errors import ConfigError
from earwitness.config.preset import Preset
from earwitness.config.stages import RewardConfig, Stage
from earwitness.runtime.torch_model import TorchModel
from earwitness.training.best import quality
from earwitness.training.run import train

MEASURED = {"eval_loss": 330.0, "eval_caption": 2.5, "eval_ot_alignment": 326.0, "eval_cider_d": 0.4}


def stage(**values: Any) -> Stage:
    data = {"kind": "manifest", "train": ["a.jsonl"], "validation": ["b.jsonl"]}
    return Stage.model_validate({"name": "s", "task": "captioning", "data": data} | values)


@pytest.mark.parametrize(
    "values, metrics, wanted",
    [
        ({}, MEASURED, -2.5),
        ({"best_by": "caption"}, MEASURED, -2.5),
        ({"best_by": "loss"}, MEASURED, -330.0),
        ({"best_by": "cider_d"}, MEASURED, 0.4),
        ({"best_by": "last"}, MEASURED, 7),
        ({}, {"eval_loss": 3.0, "eval_retrieval_caption": 2.0}, -2.0),
        ({"task": "tagging"}, {"eval_loss": 3.0, "eval_map": 0.3}, 0.3),
        ({"task": "language"}, {"eval_loss": 3.0, "eval_language": 3.0}, -3.0),
        ({"reward": RewardConfig(sentence_encoder="x")}, MEASURED, -330.0),
    ],
)
def test_what_makes_weights_the_best(values, metrics, wanted) -> None:
    assert quality(metrics, stage(**values), 7) == wanted


@pytest.mark.slow
def test_weights_are_kept_by_the_captions_that_they_give(clip_recipe, runs, tmp_path) -> None:
    """CIDEr-D of generated captions against all captions of each clip, as an evaluation would score them."""
    data = clip_recipe(best_by="cider_d", evaluate_every=2, freeze=["encoder"], batch_size=8)
    model = train(Preset.model_validate(data), tmp_path / "run")
    found = runs.losses(tmp_path / "run" / "0-train", "eval_cider_d")
    note = json.loads((tmp_path / "run" / "0-train" / "best.json").read_text())
    assert len(found) >= 2 and note["value"] == max(found.values())
    rows = runs.read_rows(Path(data["stages"][0]["data"]["validation"][0]))
    folder = Path(data["stages"][0]["data"]["validation"][0]).parent
    texts = [
        caption.text for caption in Captioner(TorchModel(model))([str(folder / row["audio"]) for row in rows])
    ]
    again = score(texts, [row["captions"] for row in rows], "cider_d").corpus["cider_d"]
    assert again == pytest.approx(note["value"], abs=1e-6)


def test_a_metric_that_cannot_be_computed_is_named_before_training(clip_recipe, tmp_path) -> None:
    data = clip_recipe(best_by="fense")
    with pytest.raises(ConfigError, match=r"stage train: best_by: fense: .*needs"):
        train(Preset.model_validate(data), tmp_path / "run")
    with pytest.raises(ValueError, match="best_by: caption needs task captioning"):
        Preset.model_validate(clip_recipe(best_by="caption", task="alignment"))


@pytest.mark.slow
def test_a_set_smaller_than_a_batch_is_one_step(clip_recipe, runs, tmp_path) -> None:
    data = clip_recipe(batch_size=64, freeze=["encoder"])
    train(Preset.model_validate(data), tmp_path / "run")
    steps = runs.losses(tmp_path / "run" / "0-train")
    assert list(steps) == [1]


@pytest.mark.slow
def test_a_start_that_failed_leaves_the_folder_free(clip_recipe, tmp_path) -> None:
    data = clip_recipe(freeze=["encoder"], batch_size=64)
    wrong = json.loads(json.dumps(data))
    wrong["model"]["encoder"]["dim"] = 16  # the weights of init do not fit
    with pytest.raises(Exception, match="dim|shape|tensor|encoder"):
        train(Preset.model_validate(wrong), tmp_path / "run")
    assert (tmp_path / "run" / "recipe.yaml").is_file()
    train(Preset.model_validate(data), tmp_path / "run")
    data["stages"][0]["learning_rate"] = 0.5
    with pytest.raises(ConfigError, match="learning_rate: was 0.001, is 0.5"):
        train(Preset.model_validate(data), tmp_path / "run")


def test_training_on_recordings_of_a_test_set_is_refused(clip_recipe, runs, tmp_path) -> None:
    data = clip_recipe()
    train_set = Path(data["stages"][0]["data"]["train"][0])
    rows = runs.read_rows(train_set)
    runs.write_rows(train_set, [rows[0] | {"id": "r1nicOVtvkQ"}, *rows[1:]])
    test = runs.write_rows(tmp_path / "t.jsonl", [rows[0] | {"id": "Yr1nicOVtvkQ_30.wav", "audio": "x.wav"}])
    data["stages"][0]["data"]["test"] = [str(test)]
    with pytest.raises(ConfigError, match=r"r1nicOVtvkQ is in .*t\.jsonl too"):
        train(Preset.model_validate(data), tmp_path / "run")
