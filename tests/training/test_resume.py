"""A run that was killed, stopped or ran out of disk goes on as if nothing had happened."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from earwitness.build import build_model
from earwitness.checkpoints.folder import load_checkpoint
from earwitness.config.errors import ConfigError
from earwitness.config.model import ModelConfig
from earwitness.config.preset import Preset
from earwitness.training.callbacks import DiskFullError, Seal, WorkerLostError, check_room
from earwitness.training.run import train
from earwitness.training.stage_trainer import StageTrainer

pytestmark = pytest.mark.slow

EVERYTHING = {"mixup": 0.4, "spec_augment": True, "epochs": 3}


def wait_for(path: Path, process: Any) -> None:
    while not path.exists():
        assert process.is_alive(), "the run ended before it was killed"
        time.sleep(0.005)


def loaders(process: Any) -> list[int]:
    """Processes that load data for it now."""
    return [int(pid) for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]


def same_run(a: Path, b: Path, runs: Any) -> None:
    first, second = runs.losses(a / "0-train"), runs.losses(b / "0-train")
    assert first.keys() == second.keys() and len(first) > 10
    assert max(abs(first[step] - second[step]) for step in first) < 1e-6
    x, y = (load_file(run / "0-train" / "stage.safetensors") for run in (a, b))
    assert max((x[k].float() - y[k].float()).abs().max().item() for k in x) < 1e-6


def test_killed_at_a_random_step(clip_recipe, runs, tmp_path, sets):
    extra = runs.write_set(tmp_path / "b", 9, first=50)
    said = [{"id": "clip3", "captions": ["a hound"]}]
    paraphrases = runs.write_rows(tmp_path / "said.jsonl", said)
    train_sets = [
        {"path": str(sets[0]), "paraphrases": str(paraphrases)},
        {"path": str(extra), "weight": 0.5},
    ]
    data = clip_recipe({"train": train_sets, **EVERYTHING}, average=0.9, evaluate_every=6)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert runs.finish(runs.fork(lambda: train(Preset.model_validate(data), whole))) == [0]
    data["stages"][0]["workers"] = 2  # loaded by others, the same batches
    process = runs.fork(lambda: train(Preset.model_validate(data), killed))
    wait_for(killed / "0-train" / f"checkpoint-{random.choice([6, 12])}", process)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert not (killed / "0-train" / "done.json").exists()
    assert runs.finish(runs.fork(lambda: train(Preset.model_validate(data), killed))) == [0]
    same_run(whole, killed, runs)


def test_sigterm_stops_all_processes_at_a_checkpoint_to_go_on_from(clip_recipe, runs, tmp_path):
    """Sent to one of two processes and to its loader's worker, as schedulers do that signal whole groups."""
    data = clip_recipe(EVERYTHING, evaluate_every=1000, evaluate_start=False, batch_size=2, workers=1)
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"

    def start(out: Path) -> list[Any]:
        return runs.fork_ranks(lambda _: train(Preset.model_validate(data), out))

    assert runs.finish(*start(whole)) == [0, 0]
    processes = start(stopped)
    wait_for(stopped / "0-train" / "metrics.jsonl", processes[0])
    asked = processes[1].pid
    workers = loaders(processes[1])
    assert workers
    for pid in (asked, *workers):
        os.kill(pid, signal.SIGTERM)
    assert runs.finish(*processes) == [143, 143]
    (left,) = (stopped / "0-train").glob("checkpoint-*")
    assert (left / "complete").is_file()
    assert runs.finish(*start(stopped)) == [0, 0]
    same_run(whole, stopped, runs)


def test_a_run_that_lost_a_worker_says_so_and_goes_on(clip_recipe, runs, tmp_path):
    data = clip_recipe(EVERYTHING, workers=2, evaluate_every=6)
    whole, bereft = tmp_path / "whole", tmp_path / "bereft"

    def lose() -> None:
        said = r"was killed \(DataLoader worker.*repeat the command"
        with pytest.raises(WorkerLostError, match=said):
            train(Preset.model_validate(data), bereft)

    assert runs.finish(runs.fork(lambda: train(Preset.model_validate(data), whole))) == [0]
    process = runs.fork(lose)
    wait_for(bereft / "0-train" / "checkpoint-6" / "complete", process)
    while not (there := loaders(process)):  # they end with an evaluation, and others begin
        assert process.is_alive(), "the run ended before a worker was killed"
        time.sleep(0.005)
    os.kill(there[0], signal.SIGKILL)
    assert runs.finish(process) == [0]
    assert not (bereft / "0-train" / "done.json").exists()
    assert runs.finish(runs.fork(lambda: train(Preset.model_validate(data), bereft))) == [0]
    same_run(whole, bereft, runs)


