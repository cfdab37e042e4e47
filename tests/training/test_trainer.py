import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from earwitness.config.errors import ConfigError
from earwitness.config.preset import Preset, load_preset
from earwitness.training.beginning import train_tokenizer
from earwitness.training.run import train
from earwitness.training.tag_metrics import average_precision, mean_average_precision

CAPTIONS = [
    "A dog barks followed by a man speaking",
    "Rain falls as a bell rings",
    "A woman speaks while an engine runs",
    "A bell rings before a dog barks",
]


def recipe(bank_folder: Path, folder: Path, **changes) -> dict:
    """Three stages at tiny width on synthetic recordings."""
    text = folder / "captions.txt"
    text.write_text("\n".join(CAPTIONS), encoding="utf-8")
    scenes = {
        "kind": "scenes",
        "bank": str(bank_folder),
        "captions": [str(text)],
        "count": 16,
        "seconds": 1.5,
    }
    scenes |= {"validation_captions": [str(text)], "validation_count": 8}
    common = {"batch_size": 4, "learning_rate": 1e-3, "evaluate_every": 2, "average": 0.9, "workers": 0}
    return {
        "description": "tiny",
        "report_to": [],
        "model": {
            "encoder": {"kind": "conv", "widths": [4, 4, 6, 8], "depths": [0, 1, 1, 1], "dim": 16},
            "adapter": [{"kind": "two_stream", "global_queries": 4, "heads": 2, "gru_layers": 1}],
            "language_model": {
                "config": {
                    "model_type": "llama",
                    "hidden_size": 16,
                    "num_hidden_layers": 1,
                    "num_attention_heads": 2,
                }
                | {"intermediate_size": 32, "tie_word_embeddings": True, "bos_token_id": 0, "eos_token_id": 1}
            },
            "decoding": {"guide": {"beta": 0.01}},
        },
        "stages": [
            {"name": "tagging", "task": "tagging", "data": scenes, **common},
            {
                "name": "language",
                "task": "language",
                "data": {
                    "kind": "text",
                    "captions": [str(text)],
                    "validation_captions": [str(text)],
                    "epochs": 2,
                },
                **common,
            },
            {
                "name": "captioning",
                "task": "captioning",
                "data": scenes,
                "freeze": ["encoder"],
                "losses": {
                    "guided_caption": 0.5,
                    "cs_global": 0.1,
                    "cs_token": 0.1,
                    "info_nce": 0.1,
                    "tagging": 0.1,
                },
                **common,
            },
        ],
    } | changes


@pytest.fixture(scope="module")
def finished(bank_folder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    data = recipe(bank_folder, folder)
    data["stages"][1]["data"]["validation_captions"] = [str(folder / "other.txt")]
    (folder / "other.txt").write_text("a dog barks\na bell rings", encoding="utf-8")
    preset = Preset.model_validate(data)
    model = train(preset, folder / "out")
    return preset, folder / "out", model


@pytest.mark.slow
def test_a_run_leaves_a_model_that_captions(finished):
    from earwitness.checkpoints.folder import load_checkpoint

    _, out, model = finished
    loaded = load_checkpoint(out / "model")
    sound = {"waveforms": torch.randn(2, 16_000) * 0.1, "lengths": torch.tensor([16_000, 16_000])}
    decoded = loaded.caption(sound, beams=2, max_new_tokens=8)
    assert len(decoded.texts) == 2 and decoded.tags.shape[1] == len(loaded.tag_names) > 0
    half = {k: v.half().float() for k, v in model.state_dict().items() if v.is_floating_point()}
    assert all(torch.equal(half[k], v) for k, v in loaded.state_dict().items() if k in half)


@pytest.mark.slow
def test_a_blended_stage_ends_on_the_line_from_its_start(finished, bank_folder, tmp_path):
    start = load_file(finished[1] / "2-captioning" / "stage.safetensors")
    ends = {}
    for blend in (1.0, 0.25):
        data = recipe(bank_folder, tmp_path, init=str(finished[1]), only=["tagging"])
        data["stages"][0] |= {"blend": blend, "evaluate_start": False}
        data["stages"][0]["data"] = data["stages"][0]["data"] | {"synthesis": 2}
        train(Preset.model_validate(data), tmp_path / str(blend))
        card = (tmp_path / str(blend) / "model" / "README.md").read_text(encoding="utf-8")
        assert ("figures of its end" in card) == (blend < 1)
        ends[blend] = load_file(tmp_path / str(blend) / "0-tagging" / "stage.safetensors")
    moved = [k for k in start if start[k].is_floating_point() and not torch.equal(start[k], ends[1.0][k])]
    assert any("running_mean" in k for k in moved) and any(k.endswith("weight") for k in moved)
    for k in moved:
        expected = 0.75 * start[k] + 0.25 * ends[1.0][k]
        assert torch.allclose(ends[0.25][k], expected, rtol=1e-5, atol=1e-7)


def test_a_folder_that_is_no_bank_is_named_with_its_stage(bank_folder, tmp_path):
    data = recipe(bank_folder, tmp_path)
    data["stages"][2]["data"] = data["stages"][2]["data"] | {"bank": str(tmp_path / "none")}
    with pytest.raises(ConfigError, match=r"stages\.2\.data\.bank: .*none is no bank"):
        train(Preset.model_validate(data), tmp_path / "out")


@pytest.mark.slow
def test_every_named_loss_is_logged_and_the_card_names_the_sources(finished):
    _, out, _ = finished
    rows = [json.loads(line) for line in (out / "2-captioning" / "metrics.jsonl").read_text().splitlines()]
    names = {k for row in rows for k in row}
    for loss in ("caption", "guided_caption", "cs_global", "cs_token", "info_nce", "tagging"):
        assert f"loss/{loss}" in names and f"eval_{loss}" in names
    card = (out / "model" / "README.md").read_text()
    assert "synthetic" in card and "CC0" in card and "captions.txt" in card


@pytest.mark.slow
def test_a_frozen_part_does_not_move_and_the_others_do(finished):
    _, out, _ = finished
    before, after = (
        load_file(out / "1-language/stage.safetensors"),
        load_file(out / "2-captioning/stage.safetensors"),
    )
    moved = {name.split(".")[0] for name in before if not torch.equal(before[name], after[name])}
    assert moved == {"adapter", "language_model", "guide"}
    tagging = load_file(out / "0-tagging/stage.safetensors")
    assert {n.split(".")[0] for n in before if not torch.equal(before[n], tagging[n])} == {"language_model"}


@pytest.mark.slow
def test_a_finished_run_is_not_trained_again(finished):
    preset, out, model = finished
    start = time.time()
    again = train(preset, out)
    assert time.time() - start < 20
    assert all(torch.equal(a, b) for a, b in zip(model.state_dict().values(), again.state_dict().values()))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["scenes", "text"])
