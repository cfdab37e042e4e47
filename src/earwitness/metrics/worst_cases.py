"""A page of the clips that a metric likes least: what one looks at next. One HTML file, the audio linked."""

from __future__ import annotations

import html
import os
from collections.abc import Mapping
from pathlib import Path

from earwitness.atomic_write import atomic_write_text
from earwitness.metrics.report import Report
from earwitness.metrics.sounds import Sound, as_sound, find_sound

Sounds = Mapping[str, Sound | str] | str | os.PathLike[str]

_ORDER = ("spider", "spider_approx", "fense", "cider_d", "meteor", "bleu_4", "rouge_l")
_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem;
  color: #1c1c1c; background: #fff }
article { border-top: 1px solid #bbb; padding: 1rem 0 }
h2 { font-size: 1rem; margin: 0; overflow-wrap: anywhere }
.candidate { font-weight: 600 } ul { margin: .3rem 0 }
table { border-collapse: collapse; font-variant-numeric: tabular-nums }
th, td { padding: 0 .8rem 0 0; text-align: left; font-weight: normal }
mark { background: #ffe39b } audio { width: 100% }
@media (prefers-color-scheme: dark) {
 body { color: #eee; background: #161616 } mark { background: #6b5200; color: #fff } }
"""


def write_page(
    report: Report,
    path: str | os.PathLike[str],
    metric: str | None = None,
    count: int = 50,
    audio: Sounds | None = None,
    title: str = "Worst cases",
) -> None:
    """Write the `count` clips with the lowest values of a metric, lowest first.

    Args:
        report: a report with per-clip scores.
        path: the HTML file.
        metric: default the first of SPIDEr, FENSE, CIDEr-D, METEOR, BLEU-4, ROUGE-L that the report has.
        audio: a folder that holds a file named like each id, or a mapping of ids to Sounds, files or
            addresses. Files are linked relative to the page, never copied into it.

    Raises:
        ValueError: the report has no such per-clip metric.
    """
    metric = metric or next((name for name in _ORDER if name in report.clips), None)
    if metric is None or metric not in report.clips:
        known = ", ".join(report.clips) or "none"
        raise ValueError(
            f"the report has no per-clip values of {metric or 'a metric to sort by'}; it has: {known}"
        )
    values = report.clips[metric]
    order = sorted(range(len(values)), key=lambda number: values[number])[:count]
    page = Path(path).absolute().parent
    body = "\n".join(
        _clip(report, number, metric, _link(report.ids[number], audio, page)) for number in order
    )
    lead = f"{len(order)} of {len(values)} clips, lowest {html.escape(metric)} first. "
    lead += f"Corpus: {report.corpus[metric]:.4f}."
    atomic_write_text(
        path,
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{_STYLE}</style></head>\n"
        f"<body><h1>{html.escape(title)}</h1><p>{lead}</p><p><small>{html.escape(report.signature)}</small></p>\n"
        f"{body}\n</body></html>\n",
    )


def _clip(report: Report, number: int, metric: str, link: str | None) -> str:
    candidate, references = report.candidates[number], report.references[number]
    known = {word.strip(".,").lower() for text in references for word in text.split()}
    words = [
        f"<mark>{html.escape(word)}</mark>" if word.strip(".,").lower() not in known else html.escape(word)
        for word in candidate.split()
    ]
    items = "".join(f"<li>{html.escape(text)}</li>" for text in references)
    cells = "".join(
        f"<td>{html.escape(name)}<br>{values[number]:.3f}</td>"
        for name, values in report.clips.items()
        if name == metric or "." not in name
    )
    player = f'<audio controls preload="none" src="{html.escape(link, quote=True)}"></audio>' if link else ""
    shown = " ".join(words) or "<em>(empty)</em>"
    return (
        f"<article><h2>{html.escape(report.ids[number])}</h2>{player}<p class=candidate>{shown}</p>"
        f"<ul>{items}</ul><table><tr>{cells}</tr></table></article>"
    )


def _link(name: str, audio: Sounds | None, page: Path) -> str | None:
    if audio is None:
        return None
    sound = audio.get(name) if isinstance(audio, Mapping) else find_sound(name, Path(audio))
    return None if sound is None else as_sound(sound).link(page)
