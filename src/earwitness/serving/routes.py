"""The routes under /v1/: captions, tags, transcriptions and jobs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any, BinaryIO, Literal

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from fastapi.security import APIKeyHeader, HTTPBearer

from earwitness.serving.answers import (
    Captions,
    Refusal,
    Tags,
    caption_row,
    gathered,
    lines,
    of_lines,
    summary,
    tag_table,
)
from earwitness.serving.forms import CaptionForm, JobForm, TagForm, TranscriptionForm, documented
from earwitness.serving.jobs import Job, JobStatus
from earwitness.serving.limits import Refused
from earwitness.serving.recording import Recording
from earwitness.serving.transcriptions import SUBTITLES, transcription
from earwitness.serving.uploads import opening, receiving

# What each refusal means; the detail says more.
REASONS = {
    400: "The form is not well-formed or has no end, or the upload broke off.",
    401: "The API key is missing or wrong.",
    403: "A url, where the server fetches none; or a request from a page of another site.",
    404: "There is no such job.",
    408: "The upload is too slow.",
    413: "Too many bytes, or too many minutes of sound.",
    415: "Neither a form nor a recording, or not a sound or video file.",
    422: "A field is wrong, the file has no sound that can be decoded, or it cannot be fetched.",
    429: "Too many requests of this client are in progress; Retry-After says when to try again.",
    500: "The server failed; its log has the reason, under the id in X-Request-ID.",
    501: "The model has no tags.",
    503: "Too many requests are in progress, or the answer takes too long.",
}
# Sent with what arrives piece by piece: proxies and browsers are to pass it on and to keep nothing.
STREAMED = {"x-accel-buffering": "no", "cache-control": "no-store"}
LINES = (
    '{"type": "progress", "stage": "captions", "seconds": 16.0}\n'
    '{"type": "caption", "start": 0.0, "end": 4.2, "caption": "a dog barks", "score": 0.71, '
    '"sureness": "likely", "tags": [["Dog", 0.93]], "kind": "sound"}\n'
    '{"type": "end", "model": "mini", "duration": 4.2, "damaged": false, "faults": [], "covered": 1.0}\n'
)
SRT = "1\n00:00:00,000 --> 00:00:04,200\na dog barks\n\n"
VTT = "WEBVTT\n\n00:00:00.000 --> 00:00:04.200\na dog barks\n"


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return {status: {"description": REASONS[status], "model": Refusal} for status in statuses}


def texts(**examples: str) -> dict[int | str, dict[str, Any]]:
    """Describe other types of the answer by examples."""
    kinds = {"ndjson": "application/x-ndjson", "srt": "application/x-subrip", "vtt": "text/vtt"}
    kinds |= {"text": "text/plain", "events": "text/event-stream"}
    contents = {
        kinds[name]: {"schema": {"type": "string"}, "example": example} for name, example in examples.items()
    }
    return {200: {"content": contents, "description": "What was found."}}


UPLOAD = refusals(400, 401, 403, 408, 413, 415, 422, 429, 500, 503)
Asked = Annotated[tuple[Recording, CaptionForm], Depends(opening(CaptionForm))]
AskedTags = Annotated[tuple[Recording, TagForm], Depends(opening(TagForm))]
AskedText = Annotated[tuple[Recording, TranscriptionForm], Depends(opening(TranscriptionForm))]
AskedJob = Annotated[tuple[BinaryIO, JobForm], Depends(receiving(JobForm))]

# The gate checks the key, before the body is read; these only describe it.
KEYS = [Depends(HTTPBearer(auto_error=False)), Depends(APIKeyHeader(name="X-API-Key", auto_error=False))]
router = APIRouter(prefix="/v1", dependencies=KEYS)


@router.post(
    "/captions",
    response_model=Captions,
    responses=UPLOAD | refusals(501) | texts(ndjson=LINES, srt=SRT, vtt=VTT),
    openapi_extra=documented(CaptionForm),
)
async def caption(request: Request, upload: Asked) -> Response:
    """Return captions with their times, and tags with their probabilities if requested."""
    recording, asked = upload
    listener, model = request.app.state.listener, request.app.state.health.model
    if asked.tags:
        _check_tags(request)
    found = listener.find(recording, asked.wanted)
    if asked.format == "ndjson":
        streamed = await _begun(lines(found, recording, model))
        return StreamingResponse(streamed, media_type="application/x-ndjson", headers=STREAMED)
    captions, tracks = await gathered(found)
    if asked.format == "json":
        rows = [caption_row(caption) for caption in captions]
        tags = tag_table(tracks) if tracks else None
        answer = Captions(**summary(recording, model), captions=rows, tags=tags)
        return JSONResponse(answer.model_dump(exclude_none=True))
    write, kind = SUBTITLES[asked.format]
    return Response(write(captions), media_type=kind)


@router.post("/tags", responses=UPLOAD | refusals(501), openapi_extra=documented(TagForm))
async def tags(request: Request, upload: AskedTags) -> Tags:
    """Return the tags of the recording with their probabilities over time."""
    recording, asked = upload
    _check_tags(request)
    _, tracks = await gathered(request.app.state.listener.find(recording, asked.wanted))
    assert tracks is not None
    model = request.app.state.health.model
    return Tags(**summary(recording, model), **tag_table(tracks).model_dump())


@router.post(
    "/audio/transcriptions",
    responses=UPLOAD | texts(text="a dog barks\n", srt=SRT, vtt=VTT),
    openapi_extra=documented(TranscriptionForm),
)
async def transcribe(request: Request, upload: AskedText) -> Response:
    """Return captions in the formats of OpenAI's route of this name, for programs that use it."""
    recording, asked = upload
    captions, _ = await gathered(request.app.state.listener.find(recording, asked.wanted))
    return transcription(captions, recording.duration, asked.response_format)


