"""Shards in training: every clip in turn, weights kept, and a run over them goes on exactly."""

from __future__ import annotations

import os
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from earwitness.config.data import ManifestData
from earwitness.config.errors import ConfigError
from earwitness.config.preset import Preset
from earwitness.data.manifest import Manifest
from earwitness.data.shard_writing import Sharding, write_shards
from earwitness.training.inputs.examples import Reader
from earwitness.training.inputs.shard_data import ClipStream
from earwitness.training.run import train


@pytest.fixture
def shards(sets, tmp_path) -> Path:
    """The training clips of `sets` in shards of five."""
    write_shards(Manifest.open(sets[0]), tmp_path / "shards", Sharding(rows=5))
    return tmp_path / "shards"


def stream(paths: list[Any], seed: int = 0, **options: Any) -> ClipStream:
    data = {k: options.pop(k) for k in ("mixup", "seconds", "epochs") if k in options}
    data |= {"kind": "manifest", "train": paths, "validation": ["v.jsonl"]}
    return ClipStream(ManifestData.model_validate(data), Reader(16_000), seed, **options)


def take(clips: ClipStream, count: int, reader: int = 0, readers: int = 1) -> list[Any]:
    examples = clips.examples(reader, readers)
    return [next(examples) for _ in range(count)]


def test_every_clip_once_an_epoch_over_all_readers(shards):
    clips = stream([str(shards)])
    assert clips.epoch_size == 24 and clips.steps(4) == 6
    readers = [Counter(e.id for e in take(clips, 12, reader, 2)) for reader in (0, 1)]
    assert sum(len(seen) for seen in readers) >= 20  # a reader's second epoch may begin before 12 are drawn
    one = Counter(e.id for e in take(clips, 24))
    assert set(one.values()) == {1} and len(one) == 24


def test_sets_are_drawn_by_their_weight(shards, tmp_path, runs):
    other = runs.write_set(tmp_path / "b", 6, first=50)
    write_shards(Manifest.open(other), tmp_path / "more", Sharding(rows=3))
    clips = stream([{"path": str(shards), "weight": 0.5}, {"path": str(tmp_path / "more"), "weight": 4}])
    assert clips.epoch_size == 36
    few = sum(int(e.id.removeprefix("clip")) >= 50 for e in take(clips, 360))
    assert 200 < few < 280  # two thirds


def test_examples_are_numbered_as_they_are_drawn(shards):
    """The number seeds an example's draws: each is used once."""
    places = [example.place for example in take(stream([str(shards)]), 30)]
    assert [(reader, drawn) for reader, drawn, _ in places] == [(0, i) for i in range(1, 31)]


def test_a_reader_goes_on_from_the_place_of_any_example(shards):
    clips = stream([str(shards)], mixup=0.5, seconds=0.3)
    whole = take(clips, 40)
    for stop in (1, 17, 30):
        again = stream([str(shards)], mixup=0.5, seconds=0.3)
        again.starts = {0: whole[stop - 1].place}
        rest = take(again, 40 - stop)
        assert [(e.id, e.caption, e.seed) for e in rest] == [(e.id, e.caption, e.seed) for e in whole[stop:]]
        assert all((a.waveform == b.waveform).all() for a, b in zip(rest, whole[stop:]))


def test_what_must_not_be_trained_on_is_passed_over_or_named(shards):
    clips = stream([str(shards)], excluded=frozenset({"clip3", "clip4"}))
    assert {"clip3", "clip4"}.isdisjoint(e.id for e in take(clips, 44))
    with pytest.raises(ConfigError, match=r"clips-00000\d.tar/.*: clip5 is also in the validation set"):
        take(stream([str(shards)], foreign=frozenset({"clip5"})), 24)


@pytest.mark.slow
def test_a_killed_run_over_shards_goes_on_exactly(clip_recipe, runs, tmp_path, shards, monkeypatch):
    monkeypatch.setattr("earwitness.training.run.tidy", lambda _: None)  # its last checkpoint is gone on from
    data = clip_recipe({"train": [str(shards)], "mixup": 0.3, "epochs": 3}, evaluate_every=7, workers=2)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert runs.finish(runs.fork(lambda: train(Preset.model_validate(data), whole))) == [0]
    process = runs.fork(lambda: train(Preset.model_validate(data), killed))
    while not (killed / "0-train" / "checkpoint-7").exists():
        assert process.is_alive()
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert runs.finish(runs.fork(lambda: train(Preset.model_validate(data), killed))) == [0]
    first, second = (runs.losses(folder / "0-train") for folder in (whole, killed))
    assert first == pytest.approx(second, abs=1e-6) and len(first) == 18
    data["stages"][0]["workers"] = 3
    (killed / "0-train" / "done.json").unlink()
    with pytest.raises(ConfigError, match="workers: the run had 2 a process, now 3"):
        train(Preset.model_validate(data), killed)


def test_mistakes_with_shards_are_named(clip_recipe, sets, shards, tmp_path):
    with pytest.raises(ConfigError, match=r"there is no .*nowhere/index.json: write shards with"):
        train(Preset.model_validate(clip_recipe({"train": [str(tmp_path / "nowhere")]})), tmp_path / "out")
    with pytest.raises(ValueError, match="either manifests .* or shards"):
        Preset.model_validate(clip_recipe({"train": [str(sets[0]), str(shards)]}))
