"""The averaged weights, and which of several evaluations hands its weights on."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file

from earwitness.config.preset import Preset
from earwitness.training.callbacks import Seal, WeightAverage
from earwitness.training.run import train
from earwitness.training.stage_trainer import StageTrainer


@pytest.mark.parametrize("decay", [0.5, 0.999])
def test_the_average_follows_its_recurrence(decay) -> None:
    """a <- d a + (1 - d) w with d = min(decay, (1 + step) / (10 + step)); whole numbers have no average."""
    live = {"weight": torch.zeros(3), "count": torch.tensor(0)}
    average = WeightAverage(lambda: live, decay)
    expected = torch.zeros(3, dtype=torch.float64)
    for step in range(1, 30):
        live["weight"] += torch.randn(3)
        d = min(decay, (1 + step) / (10 + step))
        expected = d * expected + (1 - d) * live["weight"].double()
        average.on_step_end(None, SimpleNamespace(global_step=step), None)
        assert torch.allclose(average.average["weight"].double(), expected, atol=1e-5)
    assert set(average.average) == {"weight"}


def test_the_average_takes_the_place_of_the_weights_and_gives_it_back(tmp_path) -> None:
    live = {"weight": torch.zeros(3)}
    average = WeightAverage(lambda: live, 0.9)
    live["weight"] += 6.0
    average.on_step_end(None, SimpleNamespace(global_step=1), None)  # d = 2 / 11
    with pytest.raises(RuntimeError, match="inside"), average.in_place():
        assert torch.allclose(live["weight"], torch.full((3,), 6.0 * 9 / 11))
        raise RuntimeError("inside")
    assert live["weight"].tolist() == [6.0, 6.0, 6.0]
    folder = tmp_path / "checkpoint-1"
    folder.mkdir()
    arguments, state = SimpleNamespace(output_dir=tmp_path), SimpleNamespace(global_step=1)
    state.is_world_process_zero = True
    average.on_save(arguments, state, None)
    resumed = WeightAverage(lambda: live, 0.9)
    resumed.resume(folder)
    assert torch.equal(resumed.average["weight"], average.average["weight"])


def test_the_newest_whole_checkpoint_is_resumed_from_and_partial_ones_are_removed(tmp_path) -> None:
    for step, complete in ((2, True), (10, True), (9, True), (12, False)):
        folder = tmp_path / f"checkpoint-{step}"
        folder.mkdir()
        if complete:
            (folder / Seal.FILE).touch()
    assert Seal.last(tmp_path, tidy=False).name == "checkpoint-10"
    assert (tmp_path / "checkpoint-12").is_dir()
    assert Seal.last(tmp_path, tidy=True).name == "checkpoint-10"
    assert not (tmp_path / "checkpoint-12").exists() and (tmp_path / "checkpoint-2").is_dir()
    assert Seal.last(tmp_path / "none", tidy=True) is None


@pytest.mark.slow
@pytest.mark.parametrize(
    ("measured", "kept"),
    [([3.0, 2.0, 4.0], 1), ([2.0, 3.0, 4.0], 0), ([4.0, 3.0, 2.0], 2), ([3.0, 2.0, 2.0], 1)],
)
def test_the_weights_of_the_best_evaluation_are_handed_on(
    measured, kept, clip_recipe, tmp_path, monkeypatch
) -> None:
    """The earlier of two that are equally good."""
    name, weights = "language_model.model.model.norm.weight", []
    scripted = iter([*measured, measured[kept]])

    def measure(self: StageTrainer) -> dict[str, float]:
        weights.append(self.captioner.get_parameter(name).detach().clone())
        return {"eval_loss": next(scripted)}

    monkeypatch.setattr(StageTrainer, "measure", measure)
    data = clip_recipe(evaluate_start=False, best_by="loss", learning_rate=0.1)
    train(Preset.model_validate(data), tmp_path / "out")
    handed_on = load_file(tmp_path / "out" / "0-train" / "stage.safetensors")[name]
    assert torch.equal(handed_on, weights[kept])
    assert all(not torch.equal(handed_on, w) for i, w in enumerate(weights[: len(measured)]) if i != kept)


@pytest.mark.slow
def test_a_resumed_stage_keeps_the_best_weights_of_before(clip_recipe, tmp_path, monkeypatch) -> None:
    name, weights = "language_model.model.model.norm.weight", []
    measured = iter(
        [3.0, 1.0, None, 4.0, 1.0]
    )  # at steps 2, 4, 6; resumed after 4: at 6, and of the kept ones

    def measure(self: StageTrainer) -> dict[str, float]:
        weights.append(self.captioner.get_parameter(name).detach().clone())
        if (value := next(measured)) is None:
            raise RuntimeError("power cut")
        return {"eval_loss": value}

    monkeypatch.setattr(StageTrainer, "measure", measure)
    preset = Preset.model_validate(clip_recipe(evaluate_start=False, best_by="loss", learning_rate=0.1))
    with pytest.raises(RuntimeError, match="power cut"):
        train(preset, tmp_path / "out")
    train(preset, tmp_path / "out")
    handed_on = load_file(tmp_path / "out" / "0-train" / "stage.safetensors")[name]
    assert torch.equal(handed_on, weights[1]) and not torch.equal(handed_on, weights[3])


@pytest.mark.slow
@pytest.mark.parametrize(("patience", "evaluations"), [(0, 9), (1, 3), (2, 6)])
def test_a_stage_ends_after_as_many_evaluations_in_a_row_without_better_weights(
    patience, evaluations, clip_recipe, runs, tmp_path, monkeypatch
) -> None:
    measured = iter([3.0, 2.0, 2.5, 1.0, 1.0, 4.0])
    monkeypatch.setattr(StageTrainer, "measure", lambda self: {"eval_loss": next(measured, 9.0)})
    data = clip_recipe(data={"epochs": 3}, evaluate_start=False, best_by="loss", patience=patience)
    train(Preset.model_validate(data), tmp_path / "out")
    assert len(runs.losses(tmp_path / "out" / "0-train", "eval_loss")) == evaluations
    assert runs.losses(tmp_path / "out" / "0-train", "beta"), "the Token Guide's strength is logged"
