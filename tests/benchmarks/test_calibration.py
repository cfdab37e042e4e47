"""The benchmark of trust: clips of known content, captions judged by it, weights stored in a checkpoint."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from benchmarks.calibration import auc, cross_validated, judge, rows, write
from benchmarks.known_sounds import Example, Judge, examples

from earwitness.captioner import Captioner
from earwitness.decoding.calibration import Weights
from earwitness.runtime import TorchModel

NOTHING = np.zeros(0, np.float32)
DOG_THEN_RAIN = Example(NOTHING, ("dog barking", "rain falling"), ((0.0, 2.0), (2.2, 5.0)), frozenset("ab"))
TOGETHER = Example(NOTHING, ("dog barking", "rain falling"), ((0.0, 4.0), (1.0, 5.0)), frozenset("ab"))


@pytest.mark.parametrize(
    "text, labels, right, events",
    [
        ("a dog barks", ["dog barking"], True, 1),
        ("a dog barks", ["rain falling"], False, 1),
        ("a dog barks while rain falls", ["dog barking", "rain falling"], True, 2),
        ("a dog barks while rain falls", ["dog barking"], False, 2),
        ("a dog barks and growls", ["dog barking", "dog growling"], True, 1),
        ("an engine runs", ["car engine running"], True, 1),
        ("something happens", ["dog barking"], False, 0),
    ],
)
def test_a_caption_is_right_if_all_that_it_names_is_there(text, labels, right, events):
    judge_of = Judge()
    named = judge_of.named(text)
    assert (judge_of.right(named, labels), judge_of.events(named)) == (right, events)


def test_sounds_are_in_order_where_they_hardly_overlap_and_differ():
    judge_of = Judge()
    assert judge_of.ordered(DOG_THEN_RAIN) and not judge_of.ordered(TOGETHER)
    one = Example(NOTHING, ("dog barking", "dog barking"), DOG_THEN_RAIN.spans, frozenset("a"))
    assert not judge_of.ordered(one)


def test_clips_are_held_out_and_of_known_content(bank_folder):
    found = examples(bank_folder, 2, 6)
    singles, scenes = [e for e in found if len(e.labels) == 1], [e for e in found if len(e.labels) > 1]
    assert len(singles) == 2 and len(scenes) == 6
    for example in found:
        assert 0 < np.abs(example.waveform).max() <= 1.5 and len(example.waveform) <= 10.0 * 16_000
        assert len(example.labels) == len(example.spans) and all(a < b for a, b in example.spans)
    again = examples(bank_folder, 2, 6)
    assert all(np.array_equal(a.waveform, b.waveform) for a, b in zip(found, again))


def test_captions_of_clips_are_judged_and_measured(bank_folder, tiny_model):
    found = examples(bank_folder, 2, 4)
    judged = judge(Captioner(TorchModel(tiny_model)), found)
    assert len(judged) == 6 and all(one.text and one.evidence.logprob < 0 for one in judged)
    wide = [
        one.__class__(**vars(one) | {"right": i % 3 == 0, "example": renamed(one.example, i)})
        for i, one in enumerate(judged * 10)
    ]
    p = cross_validated(wide)
    assert np.isfinite(p).all() and p.mean() == pytest.approx(1 / 3, abs=0.1)
    table = {row.what: row.ours for row in rows(wide, Weights(bias=0.0, logprob=0.0))}
    assert table["captions that are right"] == pytest.approx(1 / 3, abs=0.01)
    assert table["calibration error of the stored weights"] == pytest.approx(0.5 - 1 / 3, abs=0.01)


def renamed(example: Example, number: int) -> Example:
    return Example(example.waveform, example.labels, example.spans, frozenset([f"group {number}"]))


def test_auc_of_known_orders():
    right = np.array([True, True, False, False])
    assert auc(np.array([0.9, 0.8, 0.2, 0.1]), right) == 1.0
    assert auc(np.array([0.1, 0.2, 0.8, 0.9]), right) == 0.0
    assert auc(np.array([0.5] * 4), right) == 0.5


def test_weights_are_stored_and_change_the_score(tiny_checkpoint, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(tiny_checkpoint, folder)
    waveform = np.random.default_rng(0).normal(size=16_000).astype(np.float32) * 0.1
    before = Captioner.from_pretrained(folder, device="cpu")(waveform, max_new_tokens=6)
    assert before.score == pytest.approx(np.exp(before.logprob))
    write(folder, Weights(bias=-1.0, logprob=2.0))
    assert json.loads((folder / "config.json").read_text())["decoding"]["calibration"]["logprob"] == 2.0
    after = Captioner.from_pretrained(folder, device="cpu")(waveform, max_new_tokens=6)
    assert (after.text, after.logprob) == (before.text, before.logprob)
    assert after.score == pytest.approx(1 / (1 + np.exp(1.0 - 2.0 * after.logprob)))
