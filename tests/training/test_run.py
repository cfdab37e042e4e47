"""Runs from end to end: two processes equal one, a start from another run, low precision, what is told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file

from earwitness.build import build_model
from earwitness.checkpoints.folder import load_checkpoint
from earwitness.config.errors import ConfigError
from earwitness.config.model import ModelConfig
from earwitness.config.preset import Preset
from earwitness.training.run import train
from earwitness.training.trainer import prepared_task
from earwitness.weights.errors import CheckpointError

pytestmark = pytest.mark.slow

ALIGNED = {"guided_caption": 0.5, "cs_global": 0.1, "cs_token": 0.1, "info_nce": 0.1}


def run(data: dict[str, Any], out: Path) -> Any:
    return train(Preset.model_validate(data), out)


def stage_weights(folder: Path) -> dict[str, torch.Tensor]:
    return {k: v.float() for k, v in load_file(folder / "stage.safetensors").items()}


def furthest(a: Path, b: Path) -> float:
    x, y = stage_weights(a), stage_weights(b)
    return max((x[name] - y[name]).abs().max().item() for name in x)


def test_two_processes_train_as_one_does(clip_recipe, runs, tmp_path):
    """27 clips in batches of 8 or 2 x 4: the same clips in the same steps, the rest dropped by both."""
    extra = runs.write_set(tmp_path / "b", 3, first=50)
    data = clip_recipe(losses=ALIGNED, freeze=["encoder"], batch_size=8, average=0.9, evaluate_every=3)
    data["stages"][0]["data"]["train"].append(str(extra))
    data["stages"][0]["data"]["epochs"] = 2
    assert runs.finish(runs.fork(lambda: run(data, tmp_path / "one"))) == [0]
    data["stages"][0]["batch_size"] = 4
    assert runs.finish(*runs.fork_ranks(lambda _: run(data, tmp_path / "two"))) == [0, 0]
    for name in ("loss", "loss/info_nce", "loss/cs_global", "grad_norm", "loss/caption"):
        one, two = (runs.losses(tmp_path / n / "0-train", name) for n in ("one", "two"))
        assert one == pytest.approx(two, abs=1e-5) and len(one) == 6, name
    assert furthest(tmp_path / "one" / "0-train", tmp_path / "two" / "0-train") < 1e-5
    data["stages"][0]["learning_rate"] = 1.0
    with pytest.raises(ConfigError, match="it ran in 2 processes, now 1"):
        run(data, tmp_path / "two")


def test_accumulated_batches_equal_one_large_one(clip_recipe, runs, tmp_path):
    """Where all captions have as many tokens: their mean is one of tokens, batch by batch."""
    data = clip_recipe(freeze=["encoder"], batch_size=8, evaluate_every=100)
    for path in (*data["stages"][0]["data"]["validation"], data["stages"][0]["data"]["train"][0]):
        runs.write_rows(Path(path), [r | {"captions": ["a dog barks"]} for r in runs.read_rows(Path(path))])
    data["stages"][0]["data"]["seconds"] = 0.3  # all clips as long: batches of any size hold the same ones
    run(data, tmp_path / "whole")
    data["stages"][0] |= {"batch_size": 4, "accumulate": 2}
    run(data, tmp_path / "parts")
    whole, parts = (runs.losses(tmp_path / n / "0-train") for n in ("whole", "parts"))
    assert len(whole) == 3 and whole == pytest.approx(parts, abs=1e-5)


def test_a_later_run_starts_from_an_earlier_one(clip_recipe, runs, tmp_path):
    """Pre-training and fine-tuning in one run equal two runs, the second with init."""
    data = clip_recipe(evaluate_every=100)
    train_set = Path(data["stages"][0]["data"]["train"][0])
    runs.write_rows(train_set, runs.read_rows(train_set)[:8])
    (first,) = data["stages"]
    data["stages"] = [first | {"name": "pretrain"}, first | {"name": "finetune", "seed": 1}]
    run(data, tmp_path / "both")
    run(data | {"only": ["pretrain"]}, tmp_path / "first")
    assert not (tmp_path / "first" / "1-finetune").exists()
    for start in ("first", "first/0-pretrain"):
        out = tmp_path / start.replace("/", "-") / "second"
        run(data | {"only": ["finetune"], "init": str(tmp_path / start)}, out)
        assert furthest(tmp_path / "both" / "1-finetune", out / "1-finetune") == 0
    data["model"]["adapter"] = [{"kind": "linear"}]
    with pytest.raises(CheckpointError, match=r"first does not fit: unexpected adapter.fusion"):
        run(data | {"only": ["finetune"], "init": str(tmp_path / "first")}, tmp_path / "third")
    with pytest.raises(ValueError, match="only: there is no stage tune"):
        Preset.model_validate(data | {"only": ["tune"]})


def with_borrowed_llama(data: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The recipe with LoRA on a language model that has a source of its own."""
    model = load_checkpoint(data["init"])
    model.language_model.model.save_pretrained(folder)
    model.language_model.tokenizer.save_pretrained(folder)
    section = {"source": str(folder), "tune": "lora", "lora": {"r": 2, "dropout": 0.0}}
    return data | {"init": None, "model": data["model"] | {"language_model": section}}


