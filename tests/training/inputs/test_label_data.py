"""Sounds become tag probabilities of recordings; pairs are read, split and drawn reproducibly."""

import copy
import shutil

import numpy as np
import pytest
import torch

from earwitness.config.data import LabelData
from earwitness.config.errors import ConfigError
from earwitness.scenes.bank import Bank
from earwitness.scenes.recordings import read_manifest
from earwitness.training.inputs.label_data import (
    JITTER,
    SHIFT,
    LabelSource,
    Pair,
    PairCollator,
    TagExamples,
    label_pairs,
    read_human,
    read_pairs,
)

NAMES = ["Dog", "Rain", "Music", "Purr"]
ROWS = np.array([[0.9, 0.1, 0.0, 0.0], [0.7, 0.2, 0.0, 0.0], [0.0, 0.8, 0.3, 0.0]], np.float32)


@pytest.fixture
def examples() -> TagExamples:
    return TagExamples(ROWS, NAMES)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_recordings_stand_for_the_tags_they_are_examples_of(examples):
    drawn = {int(np.flatnonzero((examples.of_tag("Dog", rng(i)) == ROWS).all(1))[0]) for i in range(40)}
    assert drawn == {0, 1}  # never the recording of rain


def test_a_tag_without_recordings_stands_out_of_the_median(examples):
    alone = np.stack([examples.of_tag("Purr", rng(i)) for i in range(50)])
    assert alone[:, 3].mean() > 0.4 and np.all(alone[:, :3] <= 2 * np.median(ROWS, 0)[:3] + 1e-6)


def test_joined_sounds_are_each_as_probable_as_in_one_of_them_at_most_plus_jitter(examples):
    joined = np.stack([examples.joined([ROWS[0], ROWS[2]], rng(i)) for i in range(300)])
    mean = joined.mean(0)
    assert 0.6 < mean[0] < 0.95 and 0.5 < mean[1] < 0.9 and 0.1 < mean[2] < 0.35 and mean[3] < 0.01
    alone = np.stack([examples.joined([ROWS[0]], rng(i)) for i in range(300)])
    assert alone[:, 1].mean() < 0.2 < mean[1]


def test_pairs_name_tags_once_and_others_are_left_out(tmp_path):
    file = tmp_path / "pairs.csv"
    file.write_text("labels,caption\n\"['Dog', 'Dog', 'Static']\",A dog barks.\n\"['Static']\",Noise.\n")
    assert read_pairs([str(file)], NAMES) == [Pair((("Dog",),), "a dog barks")]
    file.write_text("label,caption\nDog,A dog barks.\n")
    with pytest.raises(ConfigError, match="has no column labels"):
        read_pairs([str(file)], NAMES)
    with pytest.raises(ConfigError, match="there is no file"):
        read_pairs([str(tmp_path / "none.csv")], NAMES)


def test_a_tag_is_drawn_from_its_surest_recordings(examples):
    drawn = [examples.of_tag("Dog", rng(i))[0] for i in range(2000)]
    share = np.mean(np.isclose(drawn, ROWS[0, 0]))
    assert share == pytest.approx(0.81 / (0.81 + 0.49), abs=0.04)  # squares of .9 and .7


def test_human_captions_are_kept_where_every_sound_is_a_tag_or_a_label(tmp_path):
    file = tmp_path / "captions.txt"
    file.write_text("A dog barks\nA dog barks while rain falls\nA cat meows\nSomething odd happens\n")
    assert [p.caption for p in read_human([str(file)], ["Dog"])] == ["a dog barks"]
    both = read_human([str(file)], ["Dog", "Bark", "Rain"])
    assert [p.caption for p in both] == ["a dog barks", "a dog barks while rain falls"]
    assert both[1].names == (("Bark", "Dog"), ("Rain",))
    assert [p.caption for p in read_human([str(file)], ["cat meowing"])] == ["a cat meows"]


def test_training_and_validation_share_no_caption_and_draws_depend_on_the_number(examples, tmp_path):
    file = tmp_path / "pairs.csv"
    rows = "".join(f"\"['Dog']\",dog number {i} barks\n" for i in range(60))
    file.write_text("labels,caption\n" + rows)
    section = LabelData(kind="labels", bank="b", pairs=[str(file)], validation_share=0.3, epochs=2)
    train, validation = label_pairs(section, NAMES)
    assert len(train) + 2 * len(validation) == 120 and len(validation) > 5
    assert not {p.caption for p in train.items} & {p.caption for p in validation.items}

    def encode(captions):
        return torch.zeros(len(captions), 1), torch.ones(len(captions), 1)

    collate = PairCollator(examples, encode, seed=3)
    batch, again = collate([train[0], train[5]]), collate([train[5]])
    assert np.array_equal(batch["tags"][1], again["tags"][0])
    assert not np.array_equal(batch["tags"][0], batch["tags"][1])


def test_training_recordings_are_tagged_once_for_the_same_weights(bank_folder, tiny_model, tmp_path):
    folder = tmp_path / "bank"
    shutil.copytree(bank_folder, folder)
    recordings = read_manifest(folder)
    (folder / recordings[3].path).write_bytes(b"no sound")
    bank = Bank.open(folder, tmp_path / "banks", workers=1)
    source = LabelSource(LabelData(kind="labels", bank=str(folder)), bank)
    held_out = {r.path for r, out in zip(bank.recordings, bank.held_out()) if out}
    used = {bank.recordings[i].path for i in source.train}
    assert used == {r.path for i, r in enumerate(recordings) if i != 3} - held_out
    found = source.tags(tiny_model, tmp_path / "cache")
    assert found.shape == (len(used), len(tiny_model.tag_names)) and 0 <= found.min() < found.max() <= 1
    broken = copy.deepcopy(tiny_model)
    broken.encoder.forward = None  # nothing is computed again
    assert np.array_equal(source.tags(broken, tmp_path / "cache"), found)
    torch.nn.init.normal_(next(broken.encoder.parameters()))
    with pytest.raises(TypeError):  # other weights, other tags
        source.tags(broken, tmp_path / "cache")


def test_a_tag_is_that_of_the_recordings_first_seconds_at_half_scale(bank_folder, tiny_model, tmp_path):
    bank = Bank.open(bank_folder, tmp_path / "banks", workers=1)
    source = LabelSource(LabelData(kind="labels", bank=str(bank_folder)), bank)
    first = int(source.train[0])
    start, length = int(bank.start[first]), int(bank.samples[first])
    sound = bank.audio[start : start + min(length, 160_000)].float()
    sound = torch.nn.functional.pad(sound / sound.abs().max() / 2, (0, max(0, 24_000 - len(sound))))
    with torch.inference_mode():
        h_a = tiny_model.encoder.eval()(sound[None], torch.tensor([len(sound)]))
        wanted = tiny_model.encoder.tag_probabilities(h_a)[0].numpy()
    assert np.allclose(source.tags(tiny_model, tmp_path / "cache")[0], wanted, atol=1e-6)


def test_how_sure_a_clip_is_varies_as_a_whole(examples):
    drawn = np.stack([examples.joined([ROWS[0]], rng(i)) for i in range(400)]).clip(1e-6, 1 - 1e-6)
    change = np.log(drawn / (1 - drawn))[:, :2] - np.log(ROWS[0, :2] / (1 - ROWS[0, :2]))
    shared = change.mean(1)
    assert shared.std() == pytest.approx(np.hypot(SHIFT[1], JITTER / np.sqrt(2)), rel=0.3)
    assert np.corrcoef(change.T)[0, 1] > 0.7
