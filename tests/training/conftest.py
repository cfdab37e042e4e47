"""Small captioned sets on disk, a recipe for them, and runs in processes of their own.

Processes are forked, which spares them the seconds that torch takes to import.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

CAPTIONS = [
    "A dog barks followed by a man speaking",
    "Rain falls as a bell rings",
    "A woman speaks while an engine runs",
    "A bell rings before a dog barks",
]


def write_set(folder: Path, count: int, *, first: int = 0, seconds: tuple[float, float] = (0.4, 1.6)) -> Path:
    """A manifest of `count` clips of noise and tones, each with two captions; returns its path."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for i in range(first, first + count):
        rng = np.random.default_rng(i)
        samples = int(16_000 * rng.uniform(*seconds))
        tone = np.sin(2 * np.pi * rng.uniform(200, 2000) * np.arange(samples) / 16_000)
        soundfile.write(folder / f"{i}.flac", 0.2 * tone + 0.02 * rng.standard_normal(samples), 16_000)
        captions = [CAPTIONS[i % 4], CAPTIONS[(i + 1) % 4]]
        rows.append({"id": f"clip{i}", "audio": f"{i}.flac", "captions": captions})
    return write_rows(folder / "manifest.jsonl", rows)


def write_rows(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def read_rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def losses(folder: Path, name: str = "loss") -> dict[int, float]:
    """Step -> what was logged in a stage's folder."""
    return {row["step"]: row[name] for row in read_rows(folder / "metrics.jsonl") if name in row}


@pytest.fixture
def sets(tmp_path) -> tuple[Path, Path]:
    """Manifests of 24 training and 4 validation clips."""
    return write_set(tmp_path / "a", 24), write_set(tmp_path / "v", 4, first=100)


@pytest.fixture
def clip_recipe(sets, tiny_checkpoint) -> Callable[..., dict[str, Any]]:
    """clip_recipe(data={...}, key=value of the stage ...) -> a preset of one stage over `sets`."""

    def recipe(data: dict[str, Any] | None = None, **stage: Any) -> dict[str, Any]:
        config = json.loads((tiny_checkpoint / "config.json").read_text())
        section = {"kind": "manifest", "train": [str(sets[0])], "validation": [str(sets[1])], "seconds": 1.0}
        common = {"name": "train", "task": "captioning", "batch_size": 4, "learning_rate": 1e-3, "workers": 0}
        common |= {"evaluate_every": 2, "trainer": {"logging_steps": 1, "disable_tqdm": True}}
        stages = [common | {"data": section | (data or {})} | stage]
        return {
            "description": "tiny",
            "init": str(tiny_checkpoint),
            "report_to": [],
            "model": config,
            "stages": stages,
        }

    return recipe


@pytest.fixture(scope="session")
def sentence_encoder(tmp_path_factory) -> str:
    """The folder of a tiny one of random weights, 32 wide, in the published layout."""
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder = tmp_path_factory.mktemp("sentences")
    words = "[PAD] [UNK] [CLS] [SEP] [MASK] a dog barks rain falls on roof man speaks bell rings then while"
    (folder / "vocab.txt").write_text("\n".join(words.split()), encoding="utf-8")
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
    config = BertConfig(vocab_size=len(words.split()), initializer_range=0.4, **sizes)
    BertModel(config).save_pretrained(folder)
    BertTokenizerFast(vocab=str(folder / "vocab.txt")).save_pretrained(folder)
    return str(folder)


def fork(work: Callable[[], Any]) -> Any:
    """work() in a forked process, started. Its exit code is 143 if the run stopped as asked."""

    def run() -> None:
        from earwitness.training.callbacks import Stopped

        torch.set_num_threads(1)
        try:
            work()
        except Stopped:
            os._exit(143)
        os._exit(0)

    process = multiprocessing.get_context("fork").Process(target=run)
    process.start()
    return process


def fork_ranks(work: Callable[[int], Any], count: int = 2) -> list[Any]:
    """work(rank) in `count` forked processes as torchrun starts them, joined by gloo."""
    from accelerate.state import AcceleratorState, PartialState

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]

    def run(rank: int) -> None:
        os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(count)}
        os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "LOCAL_WORLD_SIZE": str(count)}
        AcceleratorState._reset_state(True)
        PartialState._reset_state()
        work(rank)

    return [fork(lambda rank=rank: run(rank)) for rank in range(count)]


def finish(*processes: Any) -> list[int]:
    """Exit codes."""
    for process in processes:
        process.join(120)
    codes = [process.exitcode for process in processes]
    for process in processes:
        process.kill()
    return codes


@pytest.fixture
def runs() -> Any:
    """What this file offers."""
    from types import SimpleNamespace

    return SimpleNamespace(**globals())
