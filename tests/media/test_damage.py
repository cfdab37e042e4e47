"""earwitness.media: what is heard of damaged, absurd and foreign files, or why nothing is."""

from __future__ import annotations

import io
import os
import pickle
import sys
from pathlib import Path

import numpy as np
import pytest

from earwitness.media.containers import MediaError
from earwitness.media.files import probe
from earwitness.media.reading import load_audio, windows
from earwitness.media.source import Source

sys.path.append(str(Path(__file__).parents[1]))  # test modules are imported on their own
from media_samples import encode, mux, tones

# ---- damage


def test_nan_and_infinity_become_silence_and_are_named_but_are_no_damage():
    sound = np.repeat(tones(1.0, 16_000), 2, axis=0)
    broken = sound.copy()
    broken[0, 5000] = np.nan
    broken[1, 6000] = np.inf
    audio = load_audio(encode(broken, 16_000, "wavfloat"))
    expected = sound.mean(axis=0)
    expected[5000] /= 2  # the other channel is still there
    expected[6000] /= 2
    np.testing.assert_allclose(audio.waveform, expected, atol=1e-7)
    assert not audio.damaged and audio.covered == 1.0
    assert audio.repaired == ("2 NaN or infinite samples taken as silence",)


def test_small_overshoot_stays_and_field_recorders_levels_are_scaled_to_full_scale():
    loud = tones(0.5, 16_000) * 3.0  # up to 1.2
    kept = load_audio(encode(loud, 16_000, "wavfloat"))
    np.testing.assert_array_equal(kept.waveform, loud[0])
    assert not kept.damaged
    for gain in (30.0, 30_000.0, 2.0**31):
        sound = tones(0.5, 16_000)
        scaled = load_audio((sound * np.float32(gain), 16_000))
        np.testing.assert_allclose(scaled.waveform, sound[0] / np.abs(sound).max(), rtol=1e-5)
        assert not scaled.damaged and not scaled.repaired


def test_windows_beyond_full_scale_are_divided_by_the_peak_so_far():
    sound = tones(6.0, 16_000)[0] * np.repeat([1, 1, 50, 10, 10, 200], 16_000).astype(np.float32)
    parts = [clip.waveform for clip in windows(sound, 1.0)]
    divisors = [np.abs(sound[i * 16_000 : (i + 1) * 16_000]).max() / np.abs(parts[i]).max() for i in range(6)]
    for i, (part, divisor) in enumerate(zip(parts, divisors)):
        np.testing.assert_allclose(part * divisor, sound[i * 16_000 : (i + 1) * 16_000], rtol=1e-4)
    assert divisors[0] == 1.0 and divisors == sorted(divisors)
    assert divisors[2] == pytest.approx(np.abs(sound[:48_000]).max(), rel=1e-4)
    assert divisors[5] == pytest.approx(np.abs(sound).max(), rel=1e-4)


def test_one_absurd_sample_does_not_silence_the_rest():
    sound = tones(1.0, 16_000)[0]
    sound[3] = 1e30  # a flipped bit
    audio = load_audio(sound)
    np.testing.assert_array_equal(audio.waveform[4:], sound[4:])
    assert audio.waveform[3] == 0 and audio.repaired == ("1 NaN or infinite sample taken as silence",)


RATES = {"flv": 44_100, "matroska": 48_000, "mp4": 48_000}


@pytest.mark.parametrize("kind", RATES)
def test_sound_that_ends_before_the_pictures_is_whole(kind):
    codec = "libopus" if kind == "matroska" else "aac"
    data = mux(kind, tones(2.0, RATES[kind]), RATES[kind], codec, levels=[80] * 30)
    audio = load_audio(data)
    assert audio.duration == pytest.approx(2.0, abs=0.06)
    assert not audio.damaged and audio.covered > 0.97 and audio.lost == 0


@pytest.mark.parametrize("kind", ["flv", "matroska"])
def test_a_truncated_video_names_the_time_lost(kind):
    codec = "libopus" if kind == "matroska" else "aac"
    data = mux(kind, tones(3.0, RATES[kind]), RATES[kind], codec, levels=[80] * 30)
    audio = load_audio(data[: len(data) // 2])
    assert audio.damaged and any("header declares" in fault for fault in audio.faults)
    assert audio.lost == pytest.approx(3.0 - audio.duration, abs=0.1) and audio.lost > 1.0


@pytest.mark.parametrize("samples", [0, 2**36 - 1])
def test_flac_of_an_unknown_number_of_samples_is_whole(files, samples):
    data = bytearray(files["flac"])
    data[21] = (data[21] & 0xF0) | samples >> 32
    data[22:26] = (samples & 0xFFFFFFFF).to_bytes(4, "big")
    audio = load_audio(bytes(data))
    assert (audio.duration, audio.covered, audio.faults) == (6.0, 1.0, ())
    assert probe(bytes(data)).duration is None


@pytest.mark.parametrize("kind", ["mp3", "flac"])
def test_a_change_of_rate_is_no_damage(kind):
    joined = encode(tones(2.0, 44_100), 44_100, kind) + encode(tones(2.0, 22_050), 22_050, kind)
    audio = load_audio(joined)
    assert audio.duration == pytest.approx(4.0, abs=0.15) and not audio.damaged


def test_the_warning_names_the_reason_and_the_time(caplog, files):
    half = files["wav"][: len(files["wav"]) // 2]
    list(windows(half, 10.0))
    message = "it ends after 3.00 of the 6.00 s that its header declares; 3.00 s of sound are lost"
    assert message in caplog.text


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


def wav_chunk(name: bytes, content: bytes, padded: bool) -> bytes:
    return (
        name + len(content).to_bytes(4, "little") + content + (b"\0" if padded and len(content) % 2 else b"")
    )


@pytest.mark.parametrize("padded", [True, False])
@pytest.mark.parametrize("place", ["before fmt", "before data", "twice"])
def test_a_chunk_of_odd_size_may_lack_its_pad_byte(tmp_path, padded, place):
    sound = tones(1.0, 16_000)
    data = encode(sound, 16_000, "wav")
    chunk = wav_chunk(b"LIST", b"INFOabcde", padded)
    for at in {"before fmt": [12], "before data": [36], "twice": [36, 12]}[place]:
        data = data[:at] + chunk + data[at:]
    np.testing.assert_allclose(load_audio(data).waveform, sound[0], atol=2**-15)
    path = written(tmp_path / "odd.wav", data)
    assert load_audio(path, start=0.5).duration == 0.5 and probe(path).duration == 1.0


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
        (lambda d: written(d / "a.gsm", b"\xd5" * 330), r"headerless GSM 06.10 .*ffmpeg -f gsm -ar 8000"),
        (lambda d: written(d / "a.UL", b"\xd5" * 330), "headerless mu-law sound by its name"),
        (
            lambda d: Source(encode(tones(1.0, 16_000), 16_000, "wav"), 2),
            "one audio track; there is no track 2",
        ),
        (lambda d: Source(tones(1.0, 16_000), 2), "one audio track; there is no track 2"),
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