def test_bf16_holds_frozen_towers_in_it_and_trains_lora_in_fp32(clip_recipe, tmp_path):
    stage = {"bf16": True, "gradient_checkpointing": True, "losses": ALIGNED}
    data = with_borrowed_llama(clip_recipe(**stage), tmp_path / "llama")
    model = run(data, tmp_path / "out")
    kinds = {("lora_" in n, p.dtype) for n, p in model.language_model.named_parameters()}
    assert kinds == {(True, torch.float32), (False, torch.bfloat16)}
    before, after = build_model(model.config), load_checkpoint(tmp_path / "out" / "model")
    moved = [n for n, p in after.named_parameters() if not torch.equal(p, before.get_parameter(n))]
    assert any("lora_B" in name for name in moved)
    assert not [n for n in moved if n.startswith("language_model.") and "lora_" not in n]


def test_gradient_checkpointing_changes_no_gradient(clip_recipe, tmp_path):
    data = with_borrowed_llama(clip_recipe(), tmp_path / "llama")
    model = build_model(ModelConfig.model_validate(data["model"]))
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter)
    ids, mask = model.language_model.encode_captions(["a dog barks", "rain falls"])
    batch = {"sound": {"log_mel": torch.randn(2, 64, 80), "frames": torch.tensor([80, 60])}}
    stage, gradients = Preset.model_validate(data).stages[0], []
    for wanted in (False, True, False):
        changed = stage.model_copy(update={"gradient_checkpointing": wanted, "freeze": ["encoder"]})
        task = prepared_task(model, changed, bf16=False).train()
        assert model.language_model.model.is_activation_checkpointing == wanted
        task.zero_grad()
        task(**batch, ids=ids, mask=mask)["loss"].backward()
        gradients.append({n: p.grad.clone() for n, p in task.named_parameters() if p.grad is not None})
    for other in gradients[1:]:
        assert gradients[0].keys() == other.keys() and any("lora_" in name for name in other)
        assert all(torch.allclose(gradients[0][n], g, atol=1e-6) for n, g in other.items())


def test_a_run_folder_says_everything(clip_recipe, runs, tmp_path, sets):
    data = clip_recipe(losses=ALIGNED)
    data["report_to"] = ["tensorboard"]
    model = run(data, tmp_path / "out")
    rows = runs.read_rows(tmp_path / "out" / "0-train" / "metrics.jsonl")
    told = {name for row in rows for name in row}
    assert {"loss", "grad_norm", "beta", "loss/caption", "loss/guided_caption", "loss/info_nce"} <= told
    assert {"loss/cs_global", "loss/cs_token", "eval_modality_gap_l2", "eval_modality_gap_cosine"} <= told
    samples = [row["sample_0"] for row in rows if "sample_0" in row]
    assert len(samples) == 4 and samples[0].endswith("(wanted: a dog barks followed by a man speaking)")
    assert len({row["beta"] for row in rows if "beta" in row}) > 1
    recipe = yaml.safe_load((tmp_path / "out" / "recipe.yaml").read_text())
    assert Preset.model_validate(recipe) == Preset.model_validate(data)
    (environment,) = json.loads((tmp_path / "out" / "environment.json").read_text())
    assert environment["packages"]["torch"] == torch.__version__ and environment["earwitness"]
    marks = json.loads((tmp_path / "out" / "data.json").read_text())
    assert marks.keys() == {str(path) for path in sets} and all(len(m) == 64 for m in marks.values())
    card = (tmp_path / "out" / "model" / "README.md").read_text()
    assert (
        "| a/manifest.jsonl | training | 24 | 0.0 |" in card
        and load_checkpoint(tmp_path / "out/model").card == card
    )
    assert model.card is None
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    (events,) = (tmp_path / "out" / "0-train" / "runs").iterdir()
    shown = EventAccumulator(str(events))
    shown.Reload()
    assert {"train/loss/info_nce", "train/grad_norm", "eval/modality_gap_l2", "train/beta"} <= set(
        shown.Tags()["scalars"]
    )
    assert any("sample_0" in tag for tag in shown.Tags()["tensors"])


def test_evaluating_leaves_training_as_it_is(clip_recipe, runs, tmp_path):
    """Its random numbers are its own: dropout falls as it does without."""
    data = clip_recipe(losses={"tagging": 0.0, "caption": 1.0})
    data["model"] = json.loads(json.dumps(data["model"]))
    data["model"]["language_model"]["config"] |= {"attention_dropout": 0.3}
    for name, every in (("often", 1), ("never", 100)):
        data["stages"][0]["evaluate_every"] = every
        run(data, tmp_path / name)
    often, never = (runs.losses(tmp_path / name / "0-train") for name in ("often", "never"))
    assert often == never and len(often) == 6
