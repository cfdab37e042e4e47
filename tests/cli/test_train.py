from __future__ import annotations

import json
from pathlib import Path

import pytest
import soundfile
import torch
import yaml
from typer.testing import CliRunner, Result

from earwitness.checkpoints.folder import load_checkpoint
from earwitness.cli import app


def run(*words: str) -> Result:
    return CliRunner().invoke(app, list(words))


@pytest.fixture
def recipe(tiny_checkpoint, tmp_path) -> Path:
    """A recipe of one step over two clips that are the validation clips' neighbours."""
    for split in ("train", "validation"):
        rows = []
        for i in range(2):
            soundfile.write(tmp_path / f"{split}{i}.wav", torch.randn(8_000).mul(0.1).numpy(), 16_000)
            rows.append({"id": f"{split}{i}", "audio": f"{split}{i}.wav", "captions": ["a dog barks"]})
        (tmp_path / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    data = {"kind": "manifest"} | {s: [str(tmp_path / f"{s}.jsonl")] for s in ("train", "validation")}
    stage = {"name": "train", "task": "captioning", "data": data, "batch_size": 2, "workers": 0}
    model = json.loads((tiny_checkpoint / "config.json").read_text())
    preset = {"description": "tiny", "init": str(tiny_checkpoint), "report_to": [], "model": model}
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(preset | {"stages": [stage]}))
    return tmp_path / "tiny.yaml"


@pytest.mark.slow
def test_a_check_builds_nothing_and_training_leaves_a_model(recipe, tmp_path):
    told = run("train", str(recipe), "--check", "--out", str(tmp_path / "run"))
    assert told.exit_code == 0 and "No faults found" in told.output
    assert not list((tmp_path / "run").glob("0-*"))
    told = run("train", str(recipe), "--out", str(tmp_path / "run"), "stages.0.learning_rate=0.01")
    assert told.exit_code == 0, told.output
    assert load_checkpoint(tmp_path / "run" / "model").card.startswith("---")


def test_faults_end_the_command_with_their_mend(recipe, tmp_path):
    (tmp_path / "train1.wav").unlink()
    told = run("train", str(recipe), "--check", "--out", str(tmp_path / "run"))
    assert told.exit_code == 2 and "row 2: train1: there is no file" in told.output
    told = run("train", str(recipe), "stages.0.lerning_rate=1")
    assert told.exit_code == 2 and "stages.0.lerning_rate: unknown key" in told.output


def test_export_writes_what_it_is_asked_for(tiny_checkpoint, tmp_path):
    told = run("export", str(tiny_checkpoint), "--merged", str(tmp_path / "merged"))
    assert told.exit_code == 0 and load_checkpoint(tmp_path / "merged").card == "# tiny\n\nRandom weights.\n"
    told = run("export", "--model", str(tiny_checkpoint), "--peft", str(tmp_path / "peft"))
    assert told.exit_code == 2 and "no tower of this model was trained with LoRA" in told.output
    assert run("export", str(tiny_checkpoint)).exit_code == 2
    told = run("export", str(tiny_checkpoint), "--model", "mini", "--merged", str(tmp_path / "no"))
    assert told.exit_code == 2 and "name one model" in told.output


def test_a_hub_that_is_not_reached_ends_the_command_with_a_message(tiny_checkpoint, monkeypatch):
    """Whatever the client's libraries raise."""
    from huggingface_hub import HfApi

    for error in (ConnectionError("Name or service not known"), RuntimeError(), OSError("offline mode")):

        def fail(*_: object, error: Exception = error, **__: object) -> None:
            raise error

        monkeypatch.setattr(HfApi, "create_repo", fail)
        told = run("export", "--model", str(tiny_checkpoint), "--push", "someone/lamb")
        assert told.exit_code == 2 and "Error: --push someone/lamb: the hub did not take" in told.output
        assert "hf auth login" in told.output and isinstance(told.exception, SystemExit)
