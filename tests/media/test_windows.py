"""earwitness.media: windows of any length of sound, in constant memory."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from earwitness.media.reading import load_audio, probe, windows

sys.path.append(str(Path(__file__).parents[1]))  # test modules are imported on their own
from media_samples import encode, tones


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


def test_windows_of_sound_that_is_still_arriving_are_those_of_the_whole():
    waveform = np.random.default_rng(0).uniform(-1, 1, 50_000).astype(np.float32)
    whole = list(windows((waveform, 16_000), 1.0, 0.5))
    arriving = windows((iter(np.array_split(waveform, 7)), 16_000), 1.0, 0.5)
    for window, expected in zip(arriving, whole, strict=True):
        assert (window.start, window.end) == (expected.start, expected.end)
        assert np.array_equal(window.waveform, expected.waveform)
    assert probe((iter([waveform]), 16_000)).duration is None


def test_each_stretch_is_handed_over_as_it_is_decoded(files):
    stretches = []
    audio = load_audio(files["mp3"], on_chunk=stretches.append)
    assert len(stretches) > 1 and np.array_equal(np.concatenate(stretches), audio.waveform)


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


@pytest.mark.exhaustive
def test_memory_stays_flat_over_ten_hours(tmp_path):
    end, early, late = memory_of_windows(long_flac(tmp_path / "hours.flac", 10.0))
    assert end == 36_000.0
    assert late - early < 8_000


def test_importing_media_does_not_load_torch():
    code = "import sys, earwitness.media; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
