"""The stage `distillation`: a student comes to predict what its teacher does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from earwitness.config.errors import ConfigError
from earwitness.config.model import ModelConfig
from earwitness.config.preset import Preset
from earwitness.config.stages import Imitation
from earwitness.encoders.conv import ConvEncoder
from earwitness.encoders.mobilenet import MobileNetEncoder
from earwitness.scenes.bank import Bank
from earwitness.scenes.recordings import read_manifest
from earwitness.training.callbacks import StopOnSignal, Stopped
from earwitness.training.distillation import DistillationTask
from earwitness.training.inputs.mixture_data import AgreementCollator, MixtureSource
from earwitness.training.run import train

TAGS = ["dog", "speech", "rain", "bell"]


def lively(encoder: MobileNetEncoder) -> None:
    """Weights with which the answer depends on the sound."""
    for module in encoder.modules():
        if isinstance(module, torch.nn.Conv2d | torch.nn.Linear):
            module.weight.data.normal_(0, 1.2 * module.weight[0].numel() ** -0.5)


@pytest.fixture(scope="module")
def folders(bank_folder, tmp_path_factory) -> dict[str, Path]:
    """A bank, a folder of the same sound without labels, a teacher's file of random weights, captions."""
    root = tmp_path_factory.mktemp("distillation")
    rows = ["path,source_repo_or_package,licence,kind"]
    for i, r in enumerate(read_manifest(bank_folder)):
        rows.append(f"{bank_folder / r.path},source-{i},CC0,{'speech' if i % 2 else 'ambience'}")
    (root / "unlabelled").mkdir()
    (root / "unlabelled" / "manifest.csv").write_text("\n".join(rows) + "\n")
    torch.manual_seed(5)
    teacher = MobileNetEncoder(width=0.1)
    lively(teacher)
    torch.save(teacher.network.state_dict(), root / "teacher.pt")
    text = root / "captions.txt"
    text.write_text("a dog barks\na man speaks\nrain falls and a bell rings\n")
    names = {"bank": bank_folder, "unlabelled": root / "unlabelled"}
    return names | {"teacher": root / "teacher.pt", "text": text}


