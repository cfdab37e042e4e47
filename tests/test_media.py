"""earwitness.media: what is heard of good, damaged and foreign files."""

from __future__ import annotations

import io
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from earwitness import media
from earwitness.media import (
    MediaError,
    find_media,
    is_media_path,
    load_audio,
    probe,
    sample_frames,
    windows,
)

sys.path.append(str(Path(__file__).parent))  # test modules are imported on their own
from media_samples import LOSSY, PYAV, SOUNDFILE, encode, mux, tones

KINDS = [*SOUNDFILE, *PYAV]


def rate_of(kind: str) -> int:
    return 48_000 if kind in {"opus", "webm", "ts", "m4a"} else 44_100


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    """Six seconds of stereo in every kind of file."""
    return {kind: encode(tones(6.0, rate_of(kind), 2), rate_of(kind), kind) for kind in KINDS}


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
    from earwitness import pcm

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


# ---- damage


def test_nan_and_infinity_become_silence_and_count_as_damage():
    sound = np.repeat(tones(1.0, 16_000), 2, axis=0)
    broken = sound.copy()
    broken[0, 5000] = np.nan
    broken[1, 6000] = np.inf
    audio = load_audio(encode(broken, 16_000, "wavfloat"))
    expected = sound.mean(axis=0)
    expected[5000] /= 2  # the other channel is still heard
    expected[6000] /= 2
    np.testing.assert_allclose(audio.waveform, expected, atol=1e-7)
    assert audio.damaged


def test_small_overshoot_stays_and_absurd_values_are_clipped():
    loud = tones(0.5, 16_000) * 3.0  # up to 1.2
    kept = load_audio(encode(loud, 16_000, "wavfloat"))
    np.testing.assert_array_equal(kept.waveform, loud[0])
    assert not kept.damaged
    absurd = load_audio((tones(0.5, 16_000) * 30_000, 16_000))
    assert np.abs(absurd.waveform).max() == 1.0 and absurd.damaged


def test_once_clipped_the_rest_is_clipped_alike():
    sound = np.full(40_000, 1.5, np.float32)
    sound[3] = 1e9
    assert load_audio(sound).waveform.max() == 1.0


