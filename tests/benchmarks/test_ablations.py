"""The ablation bench: its rows, its verdicts, what its scenes show, and that a row trains and is measured."""

from __future__ import annotations

import pytest
import torch
from benchmarks.ablations import heard
from benchmarks.ablations.heard import Heard, direction, frames_of, retrieve
from benchmarks.ablations.tables import SETS, page_rows, print_table, verdict

from earwitness.config.preset import load_preset
from earwitness.scenes.bank import Bank
from earwitness.scenes.composer import Composer
from earwitness.scenes.lexicon import Lexicon
from earwitness.scenes.tag_set import TagSet


def test_every_table_of_every_set_has_rows_that_load():
    rows = page_rows()
    for tables in SETS.values():
        for table in tables:
            assert any(row.table == table for row in rows)
    for row in rows:
        load_preset(row.preset, list(row.overrides))
    assert {row.published for row in rows if row.name == "OT-Att"} == {"AudioCaps CIDEr 84.9"}


@pytest.mark.parametrize(
    "gaps, said",
    [
        ([0.3, 0.31, 0.29], "direction holds"),
        ([-0.3, -0.31, -0.29], "DIRECTION DOES NOT HOLD"),
        ([0.3, -0.4, 0.1], "within noise"),
        ([0.010, 0.030, 0.035], "within noise"),  # 3.3 standard errors are not enough with three seeds
        ([0.3], "one seed says nothing"),
    ],
)
def test_a_direction_must_stand_out_of_the_seeds(gaps, said):
    assert verdict(gaps) == said


def test_a_table_names_what_does_not_hold(capsys):
    whole = {seed: {"loss": 2.0 + 0.01 * seed, "cider_d": 0.5} for seed in range(3)}
    better = {seed: {"loss": 1.5 + 0.011 * seed, "cider_d": 0.6} for seed in range(3)}
    row = next(row for row in page_rows() if row.name == "linear")
    print_table("LAMB 2", [(row, better)], whole)
    line = capsys.readouterr().out.splitlines()[-1]
    assert "-0.499" in line and "DIRECTION DOES NOT HOLD; not given" in line


@pytest.fixture(scope="module")
def composer(bank_folder, tmp_path_factory) -> Composer:
    bank = Bank.open(bank_folder, tmp_path_factory.mktemp("cache"))
    labels = sorted({r.label for r in bank.recordings})
    pool = {label: [i for i, r in enumerate(bank.recordings) if r.label == label] for label in labels}
    return Composer(bank, pool, TagSet.of(labels, Lexicon.default()), [], human=0.0)


def test_frames_show_what_sounds_then_and_hang_on_the_scene_alone(composer, monkeypatch):
    monkeypatch.setattr(heard, "IN_PICTURE", 1.0)
    monkeypatch.setattr(heard, "NOISE", 0.0)
    scene = composer.plan(3, 500)
    frames = frames_of(scene, composer.bank, composer.labels)
    assert frames.shape == (10, heard.FRAME_DIM)
    assert torch.equal(frames, frames_of(composer.plan(3, 500), composer.bank, composer.labels))
    for k, frame in enumerate(frames):
        at = 50 * k + 25
        sounding = {
            composer.bank.recordings[p.recording].label
            for p in scene.placed
            if p.onset <= at < p.onset + p.length
        }
        rest = frame.clone()
        for label in sounding:
            rest -= torch.from_numpy(direction(label))
        mute = [(rest - torch.from_numpy(direction(label))).norm().item() for label in composer.labels]
        assert min(mute) < 1e-5


def test_retrieved_captions_are_the_nearest_and_never_a_clip_s_own():
    tags = torch.eye(5) + 0.1 * torch.ones(5, 5) + 0.3 * torch.roll(torch.eye(5), 1, 1)
    clips = [Heard(i, tags[i], tags[i], tags[i], f"caption {i}", []) for i in range(5)]
    retrieve(clips, clips)
    for i, clip in enumerate(clips):
        assert f"caption {i}" not in clip.retrieved and len(clip.retrieved) == heard.RETRIEVED
        assert {f"caption {(i - 1) % 5}", f"caption {(i + 1) % 5}"} <= set(clip.retrieved)
