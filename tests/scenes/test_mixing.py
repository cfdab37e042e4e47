"""Mixtures for distillation: reproducible, made of what may be drawn, changed as the parts say."""

import numpy as np
import pytest
import torch

from earwitness.scenes.bank import Bank
from earwitness.scenes.mixing import Draws, Mixer, coloured, levelled, response, sampling_weights, telephone
from earwitness.scenes.recordings import Recording, held_out_sources, read_manifest


@pytest.fixture(scope="module")
def bank(bank_folder, tmp_path_factory):
    """The labelled bank, and the same sound as a folder without labels, of three sources."""
    other = tmp_path_factory.mktemp("unlabelled")
    rows = ["path,source_repo_or_package,original_path,licence,redistributable,kind"]
    for i, r in enumerate(read_manifest(bank_folder)):
        kind = ("speech prompts", "music: loops", "ambience")[i % 3]
        rows.append(f"{bank_folder / r.path},source-{i % 3},{i}.ogg,CC0,yes,{kind}")
    (other / "manifest.csv").write_text("\n".join(rows) + "\n")
    return Bank.open(bank_folder, tmp_path_factory.mktemp("cache"), workers=1, unlabelled=other)


def test_a_bank_may_hold_unlabelled_recordings_beside_its_own(bank):
    half = len(bank.recordings) // 2
    assert all(r.label for r in bank.recordings[:half]) and not any(r.label for r in bank.recordings[half:])
    assert torch.equal(bank.samples[:half], bank.samples[half:])
    ends = bank.start + bank.samples
    assert torch.equal(bank.audio[bank.start[half] : ends[half]], bank.audio[: ends[0]])
    assert sum(map(len, bank.subset(frozenset(), inside=False).values())) == half  # scenes need labels


def test_sources_are_held_out_whole_until_the_share_is_reached():
    recordings = [Recording(f"{s}-{i}", "", "", "", f"s{s}", "") for s in range(60) for i in range(5)]
    recordings += [Recording("long", "", "", "", "giant", ""), Recording("x", "dog", "", "", "s0", "")]
    lengths = [1] * 300 + [100, 1]
    held = held_out_sources(recordings, lengths)
    assert sum(n for r, n in zip(recordings, lengths) if r.source in held and not r.label) in range(40, 46)
    assert "giant" not in held
    assert held == held_out_sources(recordings[::-1], lengths[::-1])


def test_draws_are_shared_among_labels_and_kinds(bank):
    weights = sampling_weights(bank.recordings, bank.samples.tolist(), 0.4)
    labelled = np.array([bool(r.label) for r in bank.recordings])
    speech = np.array([not r.label and "speech" in r.hint for r in bank.recordings])
    assert weights.sum() == pytest.approx(1)
    assert weights[labelled].sum() == pytest.approx(0.4)
    assert weights[speech].sum() == pytest.approx(0.6 * 0.22)
    alone = sampling_weights([r for r in bank.recordings if r.label], [1] * int(labelled.sum()), 0.4)
    assert alone.sum() == pytest.approx(1)


def test_a_mixture_depends_on_seed_and_index_alone(bank):
    one, two = (Mixer(bank, range(len(bank.recordings)), seed=3) for _ in range(2))
    late = two.batch(8, 3, 1.0)
    first = two.batch(7, 3, 1.0)
    assert torch.equal(one.batch(7, 3, 1.0), first) and torch.equal(one.batch(8, 3, 1.0), late)
    assert not torch.allclose(first, late)
    assert not torch.allclose(first, Mixer(bank, [0, 1], seed=4).batch(7, 3, 1.0))
    assert first.shape == (3, 16_000) and first.dtype == torch.float32
    many = torch.cat([one.batch(i, 16, 0.5) for i in range(6)])
    assert many.isfinite().all() and many.abs().max() <= 1.0
    assert float(many.abs().amax(1).min()) < 0.1 < float(many.abs().amax(1).max())


def test_recordings_are_read_at_their_speed_and_again(bank):
    mixer = Mixer(bank, range(len(bank.recordings)))
    start, count = bank.start[5:6], bank.samples[5:6]
    sound = bank.audio[int(start) : int(start + count)].float()
    values = lambda *x: torch.tensor(x, dtype=torch.float64)  # noqa: E731
    plain = mixer._read(start, count, values(1.0), values(100.0), values(torch.inf), int(count) + 300)
    assert torch.equal(plain[0, 100 : 100 + count - 1], sound[:-1])
    assert not plain[0, :100].any() and not plain[0, 100 + count :].any()
    cut = mixer._read(start, count, values(1.0), values(-50.0), values(torch.inf), 200)
    assert torch.equal(cut[0], sound[50:250])
    fast = mixer._read(start, count, values(2.0), values(0.0), values(torch.inf), 400)
    assert torch.equal(fast[0], sound[:800:2])
    slow = mixer._read(start, count, values(0.5), values(0.0), values(torch.inf), 400)
    assert torch.allclose(slow[0, 1::2], (sound[:200] + sound[1:201]) / 2)
    again = mixer._read(start, count, values(1.0), values(0.0), values(float(count) + 10), 2 * int(count))
    assert torch.equal(again[0, count + 10 :], sound[: int(count) - 10])


def test_levels_lie_between_equal_loudness_and_equal_peaks():
    click, tone = torch.zeros(1, 1000), torch.ones(1, 1000) * 300
    click[0, 10] = 30_000
    x = levelled(torch.cat([click, tone]))
    ratio = float(x[0].square().mean().sqrt() / x[1].square().mean().sqrt())
    assert 0.1 < ratio < 1 < float(x[0].max() / x[1].max()) < 30
    assert not levelled(torch.zeros(1, 10)).any()


def test_what_stands_between_sound_and_listener():
    draw = Draws(torch.Generator().manual_seed(0), torch.device("cpu"))
    gains = 20 * response(400, 513, draw).log10()
    assert 0.1 < float((gains[:, -1] < -60).float().mean()) < 0.4  # an upper band limit
    assert 0.1 < float((gains[:, 0] < -20).float().mean()) < 0.35  # a lower one
    click = torch.zeros(64, 8_000)
    click[:, 0] = 1.0
    late = coloured(click, draw)[:, 2_000:].square().mean(1).sqrt()
    assert 0.3 < float((late > 1e-5).float().mean()) < 0.9  # rooms and noise
    x = torch.linspace(-1, 1, 1001)[None]
    assert 1e-4 < float((telephone(x) - x).abs().max()) < 0.03
    small = 0.01 * x
    assert float((telephone(small) - small).abs().max()) < 5e-4


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_hears_the_same_recordings(bank):
    rows = range(len(bank.recordings))
    on_cpu, on_gpu = Mixer(bank, rows), Mixer(bank, rows, device="cuda")
    draws = [Draws(torch.Generator().manual_seed(1), m.device) for m in (on_cpu, on_gpu)]
    ours, theirs = on_cpu._voices(draws[0], 4, 16_000), on_gpu._voices(draws[1], 4, 16_000)
    assert torch.allclose(ours, theirs.cpu(), atol=1e-2)
