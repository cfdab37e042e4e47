"""The picture of a timeline: its parts stand where the times say, and it is a picture of the sound."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile

from earwitness.analysis import plots
from earwitness.captions import Caption
from earwitness.media.containers import MediaError

RATE = 16_000


@pytest.fixture
def beeps(tmp_path):
    """Five seconds of 500 Hz, then five of 4000 Hz; a name that mathematics would be read into."""
    time = np.arange(5 * RATE) / RATE
    path = tmp_path / "$a_b$.wav"
    soundfile.write(
        path, 0.5 * np.concatenate([np.sin(2 * np.pi * pitch * time) for pitch in (500, 4000)]), RATE
    )
    return str(path)


def captions(path: str) -> list[Caption]:
    return [
        Caption("a low $tone_ beeps", 0.5, 0.0, 5.0, (("beep", 0.5), ("speech", 0.6)), path),
        Caption("a high tone beeps", 0.5, 5.0, 10.0, (("beep", 0.9), ("silence^", 0.2)), path),
    ]


@pytest.mark.parametrize("most", [2048, 600, 100])
def test_spectrogram_shows_the_pitch_at_its_time_however_few_columns(beeps, monkeypatch, most):
    monkeypatch.setattr(plots, "COLUMNS", most)
    mel, seconds = plots._spectrogram(beeps)
    assert seconds == 10.0 and mel.shape[0] == 64 and min(most / 2, 999) < mel.shape[1] <= min(most, 1000)
    loudest = mel.argmax(0)
    for column in range(mel.shape[1]):
        time = 10.0 * (column + 0.5) / mel.shape[1]
        if abs(time - 5) > 0.2:
            assert abs(loudest[column] + 0.5 - plots._band(500 if time < 5 else 4000)) < 1.5


def test_bars_stand_at_their_times(beeps):
    figure = plots.new_figure((5, 5))
    said, named = figure.subplots(2, 1)
    plots._draw_captions(said, captions(beeps), 10.0)
    assert [(bar.get_x(), bar.get_width()) for bar in said.patches] == [(0.0, 5.0), (5.0, 5.0)]
    assert [text.get_text().strip() for text in said.texts] == [c.text for c in captions(beeps)]
    tags = plots._lasting(captions(beeps))
    assert tags == ["beep", "speech", "silence^"]  # 7, 3 and 1 of probability times seconds
    plots._draw_tags(named, captions(beeps), tags)
    bars = [(bar.get_x(), round(bar.get_y() + 0.4), bar.get_alpha()) for bar in named.patches]
    assert bars == [(0.0, 0, 0.5), (0.0, 1, 0.6), (5.0, 0, 0.9), (5.0, 2, 0.2)]


@pytest.mark.parametrize("suffix", plots.PICTURES)
def test_pictures_are_written_whole(beeps, tmp_path, suffix):
    path = tmp_path / f"out{suffix}"
    plots.plot_timeline(captions(beeps), path)
    assert path.read_bytes()[:5] in (b"\x89PNG\r", b"<?xml", b"%PDF-")
    with pytest.raises(MediaError, match="gone"):
        plots.plot_timeline(captions(str(tmp_path / "gone.wav")), tmp_path / f"other{suffix}")
    assert not list(tmp_path.glob("*other*"))


def test_a_thousand_captions_fit(beeps, tmp_path):
    many = [Caption("x", 0.5, i / 100, (i + 1) / 100, (("beep", 0.5),), beeps) for i in range(1000)]
    plots.plot_timeline(many, tmp_path / "many.png")
    from matplotlib.image import imread

    assert 10_000 < imread(tmp_path / "many.png").shape[0] < 32_000