@pytest.mark.parametrize("kind", ["wav", "flac", "mp3", "m4a_front", "mka"])
def test_a_truncated_file_gives_its_first_part_and_says_so(files, kind):
    if kind == "m4a_front":  # an mp4 whose index is in front, as for streaming
        whole = mux("mp4", tones(6.0, 48_000, 2), options={"movflags": "+faststart"})
    else:
        whole = files[kind]
    full = load_audio(whole).waveform
    cut = load_audio(whole[: len(whole) // 2])
    assert cut.damaged and 2.0 < cut.duration < 4.0
    assert cut.covered == pytest.approx(cut.duration / 6.0, abs=0.02)
    n = len(cut.waveform) - 2000
    assert np.abs(cut.waveform[:n] - full[:n]).max() < 1e-3


@pytest.mark.parametrize("kind", ["flac", "mp3", "ogg", "opus", "m4a"])
def test_damage_in_the_middle_leaves_both_ends_and_is_told(files, kind):
    data, middle = bytearray(files[kind]), len(files[kind]) // 2
    data[middle : middle + 3000] = np.random.default_rng(0).bytes(3000)
    full, audio = load_audio(files[kind]).waveform, load_audio(bytes(data))
    assert audio.damaged and audio.covered < 0.99 and audio.duration > 5.0
    np.testing.assert_allclose(audio.waveform[:16_000], full[:16_000], atol=1e-3)
    if kind != "mp3":  # has no clock: what follows moves up
        assert len(audio.waveform) == pytest.approx(len(full), abs=0.05 * 16_000)
        late = len(audio.waveform) - len(full)
        shifts = {0, late}
        errors = [
            np.abs(audio.waveform[-16_000 + s : -1000 + s] - full[-16_000:-1000]).max()
            for s in shifts
            if s <= 0
        ]
        assert min(errors) < 2e-3


def test_a_hole_in_the_clock_becomes_silence():
    sound = tones(2.0, 48_000)
    whole = load_audio(mux("matroska", sound, audio_codec="flac"), 48_000).waveform
    audio = load_audio(mux("matroska", sound, audio_codec="flac", hole=(0.96, 1.5)), 48_000)
    assert audio.duration == pytest.approx(3.5, abs=0.11)
    assert len(audio.waveform) - len(whole) == pytest.approx(72_000, abs=100)
    silent = np.abs(audio.waveform[50_400:115_000])
    assert silent.max() == 0.0
    assert audio.damaged and audio.covered == pytest.approx(2.0 / 3.5, abs=0.02)
    np.testing.assert_allclose(audio.waveform[-40_000:], whole[-40_000:], atol=1e-4)


def test_a_broken_clock_does_not_make_hours_of_silence():
    audio = load_audio(mux("matroska", tones(2.0, 48_000), audio_codec="flac", hole=(0.96, 40_000.0)))
    assert audio.duration == pytest.approx(2.0, abs=0.1)


def test_sound_that_starts_after_the_pictures_keeps_its_time():
    data = mux("mp4", tones(2.0, 48_000), levels=[80] * 30, sound_from=0.5)
    audio = load_audio(data, 48_000)
    assert audio.has_video and audio.duration == pytest.approx(2.5, abs=0.05)
    assert np.abs(audio.waveform[:23_000]).max() < 1e-3
    assert not audio.damaged and audio.covered > 0.98
    sound = tones(2.0, 48_000)[0, 16_000:66_000]
    errors = [np.square(audio.waveform[40_000 + s : 90_000 + s] - sound).mean() for s in range(-48, 49)]
    assert min(errors) < 0.02**2  # mp4 counts its start in milliseconds


def test_a_stream_may_change_its_rate_on_the_way():
    joined = encode(tones(2.0, 44_100), 44_100, "mp3") + encode(tones(2.0, 22_050), 22_050, "mp3")
    assert load_audio(joined).duration == pytest.approx(4.0, abs=0.15)


# ---- errors


def nan_file() -> bytes:
    return encode(np.full((1, 16_000), np.nan, np.float32), 16_000, "wavfloat")


@pytest.mark.parametrize(
    "make, reason",
    [
        (lambda d: d / "absent.wav", "no such file"),
        (lambda d: d, r"is a folder.*find_media"),
        (lambda d: written(d / "empty.wav", b""), r"is empty \(0 bytes\)"),
        (lambda d: b"", r"is empty \(0 bytes\)"),
        (lambda d: io.BytesIO(b""), "not a media file"),
        (lambda d: io.StringIO("hello"), "not a media file"),
        (lambda d: written(d / "text.wav", b"never a sound\n" * 99), "not a media file"),
        (
            lambda d: written(d / "page.mp3", b"<html><body>404</body></html>"),
            "not a media file|nothing in it",
        ),
        (lambda d: encode(np.zeros((1, 0), np.float32), 16_000, "wav"), "holds no samples"),
        (lambda d: encode(np.zeros((1, 5), np.float32), 16_000, "wav"), r"only 0.312 ms"),
        (lambda d: nan_file(), "nothing but NaN"),
        (lambda d: mux("mp4", levels=[1, 2, 3]), "video without sound"),
        (lambda d: "https://example.org/a.wav", "not fetched; download"),
        (lambda d: "a\0b.wav", "cannot be opened|no such file"),
        (lambda d: 3.14, "cannot read sound from a float"),
        (lambda d: None, "cannot read sound from a NoneType"),
        (lambda d: Path("/dev/zero"), "not a regular file"),
        (lambda d: fifo(d / "pipe.wav"), "not a regular file"),
    ],
)
def test_what_cannot_be_heard_says_why(tmp_path, make, reason):
    source = make(tmp_path)
    with pytest.raises(MediaError, match=reason) as caught:
        load_audio(source)
    assert str(caught.value) == f"{caught.value.path}: {caught.value.reason}"
    if isinstance(source, Path):
        assert caught.value.path == str(source)
    with pytest.raises(MediaError, match=reason):
        next(windows(source))


def written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def fifo(path: Path) -> Path:
    os.mkfifo(path)
    return path


@pytest.mark.parametrize(
    "field, at, value, reason",
    [
        ("rate", 24, 0, "not a media|absurd sample rate"),
        ("rate", 24, 7, "absurd sample rate of 7 Hz"),
        ("rate", 24, 2_000_000_000, "absurd sample rate"),
        ("channels", 22, 0, "not a media|channels"),
        ("channels", 22, 64, "64 channels"),
        ("channels", 22, 65_535, "channels|not a media"),
    ],
)
def test_absurd_headers(field, at, value, reason):
    data = bytearray(encode(tones(1.0, 16_000), 16_000, "wav"))
    width = 4 if field == "rate" else 2
    data[at : at + width] = value.to_bytes(width, "little")
    if field == "channels" and value < 65_535:
        data[32:34] = (2 * value).to_bytes(2, "little")
    with pytest.raises(MediaError, match=reason):
        load_audio(bytes(data))


def test_silence_is_sound():
    audio = load_audio(encode(np.zeros((1, 16_000), np.float32), 16_000, "wav"))
    assert audio.duration == 1.0 and not audio.damaged and not audio.waveform.any()


def test_a_start_behind_the_end():
    with pytest.raises(MediaError, match="ends before the start asked for, 9 s"):
        load_audio(encode(tones(1.0, 16_000), 16_000, "wav"), start=9.0)


def test_the_bound_on_decoded_sound():
    data = encode(tones(5.0, 16_000), 16_000, "flac")
    with pytest.raises(MediaError, match=r"longer than 3 s.*windows"):
        load_audio(data, max_seconds=3.0)
    assert load_audio(data, max_seconds=3.0, end=2.0).duration == 2.0
    with pytest.raises(MediaError, match="longer than 3 s"):
        list(windows(data, 1.0, max_seconds=3.0))


@pytest.mark.parametrize(
    "arguments, reason",
    [
        ({"start": -1.0}, "start"),
        ({"start": 2.0, "end": 1.0}, "end"),
        ({"start": float("nan")}, "start"),
        ({"sample_rate": 0}, "sample_rate"),
        ({"sample_rate": 16_000.5}, "sample_rate"),
        ({"resampler": "cubic"}, "unknown resampler 'cubic'.*soxr"),
    ],
)
def test_wrong_arguments(arguments, reason):
    with pytest.raises(ValueError, match=reason):
        load_audio(tones(1.0, 16_000), **arguments)


def test_errors_travel_between_processes():
    error = pickle.loads(pickle.dumps(MediaError("a.wav", "is empty")))
    assert (error.path, error.reason, str(error)) == ("a.wav", "is empty", "a.wav: is empty")


# ---- foreign references


def test_playlists_and_lists_of_files_are_not_followed(tmp_path):
    target = written(tmp_path / "secret.wav", encode(tones(1.0, 16_000), 16_000, "wav"))
    playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1.0,\n{target}\n#EXT-X-ENDLIST\n"
    listing = f"ffconcat version 1.0\nfile {target.name}\nduration 1\n"
    session = "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 5004 RTP/AVP 0\n"
    manifest = '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"></MPD>'
    for text in (playlist, listing, session, manifest):
        for name in ("list.m3u8", "list.wav", "list.mp4", "list.ffconcat"):
            with pytest.raises(MediaError, match=r"not a media file|nothing in it"):
                load_audio(written(tmp_path / name, text.encode()))


def test_a_name_is_a_file_and_no_protocol(tmp_path, monkeypatch):
    written(tmp_path / "a.wav", encode(tones(1.0, 16_000), 16_000, "wav"))
    monkeypatch.chdir(tmp_path)
    for name in ("concat:a.wav|a.wav", "file:a.wav", "subfile,,start,0,end,9,,:a.wav", "data:audio/wav,x"):
        with pytest.raises(MediaError, match="no such file"):
            load_audio(name)
    written(tmp_path / "concat:a.wav", encode(tones(0.5, 16_000), 16_000, "wav"))
    assert load_audio("concat:a.wav").duration == 0.5


# ---- windows


@given(
    length=st.integers(200, 40_000),
    window=st.floats(0.11, 2.0),
    share=st.floats(0.05, 1.0),
    block=st.sampled_from([8_000, 16_000]),
)
@settings(max_examples=60, deadline=None)
def test_windows_cover_every_sample_once_per_hop(length, window, share, block):
    rate = 8_000
    sound = (np.arange(length) % 997 / 997).astype(np.float32)
    hop = max(window * share, 2 / rate)
    if length > 60 * hop * rate:
        sound, length = sound[: int(60 * hop * rate)], int(60 * hop * rate)
    if length < 100:
        return
    drawn = list(windows((sound, rate), window, hop, rate))
    size = round(window * rate)
    for index, clip in enumerate(drawn):
        first, stop = round(clip.start * rate), round(clip.end * rate)
        assert first == round(index * hop * rate)
        assert clip.start == first / rate and clip.end == stop / rate
        np.testing.assert_array_equal(clip.waveform, sound[first:stop])
        last = index == len(drawn) - 1
        assert stop - first == size if not last else stop - first < size + 800
        assert (stop == length) == last
    assert len(drawn) == 1 or len(drawn[-1].waveform) >= min(800, size)


def test_a_tail_under_a_tenth_joins_the_window_before_it():
    rate = 16_000
    ends = lambda seconds: [(c.start, c.end) for c in windows(np.zeros(round(seconds * rate)), 1.0)]  # noqa: E731
    assert ends(3.0) == [(0, 1), (1, 2), (2, 3)]
    assert ends(3.09) == [(0, 1), (1, 2), (2, 3.09)]
    assert ends(3.1) == [(0, 1), (1, 2), (2, 3), (3, 3.1)]
    assert ends(0.5) == [(0, 0.5)]


def test_windows_hold_the_sound_load_audio_gives(files):
    for kind in ("mp3", "opus", "m4a", "flac"):
        whole = load_audio(files[kind]).waveform
        drawn = [clip.waveform for clip in windows(files[kind], 1.7)]
        np.testing.assert_array_equal(np.concatenate(drawn), whole)


def test_windows_are_drawn_as_they_are_decoded():
    """The second half of the file is never reached when the first window is taken."""

    class Counted(io.BytesIO):
        reached = 0

        def read(self, size: int = -1) -> bytes:
            self.reached = max(self.reached, self.tell() + size)
            return super().read(size)

    noise = np.random.default_rng(0).standard_normal((1, 16_000 * 120)).astype(np.float32) * 0.1
    source = Counted(encode(noise, 16_000, "wav"))
    assert next(windows(source, 5.0)).end == 5.0
    assert source.reached < len(source.getvalue()) / 2


@pytest.mark.parametrize(
    "arguments, reason",
    [
        ({"window": 0.05}, "window"),
        ({"window": float("inf")}, "window"),
        ({"window": 1.0, "hop": 1.5}, "hop"),
        ({"hop": 0.0}, "hop"),
        ({"hop": -1.0}, "hop"),
        ({"resampler": "x"}, "resampler"),
    ],
)
def test_windows_that_would_lose_sound(arguments, reason):
    with pytest.raises(ValueError, match=reason):
        windows(tones(1.0, 16_000), **arguments)


MEMORY_PROBE = """
import resource, sys
from earwitness.media import windows
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for index, clip in enumerate(windows(sys.argv[1])):
    if index == 12:
        early = peak()
print(clip.end, early, peak())
"""


def memory_of_windows(path: Path) -> tuple[float, int, int]:
    out = subprocess.run(
        [sys.executable, "-c", MEMORY_PROBE, str(path)], capture_output=True, text=True, check=True
    ).stdout.split()
    return float(out[0]), int(out[1]), int(out[2])


def long_flac(path: Path, hours: float) -> Path:
    """Low-complexity sound at 8 kHz, so that an hour is encoded and decoded in about a second."""
    import soundfile

    minute = np.tile((np.arange(8_000) % 80 * 100 - 4000).astype(np.int16), 60)
    with soundfile.SoundFile(path, "w", 8_000, 1, format="FLAC") as file:
        for _ in range(round(hours * 60)):
            file.write(minute)
    return path


def test_memory_stays_flat_over_an_hour(tmp_path):
    end, early, late = memory_of_windows(long_flac(tmp_path / "hour.flac", 1.0))
    assert end == 3600.0
    assert late - early < 8_000  # KiB; the hour itself would be 230,000


@pytest.mark.slow
def test_memory_stays_flat_over_ten_hours(tmp_path):
    end, early, late = memory_of_windows(long_flac(tmp_path / "hours.flac", 10.0))
    assert end == 36_000.0
    assert late - early < 8_000


def test_importing_media_does_not_load_torch():
    code = "import sys, earwitness.media; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


# ---- headers and pictures


def test_probe(files):
    info = probe(files["flac"])
    assert (info.duration, info.channels, info.sample_rate) == (6.0, 2, 44_100)
    assert info.has_audio and not info.has_video and info.container == "flac"
    film = probe(mux("mp4", tones(1.0, 48_000), levels=[9] * 10))
    assert film.has_audio and film.has_video and film.duration == pytest.approx(1.0, abs=0.05)
    mute = probe(mux("webm", levels=[9] * 10))
    assert not mute.has_audio and mute.has_video and (mute.channels, mute.sample_rate) == (0, 0)
    assert probe((np.zeros((2, 8_000)), 8_000)) == media.MediaInfo(1.0, 2, 8_000, True, False, "array")
    with pytest.raises(MediaError, match="not a media file"):
        probe(b"not media at all" * 50)


@pytest.mark.parametrize("container", ["mp4", "webm"])
def test_frames_are_those_shown_at_their_times(container):
    levels = [20 + 4 * i for i in range(40)]  # 4 s at 10 pictures a second
    data = mux(container, levels=levels, size=(96, 64))
    frames, times = sample_frames(data, fps=2.0, size=None)
    assert frames.shape == (8, 64, 96, 3) and frames.dtype == np.uint8
    np.testing.assert_allclose(times, np.arange(8) / 2)
    for frame, time in zip(frames, times):
        assert abs(int(frame[32, 20, 1]) - levels[int(time * 10 + 1e-6)]) <= 3
    part, at = sample_frames(data, fps=4.0, start=1.3, end=2.4, size=None)
    np.testing.assert_allclose(at, [1.3, 1.55, 1.8, 2.05, 2.3])
    for frame, time in zip(part, at):
        assert abs(int(frame[32, 20, 1]) - levels[int(time * 10 + 1e-6)]) <= 3


def test_faster_sampling_than_the_pictures_repeats_them():
    frames, times = sample_frames(mux("mp4", levels=[40, 80, 120], fps=10), fps=40.0, size=None)
    seen = [round(int(frame[32, 20, 1]) / 40) for frame in frames]
    assert seen == [1] * 4 + [2] * 4 + [3] * 4 and len(times) == 12


def test_frames_are_scaled_and_cut_to_the_centre_square():
    frames, _ = sample_frames(mux("mp4", levels=[50] * 10, size=(192, 64)), size=32)
    assert frames.shape == (2, 32, 32, 3)
    assert abs(int(frames[0].mean()) - 50) <= 3  # the white right third lies outside the centre square
    tall, _ = sample_frames(mux("mp4", levels=[50] * 10, size=(64, 192)), size=32)
    assert tall.shape == (2, 32, 32, 3) and tall[0, :, -1].mean() > 200


def test_pictures_of_a_phone_held_upright_come_upright():
    """The header of an mp4 says how to turn its pictures: here a quarter clockwise."""
    data = bytearray(mux("mp4", levels=[50] * 10, size=(96, 64)))
    at = data.index(b"tkhd") + 4 + 40
    one = 1 << 16
    matrix = [0, one, 0, -one, 0, 0, 64 * one, 0, 1 << 30]
    data[at : at + 36] = b"".join(value.to_bytes(4, "big", signed=True) for value in matrix)
    frames, _ = sample_frames(bytes(data), size=None)
    assert frames.shape == (2, 96, 64, 3)
    assert (
        frames[0, -20:].mean() > 240 and abs(frames[0, :50].mean() - 50) <= 3
    )  # right third -> bottom third


def test_frames_of_what_has_none(files):
    with pytest.raises(MediaError, match="no moving pictures"):
        sample_frames(files["mp3"])
    with pytest.raises(MediaError, match="no picture decodes from 50 s"):
        sample_frames(mux("mp4", levels=[1] * 5), start=50.0)
    with pytest.raises(MediaError, match="more than 3 pictures"):
        sample_frames(mux("mp4", levels=[1] * 50), max_frames=3)
    for arguments in ({"fps": 0.0}, {"start": -1.0}, {"size": 0}, {"start": 1.0, "end": 1.0}):
        with pytest.raises(ValueError, match=r"fps|start|size"):
            sample_frames(files["mp3"], **arguments)


# ---- folders


def test_find_media(tmp_path):
    for name in ("b.WAV", "a.mp3", "notes.txt", ".hidden.wav", "sub/c.flac", "sub/.x/d.wav", ".git/e.wav"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    names = lambda found: [str(p.relative_to(tmp_path)) for p in found]  # noqa: E731
    assert names(find_media(tmp_path)) == ["a.mp3", "b.WAV"]
    assert names(find_media([str(tmp_path)], recursive=True)) == ["a.mp3", "b.WAV", "sub/c.flac"]
    assert names(find_media([tmp_path / "notes.txt", tmp_path, tmp_path / "a.mp3"])) == [
        "notes.txt",
        "a.mp3",
        "b.WAV",
    ]
    with pytest.raises(MediaError, match="no such file or folder"):
        find_media([tmp_path / "absent"])
    assert is_media_path("X.Mp4") and not is_media_path("x.srt") and not is_media_path("wav")
