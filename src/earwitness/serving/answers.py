"""Captions and tags in the server's formats."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import aclosing
from typing import Any, Literal

from pydantic import BaseModel

from earwitness.captions import Caption, merge_neighbours
from earwitness.serving.limits import Refused
from earwitness.serving.listener import Found, Progress, TagTracks
from earwitness.serving.recording import Recording
from earwitness.tables import row

log = logging.getLogger("earwitness")

FAILED = "the server failed in the middle of its answer; its log has the reason, under the id in X-Request-ID"


class CaptionRow(BaseModel):
    """start, end: seconds. score: 0..1; sureness: its label.

    tags: names and probabilities, the most probable first. logprob: mean log-probability of the caption's
    tokens, where a model wrote it.
    """

    start: float
    end: float
    caption: str
    score: float
    sureness: Literal["sure", "likely", "unsure"]
    tags: list[tuple[str, float]]
    kind: Literal["sound", "speech", "silence"]
    logprob: float | None = None


class TagTable(BaseModel):
    """windows: start and end of each, in seconds. probabilities: a row per window, one value per name."""

    names: list[str]
    windows: list[tuple[float, float]]
    probabilities: list[list[float]]


class Summary(BaseModel):
    """duration: seconds that were decoded. covered: their share of what the file declares, 0..1.

    faults: why the file is damaged.
    """

    model: str
    duration: float
    damaged: bool
    faults: list[str] = []
    covered: float


class Captions(Summary):
    captions: list[CaptionRow]
    tags: TagTable | None = None


class Tags(Summary, TagTable):
    pass


class Refusal(BaseModel):
    detail: str


class Ready(BaseModel):
    status: Literal["ok"] = "ok"


class Health(BaseModel):
    """State and limits of the server. tags: whether the model has any. max_window: seconds."""

    status: str
    version: str
    model: str
    tags: bool
    max_window: float
    max_upload_mb: float
    max_minutes: float
    needs_key: bool
    takes_urls: bool


def caption_row(caption: Caption) -> CaptionRow:
    cells = row(caption) | {"kind": caption.kind, "sureness": caption.sureness}
    return CaptionRow(**{name: cells[name] for name in CaptionRow.model_fields})


def tag_table(tracks: TagTracks) -> TagTable:
    return TagTable(
        names=tracks.names,
        windows=[(round(start, 3), round(end, 3)) for start, end in tracks.windows],
        probabilities=tracks.probabilities.astype(float).round(4).tolist(),
    )


def summary(recording: Recording, model: str) -> dict[str, Any]:
    return {
        "model": model,
        "duration": round(recording.duration, 3),
        "damaged": bool(recording.faults),
        "faults": recording.faults,
        "covered": round(recording.covered, 4),
    }


async def gathered(found: AsyncIterator[Found]) -> tuple[list[Caption], TagTracks | None]:
    """Collect all results, with equal neighbouring captions merged. Raises Refused."""
    captions, tracks = [], None
    async for item in found:
        if isinstance(item, Caption):
            captions.append(item)
        elif isinstance(item, TagTracks):
            tracks = item
    return list(merge_neighbours(captions)), tracks


async def lines(found: AsyncIterator[Found], recording: Recording, model: str) -> AsyncIterator[str]:
    """Yield NDJSON: "progress", "caption" and "tags" as results arrive, finally "end" or "error".

    Equal neighbouring captions are merged. An error before the first result is raised.
    """
    last: Caption | None = None
    begun = False
    try:
        async with aclosing(found):  # type: ignore[type-var]
            async for item in found:
                begun = True
                if isinstance(item, Caption):
                    *complete, last = merge_neighbours([item] if last is None else [last, item])
                    for caption in complete:
                        yield caption_line(caption)
                else:
                    if isinstance(item, TagTracks) and last is not None:
                        yield caption_line(last)
                        last = None
                    yield _found_line(item)
    except Exception as error:
        if not begun:
            raise
        if not isinstance(error, Refused):
            log.exception("an answer failed after its start")
        refused = error if isinstance(error, Refused) else Refused(500, FAILED)
        for caption in [] if last is None else [last]:
            yield caption_line(caption)
        yield error_line(refused)
        return
    if last is not None:
        yield caption_line(last)
    yield _line("end", **summary(recording, model))


def of_lines(rows: Iterable[dict[str, Any]]) -> Iterator[Caption]:
    """Yield the captions among parsed lines."""
    for line in rows:
        if line["type"] == "caption":
            tags = tuple((name, p) for name, p in line["tags"])
            yield Caption(line["caption"], line["score"], line["start"], line["end"], tags)


def caption_line(caption: Caption) -> str:
    return _line("caption", **caption_row(caption).model_dump(exclude_none=True))


def error_line(refused: Refused) -> str:
    return _line("error", status=refused.status, detail=refused.detail)


def _found_line(item: Progress | TagTracks) -> str:
    if isinstance(item, Progress):
        return _line("progress", stage=item.stage, seconds=round(item.seconds, 3))
    return _line("tags", **tag_table(item).model_dump())


def _line(kind: str, /, **values: Any) -> str:
    return json.dumps({"type": kind} | values, ensure_ascii=False) + "\n"