def test_a_run_that_fails_ends_with_its_workers(clip_recipe, runs, tmp_path, monkeypatch):
    """They live through SIGTERM, which is how Python ends them while the error still holds their loader."""

    def fail(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(StageTrainer, "training_step", fail)
    process = runs.fork(lambda: train(Preset.model_validate(clip_recipe(workers=2)), tmp_path / "out"))
    process.join(30)
    assert runs.finish(process) == [1]


def test_a_full_disk_is_named(clip_recipe, tmp_path):
    data = Preset.model_validate(clip_recipe())
    (tmp_path / "out" / "0-train").mkdir(parents=True)
    (tmp_path / "out" / "0-train" / "metrics.jsonl").symlink_to("/dev/full")
    with pytest.raises(DiskFullError, match=r"the disk of .*0-train is full .* repeat the command"):
        train(data, tmp_path / "out")
    with pytest.raises(DiskFullError, match=r"need about 1048576.0 GB"):
        check_room(tmp_path, 2**50)


def test_a_disk_that_fills_while_a_checkpoint_is_written(clip_recipe, runs, tmp_path, monkeypatch):
    """What safetensors raises then is no OSError. The run goes on from the checkpoint before."""
    data = clip_recipe(average=0.9)
    whole, filled = tmp_path / "whole", tmp_path / "filled"

    def full_at_4(tensors: Any, path: Path) -> None:
        if path.parent.name == "checkpoint-4":
            raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")
        save_file(tensors, path)

    train(Preset.model_validate(data), whole)
    with monkeypatch.context() as patch, pytest.raises(DiskFullError, match="repeat the command"):
        patch.setattr("earwitness.training.callbacks.save_file", full_at_4)
        train(Preset.model_validate(data), filled)
    assert Seal.last(filled / "0-train", tidy=False) == filled / "0-train" / "checkpoint-2"
    train(Preset.model_validate(data), filled)
    first, second = (runs.losses(run / "0-train") for run in (whole, filled))
    assert first == pytest.approx(second, abs=1e-6) and len(first) == 6


def test_a_run_that_goes_on_must_be_the_one_that_was_begun(clip_recipe, tmp_path, sets, runs):
    data = clip_recipe()
    train(Preset.model_validate(data), tmp_path / "out")
    data["stages"][0]["workers"] = 1  # may change
    train(Preset.model_validate(data), tmp_path / "out")
    data["stages"][0]["learning_rate"] = 2e-3
    with pytest.raises(ConfigError, match=r"stages.0.learning_rate: was 0.001, is 0.002"):
        train(Preset.model_validate(data), tmp_path / "out")
    data["stages"][0]["learning_rate"] = 1e-3
    rows = runs.read_rows(sets[0])
    runs.write_rows(sets[0], rows[1:])
    with pytest.raises(ConfigError, match=r"manifest.jsonl has changed"):
        train(Preset.model_validate(data), tmp_path / "out")


def test_a_run_that_was_begun_with_the_former_layout_of_decoding_resumes(clip_recipe, tmp_path):
    preset = Preset.model_validate(clip_recipe())
    train(preset, tmp_path / "out")
    file = tmp_path / "out" / "recipe.yaml"
    recipe = yaml.safe_load(file.read_text("utf-8"))
    recipe["model"] |= recipe["model"].pop("decoding")
    file.write_text(yaml.safe_dump(recipe), encoding="utf-8")
    train(preset, tmp_path / "out")
    assert "decoding" in yaml.safe_load(file.read_text("utf-8"))["model"]


def test_checkpoints_hold_trained_tensors_alone(clip_recipe, tmp_path, monkeypatch):
    """Frozen towers of a source are in no file of the run; all else that a resumed run needs is."""
    monkeypatch.setattr("earwitness.training.run.tidy", lambda _: None)  # what a finished stage removes
    encoder = {"kind": "ced", "dim": 24, "depth": 1, "heads": 2, "dropout": 0.0}
    folder = tmp_path / "ced"
    folder.mkdir()
    data = clip_recipe(average=0.9, trainer={"save_total_limit": 9, "disable_tqdm": True})
    model = data["model"] | {"encoder": encoder}
    torch.manual_seed(0)
    tokenizer = load_checkpoint(data["init"]).language_model.tokenizer
    state = build_model(ModelConfig.model_validate(model), tokenizer).encoder.state_dict()
    save_file(state, folder / "model.safetensors")
    model["encoder"] = {"kind": "ced", "source": str(folder), "heads": 2, "tune": "lora", "lora": {"r": 2}}
    tokenizer.save_pretrained(tmp_path / "out" / "tokenizer")
    data |= {"model": model, "init": None}
    train(Preset.model_validate(data), tmp_path / "out")
    files = sorted((tmp_path / "out").rglob("*.safetensors"))
    assert {"average.safetensors", "best.safetensors", "stage.safetensors"} <= {file.name for file in files}
    for file in files:
        frozen = [k for k in load_file(file) if k.startswith("encoder.") and "lora_" not in k]
        assert all("running_" in name or "num_batches" in name for name in frozen), file
    environment = json.loads((tmp_path / "out" / "environment.json").read_text())
    assert environment[0]["processes"] == 1 and "torch" in environment[0]["packages"]


def test_a_worker_lost_while_it_hands_over_a_batch_is_named_and_other_connections_are_not():
    from multiprocessing.connection import Pipe

    from earwitness.training.callbacks import WorkerLostError, lost_worker_named

    ours, theirs = Pipe()
    theirs.close()
    with pytest.raises(WorkerLostError, match="a data-loading worker was killed"), lost_worker_named():
        ours.recv()
    with pytest.raises(ConnectionResetError), lost_worker_named():
        raise ConnectionResetError("a tracker's server")
