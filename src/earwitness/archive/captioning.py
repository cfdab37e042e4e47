"""Captioning of archives of a million files, in this process or by actors of Ray Data.

table = ShardedTable(Path("captions.jsonl"), "mini", resume=True)
todo = [file for file in files if not table.has(file)]
for file, outcome in caption_files(captioner, todo):
    table.write(file, outcome)  # or table.fail(file, outcome.reason), where it is a MediaError
table.close()
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from earwitness.captions import Caption, merge_neighbours
from earwitness.media.containers import MediaError

if TYPE_CHECKING:
    from earwitness.captioner import Captioner

WINDOW = 10.0  # s
RAY_BATCH = 64  # files that an actor takes at once

Outcome = list[Caption] | MediaError
Report = Callable[[float, float], object]  # (files done, seconds of audio captioned since the last call)


def caption_files(
    captioner: Captioner,
    files: Sequence[str],
    *,
    timeline: bool = False,
    window: float | None = None,
    hop: float | None = None,
    workers: int = 1,
    progress: Report | None = None,
    source: Callable[[str], Any] = str,
    **options: Any,
) -> Iterator[tuple[str, Outcome]]:
    """Yield each file with its captions, in order: one, or its timeline with equal neighbours merged.

    window: s, default 10 or the model's maximum; hop: see `Captioner.timeline`. workers: threads that decode
    files ahead. source: maps a file to what is read (for example a `Source` that names a track). options:
    batch_size, and those of decoding.
    """
    report = progress or (lambda done, seconds: None)
    if timeline:
        window = window or min(WINDOW, captioner.max_seconds)
        for number, file in enumerate(files):
            yield file, _timeline(captioner, source(file), number, report, window=window, hop=hop, **options)
            report(number + 1, 0.0)
        return
    sources = list(map(source, files))
    errors: dict[Any, MediaError] = {}
    captions = captioner.stream(sources, on_error=errors.__setitem__, workers=workers, **options)
    for number, (file, key, caption) in enumerate(zip(files, sources, captions, strict=True)):
        report(number + 1, 0.0 if caption is None else caption.end - caption.start)
        yield file, errors.pop(key) if caption is None else [caption]


def _timeline(captioner: Captioner, source: Any, number: int, report: Report, **options: Any) -> Outcome:
    reported = 0.0

    def report_seconds(seconds: float, total: float | None) -> None:
        nonlocal reported
        report(number + (min(1.0, seconds / total) if total else 0.0), seconds - reported)
        reported = seconds

    try:
        return list(merge_neighbours(captioner.timeline(source, progress=report_seconds, **options)))
    except MediaError as error:
        return error


def caption_on_ray(
    load: Callable[[], Captioner],
    files: Sequence[str],
    *,
    workers: int = 1,
    progress: Report | None = None,
    **options: Any,
) -> Iterator[tuple[str, Outcome]]:
    """As `caption_files`, by `workers` actors of Ray Data, on this machine or on the cluster that RAY_ADDRESS
    names, where all must have the files under the same paths. Files are yielded as they are done, in any
    order.

    load: loads the captioner, in each actor.
    """
    try:
        import ray.data
    except ImportError:
        raise ValueError("--engine ray needs Ray: pip install earwitness[ray]") from None
    from earwitness.devices import resolve_device

    report = progress or (lambda done, seconds: None)
    blocks = max(1, min(len(files), max(4 * workers, len(files) // (4 * RAY_BATCH))))
    found = ray.data.from_items([{"path": file} for file in files], override_num_blocks=blocks).map_batches(
        _Actor,
        fn_constructor_args=(load, options),
        batch_size=RAY_BATCH,
        concurrency=workers,
        num_gpus=1 if resolve_device("auto") == "cuda" else 0,
    )
    for number, each in enumerate(found.iter_rows()):
        outcome = _from_json(each["path"], each["outcome"])
        report(number + 1, outcome[-1].end if isinstance(outcome, list) and outcome else 0.0)
        yield each["path"], outcome


class _Actor:
    """A captioner in a Ray actor."""

    def __init__(self, load: Callable[[], Captioner], options: dict[str, Any]) -> None:
        self.captioner, self.options = load(), options

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        outcomes = caption_files(self.captioner, batch["path"].tolist(), **self.options)
        return {"path": batch["path"], "outcome": [_to_json(outcome) for _, outcome in outcomes]}


def _to_json(outcome: Outcome) -> str:
    if isinstance(outcome, MediaError):
        return json.dumps({"error": outcome.reason})
    return json.dumps({"captions": [asdict(caption) for caption in outcome]})


def _from_json(path: str, text: str) -> Outcome:
    found = json.loads(text)
    if "error" in found:
        return MediaError(path, found["error"])
    return [Caption(**each | {"tags": tuple(map(tuple, each["tags"]))}) for each in found["captions"]]
