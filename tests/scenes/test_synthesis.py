import csv
import json

import numpy as np
import pytest
import soundfile
from tests.scenes.golden_scenes import FILE, fingerprint

from earwitness.features import SAMPLE_RATE
from earwitness.scenes.bank import Bank
from earwitness.scenes.composer import Composer
from earwitness.scenes.lexicon import Lexicon
from earwitness.scenes.placing import SYNTHETIC_GROUPS
from earwitness.scenes.recordings import credits, held_out_groups, synthetic_recordings
from earwitness.scenes.render import render
from earwitness.scenes.synthesis import MAKERS, code_alone, signals, synthesise
from earwitness.scenes.synthesis.bells import bell_stroke
from earwitness.scenes.synthesis.nature import drop
from earwitness.scenes.synthesis.vehicles import approach
from earwitness.scenes.tag_set import TagSet

GOLDEN = json.loads(FILE.read_text(encoding="utf-8"))
RNG = np.random.default_rng


@pytest.mark.parametrize("label", MAKERS)
def test_a_recording_is_sound_from_its_label_and_number_alone(label):
    made = synthesise(label, 3)
    assert made.dtype == np.float32 and 3 <= len(made) / SAMPLE_RATE <= 8
    assert np.isfinite(made).all() and np.abs(made).max() == pytest.approx(0.5)
    loud = np.sort(np.square(made[: len(made) // 160 * 160].reshape(-1, 160)).mean(1))[-10:]
    assert loud.min() > 1e-5  # at least a tenth of a second of it is heard
    assert np.array_equal(made, synthesise(label, 3))
    other = synthesise(label, 4)
    assert len(other) != len(made) or not np.allclose(other, made, atol=0.01)
    assert np.allclose([fingerprint(made), fingerprint(other)], GOLDEN[label], rtol=1e-4, atol=1e-4)


def test_a_tone_has_its_partials_and_none_beyond_the_band():
    spectrum = np.abs(np.fft.rfft(signals.tone(np.full(SAMPLE_RATE, 3000.0), [1.0, 0.5, 0.7])))
    assert spectrum[3000] == pytest.approx(SAMPLE_RATE / 2, rel=0.01)
    assert spectrum[6000] == pytest.approx(SAMPLE_RATE / 4, rel=0.01)
    assert np.delete(spectrum, [3000, 6000]).max() < 0.01 * spectrum[3000]


def test_pulses_come_at_their_rate():
    rising = np.linspace(10, 30, 10 * SAMPLE_RATE)
    at = signals.pulses(RNG(0), rising)
    assert len(at) == pytest.approx(200, abs=1)
    assert np.diff(at)[:10].mean() > 2 * np.diff(at)[-10:].mean()


def test_struck_is_a_sum_of_shifted_impulses():
    rng = RNG(1)
    impulse, at, gains = rng.standard_normal(50), np.array([3, 40, 40, 190]), np.array([1.0, 0.5, 0.25, 2.0])
    expected = np.zeros(200)
    for where, gain in zip(at, gains):
        piece = impulse[: 200 - where]
        expected[where : where + len(piece)] += gain * piece
    assert np.allclose(signals.struck(200, at, gains, impulse), expected)


def test_noise_follows_its_curve():
    x = signals.noise(RNG(2), 60 * SAMPLE_RATE, [(100, 0), (1000, 0), (4000, -40)])
    power = np.abs(np.fft.rfft(x)) ** 2
    level = [10 * np.log10(power[60 * f - 600 : 60 * f + 600].mean()) for f in (500, 2000, 4000)]
    assert level[0] - level[1] == pytest.approx(20, abs=1) and level[0] - level[2] == pytest.approx(40, abs=1)


def test_a_gate_is_open_when_it_should_be():
    gate = signals.gate(1000, np.array([100, 150, 600, 900]), np.array([100, 100, 50, 500]), ramp=0.0)
    assert np.array_equal(np.flatnonzero(np.diff(gate)), [99, 249, 599, 649, 899])


def test_large_bubbles_ring_lower_and_longer():
    def heard(f):
        x = drop(RNG(0), f, f * 1.001)
        return np.argmax(np.abs(np.fft.rfft(x, SAMPLE_RATE))), (np.cumsum(x**2) < 0.9 * (x**2).sum()).sum()

    (low, long), (high, short) = heard(500), heard(3000)
    assert low == pytest.approx(500, rel=0.15) and high == pytest.approx(3000, rel=0.15) and long > 2 * short


def test_a_bell_has_the_partials_of_one():
    spectrum = np.abs(np.fft.rfft(bell_stroke(RNG(0), 400.0, 4.0), 8 * SAMPLE_RATE))
    for ratio in (0.5, 1.0, 1.2, 2.0):
        near = slice(int(8 * 400 * ratio * 0.96), int(8 * 400 * ratio * 1.04))
        assert spectrum[near].max() > 8 * np.median(spectrum)


def test_what_passes_is_loudest_and_falls_in_pitch_as_it_goes():
    for seed in range(5):
        n = 6 * SAMPLE_RATE
        moved = approach(RNG(seed), n, signals.tone(np.full(n, 500.0), [1.0]))
        loudness = np.square(moved).reshape(60, -1).mean(1)
        nearest = int(loudness.argmax())
        assert 8 <= nearest <= 52 and loudness[nearest] > 2 * min(loudness[0], loudness[-1])
        crossings = [(np.diff(np.sign(part)) != 0).sum() for part in (moved[: n // 10], moved[-n // 10 :])]
        assert crossings[0] > crossings[1]


@pytest.fixture(scope="module")
def bank(tmp_path_factory):
    """Three real clocks and three real dogs, and five clocks by formula."""
    folder = tmp_path_factory.mktemp("bank")
    rows = []
    for label in ("clock ticking", "dog barking"):
        for i in range(3):
            name = f"{label.split()[0]}{i}.wav"
            soundfile.write(folder / name, 0.3 * RNG(i).standard_normal(SAMPLE_RATE), SAMPLE_RATE)
            rows.append({"path": name, "label": label, "group": f"{label}-{i}"})
    with (folder / "manifest.csv").open("w", newline="") as handle:
        writer = csv.DictWriter(handle, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return Bank.open(folder, folder / "cache", workers=1, synthesis=5)


def test_a_bank_takes_only_labels_it_has_and_holds_none_of_them_out(bank):
    assert [r.label for r in bank.recordings if r.synthetic] == ["clock ticking"] * 5
    assert len(bank.recordings) == 11 and int(bank.samples.sum()) == len(bank.audio)
    assert not synthetic_recordings({"dog barking"}, 5)
    held = held_out_groups(bank.recordings)
    assert held == held_out_groups([r for r in bank.recordings if not r.synthetic])
    validation = bank.subset(held, inside=True)
    assert not any(bank.recordings[i].synthetic for rows in validation.values() for i in rows)
    assert ("earwitness synthesis", "Apache-2.0", 5) in credits(bank.recordings)


def test_real_and_synthetic_recordings_share_the_scenes(bank):
    tags = TagSet.of(["clock ticking", "dog barking"], Lexicon.default())
    composer = Composer(bank, bank.subset(frozenset(), inside=False), tags, ["a clock ticks"], human=1.0)
    scenes = [composer.plan(i) for i in range(300)]
    drawn = [bank.recordings[s.placed[0].recording].synthetic for s in scenes]
    assert np.mean(drawn) == pytest.approx(SYNTHETIC_GROUPS / (SYNTHETIC_GROUPS + 3), abs=0.08)
    made = scenes[drawn.index(True)]
    waveforms, targets = render([made], bank, len(tags.names))
    assert targets.any()
    assert float(waveforms.abs().max()) == pytest.approx(made.channel.peak)


@pytest.mark.parametrize(
    ("changed", "same"),
    [
        ('"""Other words."""\nfrom b import x\n\n\ndef f():  # why\n    "Other."\n    return (x+1)\n', True),
        ('"""Words."""\nfrom a import x\ndef f():\n    """Words."""\n    return x + 2\n', False),
    ],
)
def test_cached_frames_outlive_a_move_but_no_change_of_a_formula(changed, same):
    source = '"""Words."""\nfrom a import x\ndef f():\n    """Words."""\n    return x + 1\n'
    assert (code_alone(changed) == code_alone(source)) == same