def recipe(folders: dict[str, Path], **stage: Any) -> Preset:
    data = {"kind": "mixtures", "bank": str(folders["bank"]), "unlabelled": str(folders["unlabelled"])}
    data |= {"count": 24, "lengths": [0.64, 0.96], "validation_recordings": 3, "validation_mixtures": 2}
    model = {"model_type": "llama", "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    model |= {"intermediate_size": 32, "bos_token_id": 0, "eos_token_id": 1}
    common = {"batch_size": 4, "learning_rate": 2e-3, "evaluate_every": 3, "average": 0.5, "workers": 0}
    distil = {"name": "distil", "task": "distillation", "data": data, "teacher": str(folders["teacher"])}
    text = {"kind": "text", "captions": [str(folders["text"])], "validation_captions": [str(folders["text"])]}
    return Preset.model_validate(
        {
            "description": "tiny",
            "report_to": [],
            "only": ["distil"],
            "model": {
                "encoder": {"kind": "mobilenet", "width": 0.1, "expansion": 1.5},
                "adapter": [{"kind": "linear"}],
                "language_model": {"config": model},
            },
            "stages": [distil | common | stage, {"name": "language", "task": "language", "data": text}],
        }
    )


@pytest.mark.slow
def test_a_run_reports_agreement_by_kind_and_resumes_to_the_same_weights(folders, tmp_path, monkeypatch):
    preset = recipe(folders)
    train(preset, tmp_path / "whole")
    done = json.loads((tmp_path / "whole" / "0-distil" / "done.json").read_text())
    kinds = ("labelled", "unlabelled", "mixture")
    assert {f"eval_{what}_{kind}" for what in ("kl", "top_tag") for kind in kinds} <= done.keys()
    assert all(np.isfinite(v) for v in done.values()) and 0 <= done["eval_top_tag_mixture"] <= 1
    log = (tmp_path / "whole" / "0-distil" / "metrics.jsonl").read_text().splitlines()
    assert any({"loss/kl", "loss/maps", "loss/features"} <= json.loads(row).keys() for row in log)
    end_of_step = StopOnSignal.on_step_end

    def stop(self, args, state, control, **kwargs):
        self.asked = self.asked or state.global_step == 4
        return end_of_step(self, args, state, control, **kwargs)

    monkeypatch.setattr(StopOnSignal, "on_step_end", stop)
    with pytest.raises(Stopped):
        train(preset, tmp_path / "parts")
    monkeypatch.setattr(StopOnSignal, "on_step_end", end_of_step)
    train(preset, tmp_path / "parts")
    a, b = (load_file(tmp_path / name / "0-distil" / "stage.safetensors") for name in ("whole", "parts"))
    assert all(torch.allclose(a[k].float(), b[k].float(), rtol=0, atol=1e-6) for k in a)


class Slots(torch.nn.Module):
    """As much of a captioner as the task needs."""

    def __init__(self, encoder: torch.nn.Module) -> None:
        super().__init__()
        self.encoder, self.language_model = encoder, torch.nn.Linear(1, 1)
        encoder_section = {"kind": "mobilenet", "width": 0.1}
        rest = {"adapter": [{"kind": "linear"}], "language_model": {"config": {"model_type": "gpt2"}}}
        self.config = ModelConfig.model_validate({"encoder": encoder_section, **rest})


def task(student: Any, teacher: Any, **weights: Any) -> DistillationTask:
    return DistillationTask(Slots(student), Imitation(**weights), teacher)


def pair(**student: Any) -> tuple[MobileNetEncoder, MobileNetEncoder]:
    torch.manual_seed(0)
    teacher = MobileNetEncoder(width=0.1, tags=TAGS).eval()
    lively(teacher)
    return MobileNetEncoder(width=0.1, tags=TAGS, dropout=0.0, **student), teacher


def sound(count: int = 4) -> dict[str, torch.Tensor]:
    waveforms = torch.randn(count, 8_000) * torch.logspace(-2, 0, count)[:, None]
    return {"waveforms": waveforms, "lengths": torch.full((count,), 8_000)}


@pytest.mark.parametrize("local", [True, False])
def test_a_copy_of_the_teacher_has_nothing_to_learn(local):
    student, teacher = pair()
    student.load_state_dict(teacher.state_dict())
    learning = task(student, teacher, local=local)
    learning.train()
    student.eval()  # batch norms as the teacher's
    losses = learning(sound())
    names = {"kl", "logits", "maps"} | ({"features"} if not local else set())
    assert names < losses.keys()
    assert all(losses[name].abs() < 1e-5 for name in names)
    out = learning.eval()(sound(), kind=torch.tensor([0, 1, 1, 2]))
    assert out["clips_unlabelled"] == 2 and out["top_tag_unlabelled"] == 2 and out["kl_mixture"].abs() < 1e-5


@pytest.mark.parametrize("local", [True, False])
def test_every_part_of_a_student_learns_and_the_teacher_does_not(local):
    student, teacher = pair(expansion=1.5)
    before = {k: v.clone() for k, v in teacher.state_dict().items()}
    learning = task(student, teacher, local=local)
    learning.train()
    optimizer = torch.optim.AdamW([p for p in learning.parameters() if p.requires_grad], 3e-3)
    history = []
    for _ in range(30):
        losses = learning(sound(8))
        optimizer.zero_grad()
        losses["loss"].backward()
        optimizer.step()
        history.append(losses["loss"].item())
    still = [n for n, p in student.named_parameters() if p.grad is None or not p.grad.abs().sum()]
    assert not still
    assert np.mean(history[-5:]) < 0.7 * np.mean(history[:3])
    assert all(torch.equal(v, before[k]) for k, v in teacher.state_dict().items())


@pytest.mark.parametrize("local", [True, False])
def test_only_from_end_to_end_do_errors_pass_from_layer_to_layer(local):
    student, teacher = pair()
    learning = task(student, teacher, local=local)
    learning.train()
    heard = sound()
    late = student.network.features[9].block[0][0].weight

    def gradient() -> torch.Tensor:
        return torch.autograd.grad(learning.by_layers(heard)["maps"], late)[0]

    before = gradient()
    with torch.no_grad():
        student.network.features[2].block[0][0].weight.normal_()
    assert torch.allclose(before, gradient(), rtol=1e-4, atol=1e-7) == local


@pytest.mark.slow
def test_a_student_of_another_form_learns_the_tags_they_share():
    _, teacher = pair()
    sizes = {"widths": (4, 4, 6, 8), "depths": (0, 0, 0, 0), "dim": 16}
    student = ConvEncoder(tags=["other", *TAGS[::-1]], **sizes)
    learning = task(student, teacher)
    learning.train()
    losses = learning(sound())
    losses["loss"].backward()
    assert losses.keys() == {"loss", "kl", "logits"}
    assert student.stages[0].down.conv.weight.grad.abs().sum() > 0
    with pytest.raises(ConfigError, match="teacher's form"):
        task(student, teacher, local=True)
    with pytest.raises(ConfigError, match="no tag in common"):
        task(ConvEncoder(tags=["zeppelin"], **sizes), teacher)


def test_validation_clips_are_held_out_and_whole(folders, tmp_path):
    section = recipe(folders).stages[0].data
    bank = Bank.open(folders["bank"], tmp_path, workers=1, unlabelled=folders["unlabelled"])
    source = MixtureSource(section, bank)
    assert not set(source.train) & set(source.validation)
    rows = [[bank.recordings[i] for i in side] for side in (source.train, source.validation)]
    groups = [{r.group for r in side if r.label} for side in rows]
    sources = [{r.source for r in side if not r.label} for side in rows]
    assert all(groups) and not groups[0] & groups[1]
    assert all(sources) and not sources[0] & sources[1]
    items = source.validation_items()
    assert items == MixtureSource(section, bank).validation_items()
    assert [sum(kind == k for kind, _ in items) for k in (0, 2)] == [3, 2] and (1 in dict(items))
    batch = AgreementCollator(bank, source.mixer(source.validation, 1))(items)
    assert batch["kind"].tolist() == [kind for kind, _ in items]
    assert batch["sound"]["lengths"][0] == bank.samples[items[0][1]]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"teacher": None}, "task distillation needs a teacher"),
        ({"task": "tagging", "teacher": None}, "task tagging needs data of kind scenes"),
        ({"teacher": "no/such/file.pt"}, r"no/such/file\.pt"),
        ({"teacher": {"kind": "mobilenet", "width": 0.1}}, "teacher.source must name weights"),
        ({"teacher": {"kind": "mobilenet", "sample_rate": 32_000}}, "the same sample_rate"),
    ],
)
def test_what_cannot_be_distilled_is_named(folders, tmp_path, changes, message):
    if isinstance(changes["teacher"], dict) and "width" not in changes["teacher"]:
        changes["teacher"]["source"] = str(folders["teacher"])
    with pytest.raises((ConfigError, ValueError), match=message):
        train(recipe(folders, **changes), tmp_path / "out")


@pytest.mark.slow
def test_the_prepared_script_runs_at_a_tiny_size(folders, tmp_path):
    script = Path(__file__).parents[2] / "examples" / "cluster" / "distil_on_gpu.sh"
    places = [str(folders[name]) for name in ("bank", "unlabelled", "teacher", "text")]
    small = {"data.count": 8, "data.lengths": "[0.64,0.96]", "data.validation_recordings": 2}
    small |= {"data.validation_mixtures": 2, "batch_size": 4, "evaluate_every": 2, "bf16": "false"}
    overrides = [f"stages.{i}.{key}={value}" for i in (0, 1) for key, value in small.items()]
    done = subprocess.run(
        ["sh", str(script), *places, str(tmp_path / "run"), "model.encoder.width=0.1", *overrides],
        env=os.environ | {"PYTHON": sys.executable, "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    weights = load_file(tmp_path / "run" / "model" / "model.safetensors")
    assert weights["encoder.network.features.15.block.0.0.weight"].shape[0] == 144  # 1.5 times mn01's 96
