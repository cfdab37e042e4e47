"""earwitness.media: headers, pictures and folders."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from earwitness.media import reading as media
from earwitness.media.containers import MediaError
from earwitness.media.files import find_media, is_media_path, probe
from earwitness.media.video import sample_frames

sys.path.append(str(Path(__file__).parents[1]))  # test modules are imported on their own
from media_samples import mux, tones

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
    with pytest.raises(MediaError, match="has no video"):
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