def test_a_run_killed_at_any_step_resumes_to_the_same_weights(kind, bank_folder, tmp_path, runs):
    """Batches are loaded by two processes in the run that is killed; those of manifests: test_resume."""
    data = recipe(bank_folder, tmp_path)
    (tmp_path / "other.txt").write_text("a dog barks\na bell rings", encoding="utf-8")
    stage = next(stage for stage in data["stages"] if stage["data"]["kind"] == kind)
    stage["data"] |= {
        "scenes": {"count": 64},
        "text": {"epochs": 16, "validation_captions": [str(tmp_path / "other.txt")]},
    }[kind]
    data["stages"] = [stage]
    whole, killed = (tmp_path / name / f"0-{stage['name']}" for name in ("whole", "killed"))

    def start(folder: Path, workers: int) -> Any:
        stage["workers"] = workers
        return runs.fork(lambda: train(Preset.model_validate(data), folder.parent))

    assert runs.finish(start(whole, 0)) == [0]
    process = start(killed, 2)
    while not (killed / "checkpoint-6").is_dir():
        assert process.is_alive()
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert not (killed / "done.json").exists()
    assert runs.finish(start(killed, 2)) == [0]
    first, second = runs.losses(whole), runs.losses(killed)
    assert first == pytest.approx(second, abs=1e-6) and len(first) == 8
    a, b = (load_file(folder / "stage.safetensors") for folder in (whole, killed))
    assert all(torch.allclose(a[k].float(), b[k].float(), rtol=0, atol=1e-6) for k in a)


@pytest.mark.slow
def test_four_clips_are_learnt_by_heart(bank_folder, tmp_path):
    """The gradient reaches every part: captions of four scenes go to near-zero loss."""
    from earwitness.build import build_model
    from earwitness.config.stages import Losses
    from earwitness.scenes.bank import Bank
    from earwitness.training.beginning import with_tags
    from earwitness.training.inputs.scene_data import SceneCollator, SceneSource
    from earwitness.training.objective import CaptioningTask

    data = recipe(bank_folder, tmp_path)
    preset = Preset.model_validate(data)
    source = SceneSource(preset.stages[0].data, Bank.open(bank_folder, tmp_path / "banks"))
    torch.manual_seed(0)
    model = build_model(with_tags(preset, {"x": source}), train_tokenizer(CAPTIONS, 300))
    composer, encode = source.composer(validation=False), model.language_model.encode_captions
    collate = SceneCollator(composer, model.encoder.compute_log_mel, encode, masks=False)
    batch = collate([0, 1, 2, 3])
    task = CaptioningTask(model, Losses(guided_caption=0.1, tagging=0.01))
    optimizer = torch.optim.Adam(task.parameters(), 5e-3)
    for _ in range(150):
        losses = task(**batch)
        optimizer.zero_grad()
        losses["loss"].backward()
        optimizer.step()
    assert losses["caption"] < 0.1
    still = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum()]
    assert not still


def test_average_precision_by_hand():
    scores, truth = torch.tensor([0.9, 0.8, 0.7, 0.1]), torch.tensor([1.0, 0.0, 1.0, 0.0])
    assert average_precision(scores, truth) == pytest.approx((1 / 1 + 2 / 3) / 2)
    both = mean_average_precision(torch.stack([scores, -scores], 1), torch.stack([truth, truth], 1), least=2)
    assert both == pytest.approx(((1 + 2 / 3) / 2 + (1 / 2 + 2 / 4) / 2) / 2)


def test_the_built_in_models_preset_is_valid():
    preset = load_preset("mini")
    names = ["blocks", "distillation", "labels", "rewarded", "human", "choosing"]
    assert [s.name for s in preset.stages] == names
    assert preset.stages[-1].teacher and preset.model.decoding.joint_space.dim == 384
