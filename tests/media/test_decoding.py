"""earwitness.media: what is heard of good files, whatever names them."""

from __future__ import annotations

import io
import itertools
import sys
from pathlib import Path

import av
import numpy as np
import pytest
import torch

from earwitness.media import reading as media
from earwitness.media.containers import MediaError
from earwitness.media.reading import load_audio
from earwitness.media.source import Source

sys.path.append(str(Path(__file__).parents[1]))  # test modules are imported on their own
from media_samples import KINDS, LOSSY, encode, encode_sound, rate_of, tones

# ---- decoding


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_gives_the_channel_mean_in_time_and_level(files, kind):
    rate = rate_of(kind)
    expected = tones(6.0, rate, 2).mean(axis=0)
    audio = load_audio(files[kind], rate)
    assert audio.waveform.dtype == np.float32 and audio.waveform.ndim == 1
    assert (
        abs(audio.duration - 6.0) < (0.1 if kind == "ts" else 0.03)
        and audio.duration == len(audio.waveform) / rate
    )
    n = min(len(expected), len(audio.waveform))
    error = audio.waveform[:n] - expected[:n]
    allowed = {"wav8": 8e-3, "wav24": 2e-7, "flac24": 2e-7, "caf": 1e-7, "wavfloat": 1e-7, "wavdouble": 1e-7}
    if kind == "ts":  # keeps the encoder's delay of 1024 samples: nothing in it tells how long that is
        error = audio.waveform[1024:n] - expected[: n - 1024]
    if kind in LOSSY and kind != "wav8":
        middle = slice(rate // 2, len(error) - rate // 2)  # encoders ramp up and down
        assert np.sqrt(np.mean(error[middle] ** 2)) < 0.02  # a lag of one millisecond would give 0.2
    else:
        assert np.abs(error).max() <= allowed.get(kind, 2**-15)
    assert not audio.damaged
    assert audio.covered > 0.98
    assert not audio.has_video


def test_64_bit_samples_are_heard():
    import struct

    sound = (tones(0.5, 16_000, 2) * 2.0**63).astype(np.int64)
    fmt = struct.pack("<HHIIHH", 1, 2, 16_000, 16_000 * 16, 16, 64)
    body = (
        b"WAVEfmt "
        + struct.pack("<I", 16)
        + fmt
        + b"data"
        + struct.pack("<I", sound.nbytes)
        + sound.T.tobytes()
    )
    heard = load_audio(b"RIFF" + struct.pack("<I", len(body)) + body).waveform
    np.testing.assert_allclose(heard, tones(0.5, 16_000, 2).mean(axis=0), atol=1e-7)


def test_equal_channels_keep_their_level():
    """FFmpeg's own mono mix would be 3 dB louder."""
    mono = tones(1.0, 16_000)
    heard = load_audio(encode(np.repeat(mono, 2, axis=0), 16_000, "wavfloat"))
    np.testing.assert_array_equal(heard.waveform, mono[0])


def test_three_channels_are_averaged_evenly():
    sound = tones(0.5, 16_000, 3)
    heard = load_audio(encode(sound, 16_000, "wavfloat")).waveform
    np.testing.assert_allclose(heard, sound.mean(axis=0), atol=1e-7)


def test_the_rate_asked_for_is_the_rate_given():
    sound = tones(2.0, 44_100)
    audio = load_audio(encode(sound, 44_100, "wavfloat"), 16_000)
    assert audio.sample_rate == 16_000 and len(audio.waveform) == 32_000
    t = np.arange(32_000) / 16_000
    direct = 0.4 * (0.6 + 0.4 * np.sin(2 * np.pi * 1.3 * t)) * np.sin(2 * np.pi * (300 + 90 * t) * t)
    assert np.abs(audio.waveform - direct)[200:-200].max() < 1e-4


@pytest.mark.parametrize("method", ["soxr", "sinc"])
def test_decoding_as_a_stream_equals_resampling_the_whole(files, method):
    native = load_audio(files["flac"], 44_100).waveform
    whole = media.resample(native, 44_100, 16_000, method)
    streamed = load_audio(files["flac"], 16_000, resampler=method).waveform
    assert len(streamed) == len(whole)
    np.testing.assert_allclose(streamed, whole, atol=1e-6)


@pytest.mark.parametrize("kind", [k for k in KINDS if k not in {"ts", "webm", "mka"}])
@pytest.mark.parametrize("start, end", [(3.7, 5.1), (0.25, 0.5), (4.0, None)])
def test_a_span_equals_the_slice_of_the_whole(files, kind, start, end):
    whole = load_audio(files[kind]).waveform
    span = load_audio(files[kind], start=start, end=end)
    expected = whole[round(start * 16_000) : None if end is None else round(end * 16_000)]
    assert len(span.waveform) == len(expected)
    assert np.abs(span.waveform - expected).max() < 2e-3  # codecs with memory differ a little after a jump
    assert not span.damaged and span.covered > 0.98


@pytest.mark.parametrize("kind", ["webm", "mka"])
def test_matroska_counts_in_milliseconds_so_a_span_may_lie_one_off(files, kind):
    rate = rate_of(kind)
    whole = load_audio(files[kind], rate).waveform
    span = load_audio(files[kind], rate, start=3.7, end=5.1).waveform
    assert len(span) == round(1.4 * rate)
    first, reach = round(3.7 * rate), rate // 1000 + 1
    errors = [np.abs(span - whole[first + s : first + s + len(span)]).max() for s in range(-reach, reach + 1)]
    assert min(errors) < 2e-3


def test_packets_long_before_the_start_are_not_decoded(monkeypatch):
    from earwitness.media import pcm

    drawn = []
    original = pcm.to_float
    monkeypatch.setattr(pcm, "to_float", lambda samples: drawn.append(samples.shape[1]) or original(samples))
    data = encode(tones(60.0, 16_000), 16_000, "flac")
    span = load_audio(data, start=50.0, end=51.0)
    assert len(span.waveform) == 16_000 and sum(drawn) < 6 * 16_000


# ---- sources


def test_all_ways_to_name_a_source_agree(tmp_path):
    sound = tones(1.0, 16_000)
    data = encode(sound, 16_000, "wavfloat")
    path = tmp_path / "clip with spaces %03d.wav"
    path.write_bytes(data)
    with path.open("rb") as file:
        sources = [path, str(path), data, bytearray(data), io.BytesIO(data), file]
        sources += [
            (sound, 16_000),
            sound,
            sound[0],
            torch.from_numpy(sound),
            (torch.from_numpy(sound), 16_000),
        ]
        for source in sources:
            np.testing.assert_array_equal(load_audio(source).waveform, sound[0])
        assert not file.closed


def test_a_source_that_cannot_seek_is_read_to_its_end():
    class Pipe(io.RawIOBase):
        def __init__(self, data: bytes) -> None:
            self.inner = io.BytesIO(data)

        def readable(self) -> bool:
            return True

        def read(self, size: int = -1) -> bytes:
            return self.inner.read(size)

    data = encode(tones(1.0, 16_000), 16_000, "flac")
    assert load_audio(Pipe(data)).duration == 1.0


def test_whole_number_arrays_are_scaled_by_their_range():
    ramp = np.linspace(-1, 0.99, 800)
    for dtype, scale, offset in [(np.int16, 2**15, 0), (np.int32, 2**31, 0), (np.uint8, 2**7, 2**7)]:
        array = np.round(ramp * scale + offset).astype(dtype)
        np.testing.assert_allclose(load_audio((array, 16_000)).waveform, ramp, atol=1 / scale)


def test_bfloat16_tensors_are_heard():
    sound = torch.from_numpy(tones(0.1, 16_000)).bfloat16()
    np.testing.assert_array_equal(load_audio(sound).waveform, sound[0].float().numpy())


@pytest.mark.parametrize(
    "array, reason",
    [
        (np.zeros((16_000, 2), np.float32), r"16000 channels.*transpose"),
        (np.zeros((0, 5), np.float32), "0 channels"),
        (np.zeros((1, 2, 3), np.float32), r"\(1, 2, 3\)"),
        (np.array(["a"]), "numbers"),
        (np.zeros(0, np.float32), "no samples"),
        (np.zeros(16_000, complex), "numbers"),
    ],
)
def test_arrays_that_are_no_sound(array, reason):
    with pytest.raises(MediaError, match=reason):
        load_audio((array, 16_000))


@pytest.mark.parametrize("rate", [0, -16_000, 3, 10**9, 0.5, float("nan"), "44100"])
def test_absurd_rates_of_arrays(rate):
    with pytest.raises((MediaError, ValueError), match="rate"):
        load_audio((np.zeros(16_000, np.float32), rate))


def two_tracks(first: np.ndarray, second: np.ndarray) -> bytes:
    out = io.BytesIO()
    with av.open(out, "w", format="matroska") as container:
        streams = [container.add_stream("pcm_s16le", rate=48_000, layout="mono") for _ in range(2)]
        packets = [encode_sound(stream, sound, 48_000) for stream, sound in zip(streams, (first, second))]
        for packet in sorted(itertools.chain(*packets), key=lambda p: float(p.dts * p.time_base)):
            container.mux(packet)
    return out.getvalue()


def test_a_track_is_chosen_by_its_number():
    first, second = tones(1.0, 48_000, 2)[:1], tones(1.0, 48_000, 2)[1:]
    data = two_tracks(first, second)
    np.testing.assert_allclose(load_audio(Source(data, 1), 48_000).waveform, first[0], atol=2**-14)
    np.testing.assert_allclose(load_audio(Source(data, 2), 48_000).waveform, second[0], atol=2**-14)
    np.testing.assert_array_equal(load_audio(Source(data)).waveform, load_audio(data).waveform)
    with pytest.raises(MediaError, match="has 2 audio tracks; there is no track 3"):
        load_audio(Source(data, 3))
    with pytest.raises(ValueError, match="counted from 1"):
        Source(data, 0)
    assert media.probe(Source(data, 2)).channels == 1


def test_a_source_may_be_named(tmp_path):
    path = tmp_path / "spooled"
    path.write_bytes(encode(tones(1.0, 16_000), 16_000, "wav"))
    assert load_audio(Source(str(path), name="-")).source == "-"
    with pytest.raises(MediaError, match="^-: no such file"):
        load_audio(Source(str(tmp_path / "absent"), name="-"))
    assert load_audio(Source(tones(1.0, 16_000), name="from the microphone")).source == "from the microphone"
