"""Composed scenes as a data folder: what pictures show, which captions are retrieved, what is held out."""

from __future__ import annotations

import numpy as np
import pytest

from earwitness.checkpoints.folder import load_checkpoint
from earwitness.data.manifest import Manifest
from earwitness.scenes.bank import Bank
from earwitness.scenes.composer import Composer
from earwitness.scenes.lexicon import Lexicon
from earwitness.scenes.tag_set import TagSet
from earwitness.studies import compose as composing
from earwitness.studies.compose import Scenes, compose, direction, frames_of


@pytest.fixture(scope="module")
def composer(bank_folder, tmp_path_factory) -> Composer:
    bank = Bank.open(bank_folder, tmp_path_factory.mktemp("cache"))
    labels = sorted({r.label for r in bank.recordings})
    pool = {label: [i for i, r in enumerate(bank.recordings) if r.label == label] for label in labels}
    return Composer(bank, pool, TagSet.of(labels, Lexicon.default()), [], human=0.0)


def test_frames_show_what_sounds_then_and_depend_on_the_scene_alone(composer, monkeypatch) -> None:
    monkeypatch.setattr(composing, "IN_PICTURE", 1.0)
    monkeypatch.setattr(composing, "NOISE", 0.0)
    scene = composer.plan(3, 500)
    frames = frames_of(scene, composer.bank, composer.labels, 5.0)
    assert frames.shape == (10, composing.FRAME_DIM)
    again = frames_of(composer.plan(3, 500), composer.bank, composer.labels, 5.0)
    assert np.array_equal(frames, again)
    for k, frame in enumerate(frames):
        at = 50 * k + 25
        sounding = {
            composer.bank.recordings[p.recording].label
            for p in scene.placed
            if p.onset <= at < p.onset + p.length
        }
        rest = frame - sum(
            (direction(label) for label in sounding), np.zeros(composing.FRAME_DIM, np.float32)
        )
        assert min(np.linalg.norm(rest - direction(label)) for label in composer.labels) < 1e-5


def test_a_folder_is_whole_and_is_not_made_twice(bank_folder, tiny_checkpoint, tmp_path) -> None:
    for name, verb in (("train", "is heard"), ("test", "sounds")):
        words = ("a dog", "rain", "wind", "a man", "a bell", "an engine", "music")
        (tmp_path / f"{name}.txt").write_text("".join(f"{word} {verb}\n" for word in words))
    files = ([str(tmp_path / "train.txt")], [str(tmp_path / "test.txt")])
    scenes = Scenes(bank_folder, *files, train=6, held_out=3, seconds=2.0)
    compose(scenes, tmp_path / "data", load_checkpoint(tiny_checkpoint))
    rows = {name: list(Manifest.open(tmp_path / "data" / f"{name}.jsonl")) for name in composing.SEEDS}
    assert [len(own) for own in rows.values()] == [6, 3, 3]
    known = {row.captions[0] for row in rows["train"]}
    for own in rows.values():
        for row in own:
            assert np.load(row.video).shape == (4, composing.FRAME_DIM)
            assert set(row.retrieved) <= known and row.captions[0] not in row.retrieved
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "data").rglob("*.*")}
    compose(scenes, tmp_path / "data", load_checkpoint(tiny_checkpoint))
    assert times == {path: path.stat().st_mtime_ns for path in (tmp_path / "data").rglob("*.*")}
