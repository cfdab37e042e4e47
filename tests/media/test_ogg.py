"""Chained Ogg files: every link is read, whatever changes from one to the next."""

from __future__ import annotations

import io
import itertools

import numpy as np
import pytest
from tests.media_samples import encode

from earwitness.media.ogg import links
from earwitness.media.reading import load_audio, windows
from earwitness.media.source import Source

KINDS = [("ogg", 44_100, 2), ("ogg", 22_050, 1), ("ogg", 44_100, 1), ("opus", 48_000, 1), ("opus", 48_000, 2)]
PITCHES = 440, 1000, 2000  # Hz, of the links


def link(kind: str, rate: int, channels: int, pitch: float, seconds: float = 2.0) -> bytes:
    tone = 0.3 * np.sin(2 * np.pi * pitch * np.arange(round(seconds * rate)) / rate)
    return encode(np.repeat(tone.astype(np.float32)[None], channels, 0), rate, kind)


def chain(*kinds: tuple[str, int, int]) -> list[bytes]:
    return [link(*kind, pitch) for kind, pitch in zip(kinds, PITCHES)]


def pitches(waveform: np.ndarray) -> list[int]:
    """Of the middle of every two seconds."""
    middles = [waveform[begin + 8_000 : begin + 24_000] for begin in range(0, len(waveform) - 24_000, 32_000)]
    return [int(np.abs(np.fft.rfft(middle)).argmax()) for middle in middles]


@pytest.mark.parametrize("kinds", itertools.product(KINDS, repeat=2))
def test_a_chain_is_read_past_every_change(kinds) -> None:
    audio = load_audio(b"".join(chain(*kinds)))
    assert audio.duration == pytest.approx(4.0, abs=0.05)
    assert pitches(audio.waveform) == [440, 1000] and audio.faults == () and audio.covered > 0.99


def test_paths_file_objects_tracks_and_windows_read_a_chain_alike(tmp_path) -> None:
    data = b"".join(chain(*KINDS[:3]))
    path = tmp_path / "radio.ogg"
    path.write_bytes(data)
    whole = load_audio(data).waveform
    assert pitches(whole) == list(PITCHES)
    with path.open("rb") as file:
        for source in (path, file, Source(path, track=1)):
            np.testing.assert_array_equal(load_audio(source).waveform, whole)
        assert not file.closed
    drawn = np.concatenate([window.waveform for window in windows(path, 1.0)])
    np.testing.assert_array_equal(drawn, whole)
    part = load_audio(path, start=2.5, end=4.5)
    np.testing.assert_allclose(part.waveform, whole[40_000:72_000], atol=1e-3)


def test_a_damaged_link_leaves_those_behind_it() -> None:
    first, *others = chain(*KINDS[:3])
    middle = len(first) // 2
    broken = first[:middle] + bytes(3000) + first[middle + 3000 :]
    audio = load_audio(broken + b"".join(others))
    assert audio.damaged and pitches(audio.waveform[-64_000:]) == [1000, 2000]
    headless = load_audio(b"OggS" + bytes(4000) + first + b"".join(others[:1]))
    assert pitches(headless.waveform) == [440, 1000]


def test_a_chain_that_is_cut_off_gives_what_is_there() -> None:
    first = link(*KINDS[0], 440)
    last = link(*KINDS[1], 1000, seconds=60.0)
    audio = load_audio(first + last[: len(last) // 2])
    assert 20.0 < audio.duration < 42.0 and set(pitches(audio.waveform)[1:]) == {1000}
    nothing = load_audio(first + last[:100])
    assert nothing.duration == pytest.approx(2.0, abs=0.05)
    assert nothing.faults == ("the container is broken in 1 place",)


def test_what_is_no_chain_has_no_links() -> None:
    for data in (link("ogg", 44_100, 2, 440), link("flac", 44_100, 1, 440), b"OggS", b"", b"OggS" * 40):
        file = io.BytesIO(data)
        file.seek(1)
        assert links(file) == [] and file.tell() == 1


def test_links_are_the_files_that_were_joined() -> None:
    parts = chain(*KINDS[:3])
    found = links(io.BytesIO(b"".join(parts)))
    assert [stretch.read() for stretch in found] == parts
    stretch = found[1]
    assert stretch.seek(-10, io.SEEK_END) == len(parts[1]) - 10 and stretch.read(99) == parts[1][-10:]
    stretch.seek(5)
    assert stretch.seek(3, io.SEEK_CUR) == 8 and stretch.read(4) == parts[1][8:12]
