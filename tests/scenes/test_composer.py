import numpy as np
import pytest
import torch

from earwitness.features import log_mel
from earwitness.scenes.bank import Bank, held_out_groups, read_manifest
from earwitness.scenes.caption_pool import CaptionPool
from earwitness.scenes.composer import Channel, Composer
from earwitness.scenes.lexicon import Lexicon
from earwitness.scenes.mixdown import render_waveform
from earwitness.scenes.render import render_mel, spec_augment
from earwitness.scenes.tag_set import TagSet

CAPTIONS = ["A dog barks followed by a man speaking", "Rain falls as a bell rings", "A zeppelin deflates"]


@pytest.fixture(scope="module")
def bank(bank_folder, tmp_path_factory):
    return Bank.open(bank_folder, tmp_path_factory.mktemp("cache"), workers=1)


@pytest.fixture(scope="module")
def tag_set(bank):
    return TagSet.of(sorted({r.label for r in bank.recordings}), Lexicon.default())


def composer(bank, tag_set, **options):
    return Composer(bank, bank.subset(frozenset(), inside=False), tag_set, CAPTIONS, seconds=4, **options)


def test_a_group_is_wholly_on_one_side_and_every_label_can_be_learnt(bank):
    held = held_out_groups(bank.recordings, share=0.25)
    train, validation = bank.subset(held, inside=False), bank.subset(held, inside=True)
    groups = [
        {bank.recordings[i].group for rows in part.values() for i in rows} for part in (train, validation)
    ]
    assert not groups[0] & groups[1]
    assert set(train) == {r.label for r in bank.recordings} == set(validation)


def test_the_cache_gives_back_what_was_decoded(bank, bank_folder, tmp_path):
    first = Bank.open(bank_folder, tmp_path, workers=1)
    again = Bank.open(bank_folder, tmp_path, workers=1)
    assert torch.equal(first.frames, again.frames) and torch.equal(first.frames, bank.frames)
    assert (bank.length > 35).all() and int(bank.length.sum()) == len(bank.frames)


def test_silence_at_the_ends_is_cut(bank):
    shortest = bank.length.min().item()
    assert 38 <= shortest <= 46  # 0.4 s of sound between two stretches of 0.1 s silence


def test_a_folder_without_manifest_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"no manifest\.csv"):
        read_manifest(tmp_path)


def test_a_plan_hangs_on_seed_and_index_alone(bank, tag_set):
    one, two = composer(bank, tag_set, seed=3), composer(bank, tag_set, seed=3)
    backwards = [two.plan(i) for i in reversed(range(8))][::-1]
    for i, scene in enumerate(backwards):
        assert str(one.plan(i)) == str(scene)
    assert str(one.plan(0)) != str(composer(bank, tag_set, seed=4).plan(0))


def test_a_caption_is_what_is_placed_in_its_order(bank, tag_set):
    c = composer(bank, tag_set, human=1.0, augment=0.0)
    scenes = [c.plan(i) for i in range(40)]
    assert {s.caption for s in scenes} <= set(CAPTIONS[:2])  # the bank has no zeppelin
    for scene in scenes:
        labels = [bank.recordings[p.recording].label for p in scene.placed]
        if "followed by" in scene.caption:
            dogs = [p.onset for p, label in zip(scene.placed, labels) if label == "dog barking"]
            men = [p.onset for p, label in zip(scene.placed, labels) if label == "man speaking"]
            assert dogs and men and min(dogs) < min(men)
        else:
            assert {"rain falling", "bell ringing"} == set(labels)
        assert all(p.onset >= 0 and p.onset + p.length <= scene.frames for p in scene.placed)


