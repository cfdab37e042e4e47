"""report.html of a stage's folder: curves of its losses and figures, and sample captions."""

from __future__ import annotations

import html
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from earwitness.atomic_write import atomic_write_text
from earwitness.training.evaluation import sample_parts

WIDTH, HEIGHT, LEFT, BOTTOM = 420, 180, 52, 22  # pixels of a picture, and of its margins
COLOURS = {"training": "#1f77b4", "validation": "#d62728"}
PASSED_OVER = {"step", "epoch", "train_runtime", "train_samples_per_second", "train_steps_per_second"}
PASSED_OVER |= {"total_flos", "train_loss"}
STYLE = """body{font:14px system-ui;margin:2em;max-width:70em} figure{display:inline-block;margin:0 1em 1em 0}
td,th{padding:.2em 1em .2em 0;text-align:left;vertical-align:top;border-bottom:1px solid #ddd}
svg text{font-size:11px;fill:#555}"""

Points = list[tuple[float, float]]  # (step, value)


def write_report(folder: str | Path) -> Path:
    """Plot metrics.jsonl of a stage's folder in report.html beside it; return that file."""
    folder = Path(folder)
    lines = (folder / "metrics.jsonl").read_text("utf-8").splitlines()
    target = folder / "report.html"
    atomic_write_text(target, report([json.loads(line) for line in lines], folder.name))
    return target


def report(rows: Sequence[dict[str, Any]], title: str) -> str:
    """The page of a stage's logged rows."""
    pictures = "".join(picture(name, lines) for name, lines in curves(rows).items())
    samples = "".join(_sample_table(rows))
    return (
        f"<!doctype html><meta charset=utf-8><title>{html.escape(title)}</title><style>{STYLE}</style>"
        f"<h1>{html.escape(title)}</h1>{pictures}<h2>Sample captions</h2>{samples}\n"
    )


def curves(rows: Sequence[dict[str, Any]]) -> dict[str, dict[str, Points]]:
    """Name -> "training" or "validation" -> points; figures of one name share a picture."""
    found: dict[str, dict[str, Points]] = {}
    for row in rows:
        for key, value in row.items():
            if key in PASSED_OVER or isinstance(value, bool) or not isinstance(value, int | float):
                continue
            name = key.removeprefix("eval_").removeprefix("loss/")
            kind = "validation" if key.startswith("eval_") else "training"
            found.setdefault(name, {}).setdefault(kind, []).append((row["step"], value))
    return found


def picture(name: str, lines: dict[str, Points]) -> str:
    """One SVG figure with a line for each kind."""
    steps, values = (sorted(p[i] for points in lines.values() for p in points) for i in (0, 1))
    span = steps[0], steps[-1], values[0], values[-1]
    drawn = "".join(_line(points, span, COLOURS[kind]) for kind, points in lines.items())
    named = ", ".join(f'<span style="color:{COLOURS[kind]}">{kind}</span>' for kind in lines)
    marks = (
        f'<text x="0" y="12">{span[3]:.4g}</text><text x="0" y="{HEIGHT - BOTTOM}">{span[2]:.4g}</text>'
        f'<text x="{LEFT}" y="{HEIGHT - 4}">{span[0]:g}</text>'
        f'<text x="{WIDTH}" y="{HEIGHT - 4}" text-anchor="end">step {span[1]:g}</text>'
    )
    return (
        f"<figure><figcaption><b>{html.escape(name)}</b> {named}</figcaption>"
        f'<svg width="{WIDTH}" height="{HEIGHT}" role="img" aria-label="{html.escape(name)} by step">'
        f"{marks}{drawn}</svg></figure>"
    )


def _line(points: Points, span: tuple[float, float, float, float], colour: str) -> str:
    first, last, low, high = span
    places = [
        (
            LEFT + (WIDTH - LEFT - 4) * (step - first) / ((last - first) or 1),
            4 + (HEIGHT - BOTTOM - 8) * (1 - (value - low) / ((high - low) or 1)),
        )
        for step, value in points
    ]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    dots = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2" fill="{colour}"/>' for x, y in places)
    return f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.5"/>{dots}'


def _sample_table(rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    yield "<table><tr><th>step<th>caption<th>wanted"
    for row in rows:
        for name, text in row.items():
            if name.startswith("sample_"):
                cells = row["step"], *sample_parts(text)
                yield "<tr>" + "".join(f"<td>{html.escape(str(cell))}" for cell in cells)
    yield "</table>"
