"""Captioner on a tiny model of random weights: what goes in comes out, in order, whole, and honestly."""

from __future__ import annotations

import io
import itertools
import logging
import math
import subprocess
import sys

import numpy as np
import pytest
import soundfile
import torch

from earwitness.captioner import SORTED_BATCHES, Captioner
from earwitness.media import reading as media
from earwitness.runtime import TorchModel
from earwitness.weights.errors import CheckpointError

RATE = 16_000
FAST = {"max_new_tokens": 8}  # random weights hardly ever end a caption by themselves


@pytest.fixture(scope="module")
def captioner(tiny_model) -> Captioner:
    return Captioner(TorchModel(tiny_model), "tiny")


def sound(seconds: float, seed: int = 0, level: float = 0.1) -> np.ndarray:
    """Noise whose colour and rhythm depend on the seed, so that captions differ."""
    rng = np.random.default_rng(seed)
    noise = np.convolve(rng.normal(size=round(seconds * RATE)), rng.normal(size=1 + 8 * (seed % 4)), "same")
    beat = 1 + np.sin(2 * np.pi * (0.5 + seed) * np.arange(len(noise)) / RATE)
    return (level * noise * beat / np.abs(noise).max()).astype(np.float32)


@pytest.fixture(scope="module")
def clips() -> list[np.ndarray]:
    return [sound(seconds, seed) for seed, seconds in enumerate([2.0, 0.5, 3.3, 0.05, 10.0, 1.0, 2.0])]


def write(path, waveform: np.ndarray) -> str:
    soundfile.write(path, waveform, RATE, subtype="FLOAT")
    return str(path)


def same(a, b) -> bool:
    close = math.isclose(a.score, b.score, abs_tol=1e-5) and [n for n, _ in a.tags] == [n for n, _ in b.tags]
    return a.text == b.text and close and (a.start, a.end) == (b.start, b.end)


@pytest.fixture(scope="module")
def alone(captioner, clips):
    return [captioner(clip, **FAST) for clip in clips]


@pytest.mark.parametrize("batch_size", [1, 3, 16])
def test_batch_of_ragged_clips_equals_each_clip_alone(captioner, clips, alone, batch_size):
    together = captioner(clips, batch_size=batch_size, **FAST)
    assert [c.end for c in together] == [len(clip) / RATE for clip in clips]  # in the order given
    assert all(same(a, b) for a, b in zip(together, alone, strict=True))
    assert len({c.text for c in alone}) >= 3  # else the model listens to nothing and the test is void


def test_score_and_tags_are_the_models(captioner, clips):
    waveform = torch.from_numpy(clips[0])[None]
    network = captioner.model.network
    decoded = network.caption({"waveforms": waveform, "lengths": torch.tensor([len(clips[0])])})
    caption = captioner(clips[0])
    assert caption.text == decoded.texts[0]
    assert caption.score == pytest.approx(math.exp(decoded.scores[0]), abs=1e-6)
    assert 0 < caption.score < 1
    expected = dict(zip(captioner.model.tag_names, decoded.tags[0].tolist()))
    assert caption.tags[0][0] == max(expected, key=expected.get)
    assert all(expected[name] == pytest.approx(p, abs=1e-6) for name, p in caption.tags)


def test_no_run_of_tokens_comes_twice_where_the_model_says_so(captioner, tiny_model, clips, monkeypatch):
    def repeats(text: str) -> int:
        ids = tiny_model.language_model.tokenizer(text, add_special_tokens=False)["input_ids"]
        return len(ids) - 1 - len(set(itertools.pairwise(ids)))

    assert any(repeats(captioner(clip, max_new_tokens=30).text) for clip in clips[:3])  # random weights do
    monkeypatch.setattr(tiny_model.search, "no_repeat_ngram", 2)
    assert not any(repeats(captioner(clip, max_new_tokens=30).text) for clip in clips[:3])


def test_beams_are_compared_as_the_model_says_unless_asked_otherwise(
    captioner, tiny_model, clips, monkeypatch
):
    def said(**decoding):
        return [captioner(clip, max_new_tokens=30, **decoding).text for clip in clips[:4]]

    plain = said()
    monkeypatch.setattr(tiny_model.search, "length_penalty", -30.0)
    short = said()
    assert sum(map(len, short)) < sum(map(len, plain))
    assert said(length_penalty=1.0) == plain
    assert said(beams=1) == said(beams=1, length_penalty=1.0)  # it is one of beams