def test_tags_are_on_where_their_recording_sounds(bank, tag_set):
    c = composer(bank, tag_set, human=1.0, augment=0.0)
    scenes = [c.plan(i) for i in range(6)]
    mel, targets = render_mel(scenes, bank, len(tag_set.names))
    assert mel.shape == (6, 64, 400) and targets.shape == (6, 25, len(tag_set.names))
    for b, scene in enumerate(scenes):
        on = {tag_set.names[t] for t in targets[b].amax(0).nonzero().flatten().tolist()}
        assert on <= {tag_set.names[t] for t in scene.tags}
        for p in scene.placed:
            loud = targets[b, (p.onset + p.length // 2) // 16, list(p.tags)]
            if p.length >= 40:
                assert loud.all()


def test_the_spectrogram_agrees_with_the_waveform(bank, tag_set):
    """Power mels add on average: the loud cells of both forms agree within a few decibels."""
    c = composer(bank, tag_set, human=1.0, augment=0.0)
    for i in range(4):
        scene = c.plan(i)
        for p in scene.placed:  # a change of speed is made differently in the two forms
            p.rate, p.shift = 1.0, 0
            p.timbre = np.linspace(-9, 9, 64, dtype=np.float32)
        mel, _ = render_mel([scene], bank, len(tag_set.names))
        wave = log_mel(torch.from_numpy(render_waveform(scene, bank))[None])[..., : mel.shape[2]]
        a, b = mel[0] - mel.max(), wave[0] - wave.max()
        loud = (a > -20) & (b > -40)
        assert loud.sum() > 50
        assert (a - b)[loud].abs().median() < 3.0


def test_each_part_of_the_channel_does_what_it_says(bank, tag_set):
    c = composer(bank, tag_set, human=1.0, augment=0.0)
    scene = c.plan(0)
    clean, _ = render_mel([scene], bank, len(tag_set.names))
    scene.channel = Channel(high_cut=30, cut_slope=12)
    cut, _ = render_mel([scene], bank, len(tag_set.names))
    assert torch.allclose(cut[:, :30], clean[:, :30], atol=1e-3) and (cut[:, 40] <= clean[:, 40] - 100).all()
    scene.channel = Channel(noise_db=-10)
    noisy, _ = render_mel([scene], bank, len(tag_set.names))
    assert noisy.amin() > clean.amin() + 10
    scene.channel = Channel(reverb_seconds=2.0)
    for p in scene.placed:
        p.wet = 0.0
    roomy, _ = render_mel([scene], bank, len(tag_set.names))
    assert (roomy >= clean - 1e-3).all() and (roomy - clean).max() > 10
    scene.channel = Channel(compression=0.5)
    squeezed, _ = render_mel([scene], bank, len(tag_set.names))
    assert squeezed.amax(1).std() < 0.6 * clean.amax(1).std()
    roughness = lambda mel: mel.diff().abs().mean()  # noqa: E731
    scene.channel = Channel(noise_db=-10)
    plain, _ = render_mel([scene], bank, len(tag_set.names))
    scene.channel = Channel(noise_db=-10, blur=1.0)
    smooth, _ = render_mel([scene], bank, len(tag_set.names))
    scene.channel = Channel(noise_db=-10, grain=3.0)
    rough, _ = render_mel([scene], bank, len(tag_set.names))
    assert roughness(smooth) < 0.7 * roughness(plain) and roughness(rough) > 1.1 * roughness(plain)
    assert (smooth - plain).mean().abs() < 0.5 and (rough - plain).mean().abs() < 0.5


def test_a_recording_leans_towards_the_colour_of_others_of_its_label(bank, tag_set):
    c = composer(bank, tag_set, augment=1.0)
    label = max(c.by_group, key=lambda name: len(c.by_group[name]))
    first, *others = (group[0] for group in c.by_group[label])
    leaning = np.mean([c._timbre(np.random.default_rng(i), label, first) for i in range(400)], 0)
    wanted = np.mean([bank.colour[other] - bank.colour[first] for other in (first, *others)], 0)
    # half of the draws lean, by 0.4 on average
    assert np.corrcoef(leaning, wanted)[0, 1] > 0.5 and np.abs(leaning - 0.2 * wanted).max() < 1.0
    assert bank.colour.shape == (len(bank.recordings), 64) and np.abs(bank.colour).max() <= 12


def test_rendering_is_deterministic_and_a_scene_alone_equals_a_scene_in_a_batch(bank, tag_set):
    c = composer(bank, tag_set, augment=0.0)
    scenes = [c.plan(i) for i in range(5)]
    together, targets = render_mel(scenes, bank, len(tag_set.names))
    for i, scene in enumerate(scenes):
        alone, target = render_mel([scene], bank, len(tag_set.names))
        # the inaudible noise floor is drawn per batch: compare what is above it
        loud = together[i] > -75
        assert torch.allclose(alone[0][loud], together[i][loud], atol=0.5)
        assert torch.equal(target[0], targets[i])


def test_spec_augment_masks_a_bounded_part(bank, tag_set):
    mel = torch.randn(4, 64, 300)
    masked = spec_augment(mel, seed=1)
    share = (masked != mel).float().mean((1, 2))
    assert (share > 0).all() and (share < 2 * 40 / 300 + 2 * 12 / 64).all()
    assert torch.equal(masked, spec_augment(mel, seed=1))


def test_noise_waveforms_are_finite_and_set_to_level(bank, tag_set):
    c = composer(bank, tag_set, augment=1.0)
    for i in range(6):
        sound = render_waveform(c.plan(i), bank)
        assert sound.dtype == np.float32 and np.isfinite(sound).all()
        assert abs(np.abs(sound).max() - 0.7) < 1e-3


def test_balance_brings_rare_sounds_and_an_unplayable_pool_is_refused():
    lexicon = Lexicon.default()
    captions = ["A dog barks"] * 30 + ["Rain falls"]
    draws = {}
    for balance in (0.0, 1.0):
        pool = CaptionPool(captions, lexicon, lambda mention: True, balance=balance)
        rng = np.random.default_rng(0)
        draws[balance] = sum(pool.draw(rng)[0] == "Rain falls" for _ in range(2000)) / 2000
    assert draws[0.0] == pytest.approx(1 / 31, abs=0.02) and draws[1.0] == pytest.approx(1 / 2, abs=0.04)
    for balance in (0.0, 1.0):
        with pytest.raises(ValueError, match="the bank has not all sounds of any one of the 31 captions"):
            CaptionPool(captions, lexicon, lambda mention: False, balance=balance).draw(rng)
