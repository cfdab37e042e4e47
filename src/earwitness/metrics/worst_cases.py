"""Pages of the clips with the lowest values, or on which two systems differ most.

Each is one HTML file that links the sounds."""

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
    metric = _metric(metric, report)
    values = report.clips[metric]
    order = sorted(range(len(values)), key=lambda number: values[number])[:count]
    page = Path(path).absolute().parent
    clips = [_clip(report, number, metric, _link(report.ids[number], audio, page)) for number in order]
    lead = f"{len(order)} of {len(values)} clips, lowest {html.escape(metric)} first. "
    lead += f"Corpus: {report.corpus[metric]:.4f}."
    _write(path, title, lead, [report.signature], clips)


def write_differences(
    first: Report,
    second: Report,
    path: str | os.PathLike[str],
    metric: str | None = None,
    count: int = 50,
    audio: Sounds | None = None,
    names: tuple[str, str] = ("first", "second"),
) -> None:
    """Write the `count` clips in which two systems differ most by a metric, the largest difference first.

    names: what to call the systems; the others as for `write_page`.

    Raises:
        ValueError: the reports share no such per-clip metric, or a clip of the first is not in the second.
    """
    metric = _metric(metric, first, second)
    places = {name: number for number, name in enumerate(second.ids)}
    if lacking := [name for name in first.ids if name not in places]:
        raise ValueError(f"{names[1]} has no clip {lacking[0]!r}: score both systems on the same clips")
    rows = [(number, places[name]) for number, name in enumerate(first.ids)]
    gains = [first.clips[metric][one] - second.clips[metric][two] for one, two in rows]
    order = sorted(range(len(rows)), key=lambda number: -abs(gains[number]))[:count]
    page = Path(path).absolute().parent
    clips = [
        _pair((first, second), rows[number], metric, names, _link(first.ids[number], audio, page))
        for number in order
    ]
    lead = f"{len(order)} of {len(rows)} clips, largest difference in {html.escape(metric)} first."
    signatures = [f"{name}: {report.signature}" for name, report in zip(names, (first, second), strict=True)]
    _write(path, f"Where {names[0]} and {names[1]} differ", lead, signatures, clips)


def _metric(metric: str | None, *reports: Report) -> str:
    """The metric to sort by: the requested one, or the first of _ORDER that all reports have."""
    shared = [name for name in reports[0].clips if all(name in report.clips for report in reports)]
    chosen = metric or next((name for name in _ORDER if name in shared), None)
    if chosen is None or chosen not in shared:
        known = ", ".join(shared) or "none"
        raise ValueError(
            f"the report has no per-clip values of {chosen or 'a metric to sort by'}; it has: {known}"
        )
    return chosen


def _write(
    path: str | os.PathLike[str], title: str, lead: str, signatures: list[str], clips: list[str]
) -> None:
    notes = "".join(f"<p><small>{html.escape(text)}</small></p>" for text in signatures)
    body = "\n".join(clips)
    atomic_write_text(
        path,
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{_STYLE}</style></head>\n"
        f"<body><h1>{html.escape(title)}</h1><p>{lead}</p>{notes}\n{body}\n</body></html>\n",
    )


def _clip(report: Report, number: int, metric: str, link: str | None) -> str:
    cells = "".join(
        f"<td>{html.escape(name)}<br>{values[number]:.3f}</td>"
        for name, values in report.clips.items()
        if name == metric or "." not in name
    )
    return _article(
        report.ids[number],
        link,
        f"<p class=candidate>{_marked(report, number)}</p>",
        report.references[number],
        f"<table><tr>{cells}</tr></table>",
    )


def _pair(
    reports: tuple[Report, Report],
    rows: tuple[int, int],
    metric: str,
    names: tuple[str, str],
    link: str | None,
) -> str:
    """Both systems' captions of a clip, each with its value of the metric."""
    captions = "".join(
        f"<p>{html.escape(name)}, {html.escape(metric)} {report.clips[metric][row]:.3f}: "
        f"<span class=candidate>{_marked(report, row)}</span></p>"
        for name, report, row in zip(names, reports, rows, strict=True)
    )
    first, row = reports[0], rows[0]
    return _article(first.ids[row], link, captions, first.references[row], "")


def _marked(report: Report, number: int) -> str:
    """A candidate, the words that no reference has marked."""
    known = {word.strip(".,").lower() for text in report.references[number] for word in text.split()}
    words = [
        f"<mark>{html.escape(word)}</mark>" if word.strip(".,").lower() not in known else html.escape(word)
        for word in report.candidates[number].split()
    ]
    return " ".join(words) or "<em>(empty)</em>"


def _article(name: str, link: str | None, captions: str, references: list[str], table: str) -> str:
    items = "".join(f"<li>{html.escape(text)}</li>" for text in references)
    player = f'<audio controls preload="none" src="{html.escape(link, quote=True)}"></audio>' if link else ""
    return f"<article><h2>{html.escape(name)}</h2>{player}{captions}<ul>{items}</ul>{table}</article>"


def _link(name: str, audio: Sounds | None, page: Path) -> str | None:
    if audio is None:
        return None
    sound = audio.get(name) if isinstance(audio, Mapping) else find_sound(name, Path(audio))
    return None if sound is None else as_sound(sound).link(page)
