import json

import numpy as np
import pytest
import torch
from tests.scenes.golden_scenes import FILE, of_bank

from earwitness.features import log_mel, mel_filterbank
from earwitness.scenes.bank import Bank
from earwitness.scenes.caption_pool import CaptionPool
from earwitness.scenes.composer import Channel, Composer
from earwitness.scenes.lexicon import Lexicon
from earwitness.scenes.recordings import held_out_groups, read_manifest
from earwitness.scenes.render import FULL_SCALE, _mixed, _stretch, fast_length, render, render_waveform
from earwitness.scenes.tag_set import TagSet
from earwitness.training.inputs.spec_augment import spec_augment

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
    assert torch.equal(first.audio, again.audio) and torch.equal(first.audio, bank.audio)
    assert (bank.length > 35).all() and int(bank.samples.sum()) == len(bank.audio)
    assert np.array_equal(first.colour, again.colour) and torch.equal(first.level, again.level)


def test_silence_at_the_ends_is_cut(bank):
    shortest = bank.length.min().item()
    assert 38 <= shortest <= 46  # 0.4 s of sound between two stretches of 0.1 s silence


def test_a_folder_without_manifest_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"no manifest\.csv"):
        read_manifest(tmp_path)


def test_a_plan_depends_on_seed_and_index_alone(bank, tag_set):
    one, two = composer(bank, tag_set, seed=3), composer(bank, tag_set, seed=3)
    backwards = [two.plan(i) for i in reversed(range(8))][::-1]
    for i, scene in enumerate(backwards):
        assert str(one.plan(i)) == str(scene)
    assert str(one.plan(0)) != str(composer(bank, tag_set, seed=4).plan(0))


def test_a_seed_gives_the_scenes_it_always_gave(bank):
    """Plans to the last digit; sound but for rounding, which may turn a sample at a codec's threshold."""
    golden = json.loads(FILE.read_text(encoding="utf-8"))
    for name, rows in of_bank(bank).items():
        tolerance = 1e-6 if name.startswith(("plans", "targets")) else 1e-4
        assert np.allclose(rows, golden[name], rtol=tolerance, atol=tolerance), name


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        ("A dog barks", 0.0),
        ("A dog barks in the background", -9.0),
        ("A dog barks loudly", 3.0),
        ("Rain falls", -3.0),
        ("Rain falls in the background", -12.0),
    ],
)
def test_what_goes_on_or_is_far_is_softer(bank, tag_set, caption, expected):
    """Levels of recordings are normal draws around what the caption says, in dB; a bed is 3 dB softer."""
    pool = bank.subset(frozenset(), inside=False)
    c = Composer(bank, pool, tag_set, [caption], seconds=4, human=1.0, augment=0.0)
    placed = [c.plan(i).placed[0] for i in range(300)]
    levels = [p.gain + float(bank.level[p.recording]) for p in placed]
    assert np.mean(levels) == pytest.approx(expected, abs=0.9)  # the mean of 300 deviates by 0.24
    assert np.std(levels) == pytest.approx(17**0.5, rel=0.2)