def test_a_search_has_as_many_beams_as_the_model_names_unless_told(captioner, clips, monkeypatch):
    three = captioner(clips[2], beams=3, **FAST)
    assert captioner(clips[2], **FAST) == captioner(clips[2], beams=None, **FAST) == three
    monkeypatch.setattr(captioner.model.network.search, "beams", 1)
    greedy = captioner(clips[2], **FAST)
    assert greedy == captioner(clips[2], beams=1, **FAST) != three
    assert captioner(clips[2], beams=3, **FAST) == three


def test_what_was_said_is_looked_at_in_every_step_with_or_without_guides(
    captioner, tiny_model, clips, monkeypatch
):
    lengths = []

    def penalty(ids, scores):
        lengths.append(ids.shape[1])
        return scores

    monkeypatch.setattr(tiny_model.search, "repetition", penalty)
    captioner(clips[0], beams=1, max_new_tokens=4, min_new_tokens=4, use_guide=False)
    assert lengths == [0, 1, 2, 3]


def test_decoding_options_reach_the_language_model(captioner, clips):
    assert captioner(clips[4], max_new_tokens=3).text != captioner(clips[4]).text
    assert captioner(clips[4], use_guide=False, **FAST).score != captioner(clips[4], **FAST).score


def test_every_kind_of_source_says_the_same(captioner, tmp_path):
    waveform = sound(1.0, 3)
    path = write(tmp_path / "a.wav", waveform)
    data = (tmp_path / "a.wav").read_bytes()
    sources = [path, tmp_path / "a.wav", data, io.BytesIO(data), waveform, (waveform, RATE)]
    sources += [torch.from_numpy(waveform), np.stack([waveform, waveform])]
    captions = captioner(sources, **FAST)
    assert len({c.text for c in captions}) == 1
    assert [c.source for c in captions] == [path, path, "<bytes>", "<file object>", *["<array>"] * 4]