@router.post(
    "/jobs",
    status_code=202,
    response_model=JobStatus,
    responses=UPLOAD | refusals(501),
    openapi_extra=documented(JobForm),
)
async def start_job(request: Request, upload: AskedJob) -> Response:
    """Start a job and return at once; Location names it."""
    media, asked = upload
    if asked.tags:
        _check_tags(request)
    job = request.app.state.jobs.start(media, asked.wanted)
    return JSONResponse(job.status.model_dump(), 202, {"location": f"jobs/{job.id}"} | STREAMED)


@router.get(
    "/jobs/{name}",
    response_model=JobStatus,
    responses=refusals(401, 404, 422) | texts(ndjson=LINES, srt=SRT, vtt=VTT),
)
async def job_status(
    request: Request, name: str, format: Literal["json", "ndjson", "srt", "vtt"] = "json"
) -> Response:
    """Return the state of a job and its results so far."""
    job: Job = request.app.state.jobs.find(name)
    if format == "json":
        return JSONResponse(job.status.model_dump(exclude_none=True), headers=STREAMED)
    if format == "ndjson":
        return Response("".join(job.lines), media_type="application/x-ndjson", headers=STREAMED)
    write, kind = SUBTITLES[format]
    return Response(write(list(of_lines(job.rows))), media_type=kind, headers=STREAMED)


@router.get(
    "/jobs/{name}/events",
    response_class=StreamingResponse,
    responses=refusals(401, 404) | texts(events='id: 0\ndata: {"type": "progress", ...}\n\n'),
)
async def job_events(request: Request, name: str) -> Response:
    """Stream the lines of ndjson as server-sent events; Last-Event-ID resumes."""
    job: Job = request.app.state.jobs.find(name)
    last = request.headers.get("last-event-id", "")
    first = int(last) + 1 if last.isascii() and last.isdigit() and len(last) < 10 else 0
    return StreamingResponse(job.events(first), media_type="text/event-stream", headers=STREAMED)


@router.delete("/jobs/{name}", status_code=204, responses=refusals(401, 404))
async def delete_job(request: Request, name: str) -> None:
    """Cancel a job and delete its results."""
    await request.app.state.jobs.delete(name)


def _check_tags(request: Request) -> None:
    if not request.app.state.health.tags:
        raise Refused(501, "this model has no tags")


async def _begun(streamed: AsyncIterator[str]) -> AsyncIterator[str]:
    """Wait for the first line, so that an earlier refusal gets its own status; then yield all lines."""
    first = await anext(streamed)

    async def rest() -> AsyncIterator[str]:
        yield first
        async for line in streamed:
            yield line

    return rest()