def test_a_child_is_an_adult_moved_up_unless_it_is_one(bank):
    """The lexicon moves recordings of adults that play a child by four mel bins."""
    tags = TagSet.of(["child speaking", "woman speaking"], Lexicon.default())
    rows = [i for i, r in enumerate(bank.recordings) if r.label == "woman speaking"]
    for label, moved in (("child speaking", 0.0), ("woman speaking", 4.0)):
        c = Composer(bank, {label: rows}, tags, ["A child speaks"], human=1.0, augment=0.0)
        shifts = [c.plan(i).placed[0].shift for i in range(200)]
        assert np.mean(shifts) == pytest.approx(moved, abs=0.5)


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
    waveforms, targets = render(scenes, bank, len(tag_set.names))
    assert waveforms.shape == (6, 64_000) and targets.shape == (6, 25, len(tag_set.names))
    assert render(scenes[:1], bank, len(tag_set.names), token_frames=32)[1].shape[1] == 13
    for b, scene in enumerate(scenes):
        on = {tag_set.names[t] for t in targets[b].amax(0).nonzero().flatten().tolist()}
        assert on <= {tag_set.names[t] for t in scene.tags}
        for p in scene.placed:
            loud = targets[b, (p.onset + p.length // 2) // 16, list(p.tags)]
            if p.length >= 40:
                assert loud.all()


def plain(scene):
    """The scene with nothing between recordings and listener, each as it was recorded."""
    scene.channel = Channel()
    for p in scene.placed:
        p.rate, p.shift, p.gain = 1.0, 0, 0.0
        p.timbre = np.zeros(64, np.float32)
    return scene


def test_a_plain_scene_is_the_sum_of_its_recordings(bank, tag_set):
    scene = plain(composer(bank, tag_set, human=1.0, augment=0.0).plan(0))
    wanted = np.zeros(scene.frames * 160)
    for p in scene.placed:
        first = int(bank.start[p.recording]) + p.source * 160
        sound = bank.audio[first : first + p.length * 160].numpy() / FULL_SCALE
        sound[:480] *= np.linspace(0, 1, 480)
        sound[-480:] *= np.linspace(1, 0, 480)
        wanted[p.onset * 160 : p.onset * 160 + len(sound)] += sound
    wanted *= 0.7 / np.abs(wanted).max()
    assert np.abs(render_waveform(scene, bank) - wanted).max() < 2e-3  # noise at -90 dB


def test_speed_moves_pitch_and_timbre_colours(bank, tag_set):
    scene = plain(composer(bank, tag_set, human=1.0, augment=0.0).plan(0))
    scene.placed = [p for p in scene.placed if p.length > 40][:1]

    def spectrum():
        return np.abs(np.fft.rfft(render_waveform(scene, bank)))

    before = spectrum()
    scene.placed[0].rate = 1.25
    assert np.argmax(spectrum()) == pytest.approx(1.25 * np.argmax(before), rel=0.02)
    scene.placed[0].rate = 1.0
    scene.placed[0].timbre = np.where(np.arange(64) < 32, 0.0, -30.0).astype(np.float32)
    high = spectrum()[-len(before) // 4 :].sum() / spectrum().max()
    assert high < 0.06 * before[-len(before) // 4 :].sum() / before.max()


def test_each_part_of_the_channel_does_what_it_says(bank, tag_set):
    scene = plain(composer(bank, tag_set, human=1.0, augment=0.0).plan(0))

    def heard(wet=-25.0, **channel):
        scene.channel = Channel(**channel)
        for p in scene.placed:
            p.wet = wet
        return log_mel(torch.from_numpy(render_waveform(scene, bank))[None])[0]

    def swing(mel):
        return mel.amax(0).std()

    clean = heard()
    quiet = clean.sum(0) < clean.sum(0).quantile(0.2)
    cut = heard(high_cut=30, cut_slope=12, noise_db=-30)
    assert (cut[45:] < heard(noise_db=-30)[45:] - 40).float().mean() > 0.99
    assert heard(noise_db=-10).quantile(0.1) > clean.quantile(0.1) + 15
    tilted = heard(noise_db=-10, noise_tilt=-1.0)[:, quiet].mean(1)
    assert tilted[50] < tilted[20] - 20
    assert swing(heard(compression=0.5, noise_db=-20)) < 0.7 * swing(heard(noise_db=-20))
    noisy, holes = heard(noise_db=-15), heard(noise_db=-15, holes_db=15)
    loudest = noisy > noisy.amax(0) - 5
    assert (holes < noisy - 10).float().mean() > 0.3 and (holes - noisy)[loudest].abs().median() < 3
    rough = heard(noise_db=-15, grain=3.0)
    assert rough.diff().abs().mean() > 1.02 * noisy.diff().abs().mean()
    assert (rough - noisy).mean().abs() < 2
    scene.channel = Channel(peak=0.05)
    assert np.abs(render_waveform(scene, bank)).max() == pytest.approx(0.05)


@pytest.mark.parametrize("tilt", [-0.5, 0.0, 0.5])
def test_noise_has_its_level_and_its_tilt(bank, tag_set, tilt):
    """Its power in the bands of the spectrogram: in the middle one `noise_db` below the loudest recording."""
    scene = plain(composer(bank, tag_set, human=1.0, augment=0.0).plan(0))
    sounds = [(p, _stretch(p, bank)) for p in scene.placed]

    def mixed(noise_db):
        scene.channel = Channel(noise_db=noise_db, noise_tilt=tilt)
        return _mixed(scene, bank, sounds).astype(np.float64)

    noise = mixed(-20.0) - mixed(-300.0)
    filters = mel_filterbank(n_fft=len(noise)).numpy()
    power = np.abs(np.fft.rfft(noise)) ** 2 @ filters / filters.sum(0) / len(noise)
    loudest = max(float(bank.level[p.recording]) for p in scene.placed)
    excess = 10 * np.log10(power) - (loudest - 20 + tilt * (np.arange(64) - 32))
    assert np.abs(excess[6:60]).max() < 1.5 and abs(np.polyfit(np.arange(54), excess[6:60], 1)[0]) < 0.03


def test_a_room_goes_on_after_the_sound(bank, tag_set):
    scene = plain(composer(bank, tag_set, human=1.0, augment=0.0).plan(0))
    scene.placed = scene.placed[:1]
    scene.placed[0].onset, scene.placed[0].length, scene.placed[0].wet = 0, 30, 0.0

    def late():
        return float(np.square(render_waveform(scene, bank)[16_000:32_000]).mean())

    dry = late()
    scene.channel = Channel(reverb_seconds=2.0)
    roomy = late()
    scene.channel = Channel(reverb_seconds=0.3)
    assert roomy > 100 * dry and late() < roomy / 100


def test_a_recording_leans_towards_the_colour_of_others_of_its_label(bank, tag_set):
    c = composer(bank, tag_set, augment=1.0)
    label = max(c.placer.by_group, key=lambda name: len(c.placer.by_group[name]))
    first, *others = (group[0] for group in c.placer.by_group[label])
    leaning = np.mean([c.placer._timbre(np.random.default_rng(i), label, first) for i in range(400)], 0)
    wanted = np.mean([bank.colour[other] - bank.colour[first] for other in (first, *others)], 0)
    # half of the draws lean, by 0.4 on average
    assert np.corrcoef(leaning, wanted)[0, 1] > 0.5 and np.abs(leaning - 0.2 * wanted).max() < 1.0
    assert bank.colour.shape == (len(bank.recordings), 64) and np.abs(bank.colour).max() <= 12


def test_rendering_is_deterministic_and_a_scene_alone_equals_a_scene_in_a_batch(bank, tag_set):
    c = composer(bank, tag_set, augment=1.0)
    scenes = [c.plan(i) for i in range(5)]
    together, targets = render(scenes, bank, len(tag_set.names))
    again = composer(bank, tag_set, augment=1.0)
    for i, waveform in enumerate(together):
        alone, target = render([again.plan(i)], bank, len(tag_set.names))
        assert torch.equal(alone[0], waveform) and torch.equal(target[0], targets[i])
        assert np.array_equal(render_waveform(scenes[i], bank), waveform.numpy())


def test_fast_lengths_are_the_smallest_of_their_kind():
    smooth = {2**a * 3**b * 5**c for a in range(13) for b in range(8) for c in range(6)}
    for size in (1, 7, 97, 640, 4_999):
        assert fast_length(size) == min(n for n in smooth if n >= size)


@pytest.mark.parametrize("bands", [64, 128])
def test_spec_augment_masks_a_bounded_part(bands):
    mel = torch.randn(4, bands, 300)
    masked = spec_augment(mel, seed=1)
    share = (masked != mel).float().mean((1, 2))
    assert (share > 0).all() and (share < 2 * 40 / 300 + 2 * 12 / 64).all()
    assert torch.equal(masked, spec_augment(mel, seed=1))


def test_waveforms_are_finite_and_set_to_level(bank, tag_set):
    c = composer(bank, tag_set, augment=1.0)
    for i in range(6):
        sound = render_waveform(c.plan(i), bank)
        assert sound.dtype == np.float32 and np.isfinite(sound).all()
        assert np.abs(sound).max() == pytest.approx(c.plan(i).channel.peak)


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
