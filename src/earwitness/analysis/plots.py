"""Pictures of a recording: its spectrogram, and below it captions and tags on the same time axis."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from earwitness.atomic_write import atomic_write
from earwitness.captions import Caption
from earwitness.media.reading import windows
from earwitness.runtime.mel_power import HOP
from earwitness.runtime.spectrogram import N_MELS, log_mel
from earwitness.sample_rate import SAMPLE_RATE

try:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
except ImportError:
    raise ImportError("pictures need matplotlib: pip install 'earwitness[plots]'") from None

PICTURES = (".png", ".svg", ".pdf")
COLUMNS = 2048  # of the spectrogram, at most: a longer sound is averaged
WINDOW = 1024 * HOP / SAMPLE_RATE  # s read at once: averages of 2, 4, 8 ... frames divide it
RANGE = 70.0  # dB that are shown
TAGS = 10  # rows of tags, at most
PITCHES = (125, 250, 500, 1000, 2000, 4000, 8000)  # Hz on the axis
COLOURS = {"sound": "#1f77b4", "speech": "#d62728", "silence": "#999999"}
CRAMPED = 0.4  # of the width: a caption needs so much beside its bar
LINE, DPI, MOST_PIXELS = 0.22, 120, 30_000  # inches a caption, resolution, height


def plot_timeline(captions: Sequence[Caption], path: str | Path) -> None:
    """Draws the captions of one file, the tags that last longest, and the file's spectrogram.

    path: .png, .svg or .pdf. A sound of any length is read in constant memory. Raises MediaError.
    """
    mel, seconds = _spectrogram(captions[0].source)
    tags = _lasting(captions)
    heights = [2.5, max(0.6, LINE * len(captions)), max(0.6, LINE * len(tags))]
    figure = new_figure((11.0, sum(heights) + 1.5))
    above, said, named = figure.subplots(3, 1, sharex=True, height_ratios=heights)
    _draw_spectrogram(above, mel, seconds)
    above.set_title(Path(captions[0].source).name)
    _draw_captions(said, captions, seconds)
    _draw_tags(named, captions, tags)
    named.set(xlabel="time (s)", xlim=(0, seconds))
    dpi = min(DPI, MOST_PIXELS / figure.get_figheight())
    with atomic_write(path) as file:
        figure.savefig(file, format=Path(path).suffix[1:].lower(), dpi=dpi, bbox_inches="tight")


def new_figure(size: tuple[float, float]) -> Any:
    """A figure of so many inches that needs no screen."""
    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _spectrogram(source: str) -> tuple[NDArray[np.float32], float]:
    """(log-mel in dB [64, at most COLUMNS], seconds): columns are means over so many frames as it takes."""
    columns: list[NDArray[np.float32]] = []
    step, seconds = 1, 0.0  # frames a column
    for window in windows(source, WINDOW):
        mel = log_mel(window.waveform)
        columns += _pooled(mel[:, : max(1, len(window.waveform) // HOP)], step)
        seconds = window.end
        while len(columns) > COLUMNS:
            columns, step = _pooled(np.stack(columns, 1), 2), 2 * step
    return np.stack(columns, 1), seconds


def _pooled(mel: NDArray[np.float32], count: int) -> list[NDArray[np.float32]]:
    return [mel[:, i : i + count].mean(1) for i in range(0, mel.shape[1], count)]


def _draw_spectrogram(axes: Any, mel: NDArray[np.float32], seconds: float) -> None:
    top = float(mel.max())
    extent = (0, seconds, 0, N_MELS)
    axes.imshow(mel, origin="lower", aspect="auto", extent=extent, cmap="magma", vmin=top - RANGE, vmax=top)
    axes.set_yticks([_band(pitch) for pitch in PITCHES], [f"{pitch:g}" for pitch in PITCHES])
    axes.set_ylabel("Hz")


def _band(pitch: float) -> float:
    """Position of a frequency among the bands, which are even on the mel scale from 0 to 8000 Hz."""
    return N_MELS * math.log1p(pitch / 700) / math.log1p(8000 / 700)


def _draw_captions(axes: Any, captions: Sequence[Caption], seconds: float) -> None:
    """A row each, from the top; text on the bar's roomier side, or on the bar where it fills the row."""
    for row, caption in enumerate(captions):
        axes.barh(row, caption.end - caption.start, 0.8, caption.start, color=COLOURS[caption.kind])
        before, after = caption.start, seconds - caption.end
        at, side = (caption.start, "right") if before > after else (caption.end, "left")
        if max(before, after) < CRAMPED * seconds:
            at, side = seconds / 2, "center"
        paper = {"facecolor": "white", "alpha": 0.8, "pad": 0.5, "linewidth": 0}
        text = axes.text(at, row, f" {caption.text} ", ha=side, va="center", fontsize=8, parse_math=False)
        text.set_bbox(paper if side == "center" else None)
    axes.set(ylim=(len(captions) - 0.4, -0.6), ylabel="captions", yticks=[])


def _lasting(captions: Sequence[Caption]) -> list[str]:
    """The tags with the most probability, summed over time."""
    weights: dict[str, float] = {}
    for caption in captions:
        for name, probability in caption.tags:
            weights[name] = weights.get(name, 0.0) + probability * (caption.end - caption.start)
    return sorted(weights, key=lambda name: -weights[name])[:TAGS]


def _draw_tags(axes: Any, captions: Sequence[Caption], tags: Sequence[str]) -> None:
    """Bars as dark as the tag is probable."""
    for caption in captions:
        for name, probability in caption.tags:
            if name in tags:
                length = caption.end - caption.start
                axes.barh(tags.index(name), length, 0.8, caption.start, color="black", alpha=probability)
    axes.set(ylim=(len(tags) - 0.4, -0.6), ylabel="tags")
    axes.set_yticks(range(len(tags)), tags, fontsize=8, parse_math=False)