def test_rate_of_an_array_is_heeded(captioner):
    assert captioner((sound(1.0), RATE // 2), **FAST).end == pytest.approx(2.0, abs=0.01)


def test_bad_file_raises_and_is_named(captioner, clips, tmp_path):
    bad = tmp_path / "bad.wav"
    bad.write_bytes(b"not a sound at all")
    with pytest.raises(media.MediaError, match=r"bad\.wav"):
        captioner([clips[0], str(bad)], **FAST)
    with pytest.raises(media.MediaError, match=r"nowhere\.wav"):
        captioner(str(tmp_path / "nowhere.wav"))


def test_handler_hears_of_bad_files_and_the_rest_goes_on(captioner, clips, tmp_path):
    bad = str(tmp_path / "missing.wav")
    heard = []
    captions = captioner(
        [clips[0], bad, clips[1]], on_error=lambda source, error: heard.append((source, str(error))), **FAST
    )
    assert captions[1] is None
    assert [same(c, captioner(x, **FAST)) for c, x in [(captions[0], clips[0]), (captions[2], clips[1])]] == [
        True,
        True,
    ]
    assert heard[0][0] == bad and "missing.wav" in heard[0][1]


def test_save_and_load_gives_the_same_captions(captioner, clips, tmp_path):
    captioner.save_pretrained(tmp_path / "copy")
    copy = Captioner.from_pretrained(tmp_path / "copy", device="cpu")
    assert copy.name == "copy"
    for a, b in zip(captioner(clips, **FAST), copy(clips, **FAST), strict=True):
        assert a == b


def test_language_model_takes_another_precision(tiny_checkpoint, captioner, clips):
    half = Captioner.from_pretrained(tiny_checkpoint, device="cpu", dtype="bfloat16")
    assert half.model.network.language_model.token_table.dtype == torch.bfloat16
    assert next(half.model.network.encoder.parameters()).dtype == torch.float32
    assert half(clips[0], **FAST).score == pytest.approx(captioner(clips[0], **FAST).score, abs=0.1)
    with pytest.raises(ValueError, match="unknown dtype 'float17'"):
        Captioner.from_pretrained(tiny_checkpoint, dtype="float17")


def test_missing_default_model_says_so(monkeypatch, tmp_path):
    monkeypatch.setattr("earwitness.loading.DEFAULT", tmp_path)
    with pytest.raises(CheckpointError, match="lacks the default model"):
        Captioner.from_pretrained()


def test_mini_names_the_default_model_unless_it_is_a_folder(monkeypatch, tmp_path, tiny_checkpoint):
    monkeypatch.setattr("earwitness.loading.DEFAULT", tiny_checkpoint)
    monkeypatch.chdir(tmp_path)
    assert Captioner.from_pretrained("mini", device="cpu").name == "mini"
    (tmp_path / "mini").mkdir()
    with pytest.raises(CheckpointError):
        Captioner.from_pretrained("mini", device="cpu")


@pytest.mark.parametrize("offset", [0.0, 0.25])
def test_digital_silence_is_called_silence(captioner, offset):
    dither = np.random.default_rng(0).integers(-1, 2, RATE) / 2**15 + offset
    for waveform in (np.full(RATE, offset, np.float32), dither.astype(np.float32)):
        caption = captioner(waveform)
        assert (caption.text, caption.score, caption.tags) == ("silence", 1.0, (("silence", 1.0),))
    assert captioner(sound(1.0, level=1e-3), **FAST).text != "silence"


@pytest.mark.parametrize(
    "change",
    [
        lambda x: 3 * x,
        lambda x: 100 * x,
        lambda x: 0.01 * x,
        lambda x: x + 0.005,
        lambda x: x - 0.2,
        lambda x: np.stack([x, -x]),
        lambda x: np.stack([x, 0 * x]),
        lambda x: np.stack([-x, x, -x, x]),
    ],
)
def test_gain_offset_and_wiring_of_a_recording_change_no_caption(captioner, change):
    plain = sound(2.0, 3)
    changed = change(plain)
    for rate in (RATE, 44_100):
        captions = [captioner((x, rate), **FAST) for x in (plain, changed)]
        assert captions[0].text == captions[1].text
        assert captions[0].score == pytest.approx(captions[1].score, abs=2e-3)
        timelines = [list(captioner.timeline((x, rate), window=1.0, **FAST)) for x in (plain, changed)]
        assert [c.text for c in timelines[0]] == [c.text for c in timelines[1]]


def test_encoders_of_released_fidelity_keep_the_offset(tiny_model, monkeypatch):
    waveforms, lengths = torch.from_numpy(sound(1.0, 3))[None], torch.tensor([RATE])

    def heard(x):
        return tiny_model.listen({"waveforms": x, "lengths": lengths}).values

    plain = heard(waveforms)
    torch.testing.assert_close(heard(waveforms + 0.2), plain, atol=1e-3, rtol=1e-3)
    monkeypatch.setattr(tiny_model, "keeps_offset", True)
    assert (heard(waveforms + 0.2) - plain).abs().max() > 0.01


@pytest.mark.parametrize(("released", "resampler"), [(False, "soxr"), (True, "sinc")])
def test_files_are_resampled_as_the_encoder_was_trained(
    captioner, tiny_model, monkeypatch, released, resampler
):
    asked = []

    def recorded(function):
        def call(*arguments, **options):
            asked.append(options["resampler"])
            return function(*arguments, **options)

        return call

    for name in ("load_audio", "windows"):
        monkeypatch.setattr(media, name, recorded(getattr(media, name)))
    monkeypatch.setattr(tiny_model, "keeps_offset", released)
    captioner(sound(1.0), **FAST)
    list(captioner.timeline(sound(1.0), window=1.0, **FAST))
    assert asked == [resampler, resampler]


def test_long_clip_is_captioned_where_it_is_loudest_and_says_so(captioner, caplog):
    waveform = np.concatenate([sound(9.0, 1, 0.01), sound(10.0, 2, 0.5), sound(6.0, 3, 0.01)])
    with caplog.at_level(logging.WARNING, "earwitness"):
        caption = captioner(waveform, **FAST)
    assert (caption.start, caption.end) == (10.0, 20.0)  # windows begin every 5 s
    part = captioner(waveform[10 * RATE : 20 * RATE], **FAST)
    assert (caption.text, caption.score) == (part.text, part.score)
    assert "lasts 25.0 s" in caplog.text and "10.0 to 20.0 s" in caplog.text and "timeline" in caplog.text


def test_clip_a_codecs_padding_too_long_is_captioned_whole(captioner, caplog):
    assert captioner(sound(10.09), **FAST).end == pytest.approx(10.09)
    assert not caplog.records


def test_timeline_covers_everything_exactly(captioner, tmp_path):
    waveform = sound(7.3, 5)
    path = write(tmp_path / "long.wav", waveform)
    captions = list(captioner.timeline(path, window=2.0, batch_size=3, **FAST))
    assert captions[0].start == 0 and captions[-1].end == 7.3
    assert all(a.end == b.start for a, b in itertools.pairwise(captions))
    assert all(c.end - c.start <= 2.0 for c in captions) and len(captions) >= 4
    assert {c.source for c in captions} == {path}
    for c in captions:
        part = captioner(waveform[round(c.start * RATE) : round(c.end * RATE)], **FAST)
        assert (c.text, c.score) == (part.text, pytest.approx(part.score, abs=1e-5))


def test_timeline_says_where_it_is_silent(captioner):
    waveform = np.concatenate([sound(2.0), np.zeros(2 * RATE, np.float32), sound(2.0, 1)])
    silent = [c for c in captioner.timeline(waveform, window=4.0, **FAST) if c.text == "silence"]
    assert len(silent) == 1
    assert (silent[0].start, silent[0].end) == pytest.approx((2.0, 4.0), abs=0.16)


def test_timeline_of_an_encoder_without_tags_in_time_captions_the_windows(captioner, tiny_model, monkeypatch):
    monkeypatch.setattr("earwitness.segmentation.tag_track_of", lambda model: None)
    captions = list(captioner.timeline(sound(3.0), window=2.0, hop=0.5, **FAST))
    assert [(c.start, c.end) for c in captions] == [(0, 2), (0.5, 2.5), (1, 3)]
    captions = list(captioner.timeline(sound(3.0), window=2.0, **FAST))
    assert [(c.start, c.end) for c in captions] == [(0, 2), (2, 3)]


def test_timeline_refuses_a_window_the_model_cannot_take(captioner):
    with pytest.raises(ValueError, match="at most 10 s at once, not 30 s"):
        captioner.timeline(sound(1.0), window=30.0)


def test_timeline_draws_no_more_than_it_needs(captioner, monkeypatch):
    """However long the recording, only a few windows exist at a time."""
    drawn = itertools.count()
    last = 0

    def endless(*_: object, **__: object):
        nonlocal last
        while True:
            last = next(drawn)
            yield media.Window(np.zeros(RATE, np.float32), float(last), last + 1.0)

    monkeypatch.setattr(media, "windows", endless)
    timeline = captioner.timeline("endless", window=1.0, batch_size=4)
    for caption in itertools.islice(timeline, 400):
        assert caption.text == "silence"
        in_hand = SORTED_BATCHES * 4
        assert last - caption.start <= in_hand + 4 + 4 + 2  # to be cut, ahead, to tell the cut


def test_low_latency_gives_the_same_captions_from_sound_that_is_still_arriving(captioner):
    """The first caption needs three windows of the model's limit, and not the whole of the recording."""
    waveform = np.concatenate([sound(2.0, seed) for seed in range(12)])
    expected = list(captioner.timeline((waveform, 16_000), 2.0, beams=1))
    arrived = []

    def arriving():
        for piece in np.array_split(waveform, 48):
            arrived.append(piece)
            yield piece

    timeline = captioner.timeline((arriving(), 16_000), 2.0, batch_size=4, low_latency=True, beams=1)
    first = next(timeline)
    assert sum(map(len, arrived)) <= 12 * 16_000
    captions = [first, *timeline]
    assert [(c.start, c.end, c.text) for c in captions] == [(c.start, c.end, c.text) for c in expected]


def test_stream_reads_no_more_than_it_needs(captioner):
    drawn = 0

    def endless():
        nonlocal drawn
        while True:
            drawn += 1
            yield np.zeros(1600, np.float32)

    for told, _ in enumerate(itertools.islice(captioner.stream(endless(), batch_size=2), 200)):
        assert drawn - told <= 4 * 2 + 2 * 2 + 2


def test_wrong_sizes_are_refused(captioner):
    with pytest.raises(ValueError, match="batch_size must be at least 1, not 0"):
        captioner([], batch_size=0)
    assert captioner([]) == []


def test_importing_the_package_is_cheap():
    code = (
        "import sys, earwitness; print([m for m in ('torch', 'transformers', 'numpy') if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
