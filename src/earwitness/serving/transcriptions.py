"""Captions in the formats of OpenAI's POST /v1/audio/transcriptions, for front ends that use it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi.responses import JSONResponse, PlainTextResponse, Response

from earwitness.captions import Caption
from earwitness.subtitles.formats import to_srt, to_vtt

SUBTITLES = {"srt": (to_srt, "application/x-subrip"), "vtt": (to_vtt, "text/vtt")}


def transcription(captions: Sequence[Caption], duration: float, kind: str) -> Response:
    """Format captions. kind: json, text, srt, vtt or verbose_json. The text has one line per caption."""
    text = "\n".join(caption.text for caption in captions)
    if kind in SUBTITLES:
        write, media_type = SUBTITLES[kind]
        return Response(write(captions), media_type=media_type)
    if kind == "text":
        return PlainTextResponse(text + "\n")
    if kind == "json":
        return JSONResponse({"text": text})
    segments = [_segment(i, caption) for i, caption in enumerate(captions)]
    about = {"task": "transcribe", "language": "english", "duration": round(duration, 3)}
    return JSONResponse(about | {"text": text, "segments": segments})


def _segment(number: int, caption: Caption) -> dict[str, Any]:
    times = {"start": round(caption.start, 3), "end": round(caption.end, 3)}
    logprob = 0.0 if caption.logprob is None else round(caption.logprob, 4)  # 0: silence is certain
    return {"id": number, **times, "text": caption.text, "avg_logprob": logprob}
