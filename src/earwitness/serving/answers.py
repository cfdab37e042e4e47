"""Captions and tags as the server words them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any, Literal

from pydantic import BaseModel

from earwitness.captions import Caption, merge_neighbours
from earwitness.serving.decoders import Recording
from earwitness.serving.listener import TagTracks
from earwitness.tables import row


class CaptionRow(BaseModel):
    """start, end: seconds. score: 0..1. tags: names and probabilities, the most probable first."""

    start: float
    end: float
    caption: str
    score: float
    tags: list[tuple[str, float]]
    kind: Literal["sound", "speech", "silence"]


class Heard(BaseModel):
    """duration: seconds that could be heard. covered: their share of what the file declares, 0..1."""

    model: str
    duration: float
    damaged: bool
    covered: float


class Captions(Heard):
    captions: list[CaptionRow]


class Tags(Heard):
    """windows: start and end of each, in seconds. probabilities: in a row for each, one for each name."""

    names: list[str]
    windows: list[tuple[float, float]]
    probabilities: list[list[float]]


class Health(BaseModel):
    """tags: whether the model tells any. max_window: seconds."""

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
    cells = row(caption) | {"kind": caption.kind}
    return CaptionRow(**{name: cells[name] for name in CaptionRow.model_fields})


def heard(recording: Recording, model: str) -> dict[str, Any]:
    return {
        "model": model,
        "duration": round(recording.duration, 3),
        "damaged": recording.damaged,
        "covered": round(recording.covered, 4),
    }


def tags_answer(tracks: TagTracks, recording: Recording, model: str) -> Tags:
    return Tags(
        **heard(recording, model),
        names=tracks.names,
        windows=[(round(start, 3), round(end, 3)) for start, end in tracks.windows],
        probabilities=tracks.probabilities.astype(float).round(4).tolist(),
    )


async def lines(captions: AsyncIterator[Caption], recording: Recording, model: str) -> AsyncIterator[str]:
    """NDJSON of {"type": "progress", "heard": s} and "caption" while they come, and "end" at last.

    Neighbours that say the same are one caption.
    """
    last: Caption | None = None
    async for caption in captions:
        yield _line("progress", heard=round(caption.end, 3))
        *told, last = merge_neighbours([caption] if last is None else [last, caption])
        for one in told:
            yield _line("caption", **caption_row(one).model_dump())
    assert last is not None  # whatever can be heard has a caption
    yield _line("caption", **caption_row(last).model_dump())
    yield _line("end", **heard(recording, model))


def _line(kind: str, /, **values: Any) -> str:
    return json.dumps({"type": kind} | values, ensure_ascii=False) + "\n"
