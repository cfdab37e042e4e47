"""The HTTP server: captions and tags of uploaded recordings, health, metrics, and the page."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from mimetypes import guess_type
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse

from earwitness.captions import merge_neighbours
from earwitness.serving.answers import Captions, Health, Tags, caption_row, heard, lines, tags_answer
from earwitness.serving.decoders import Recording
from earwitness.serving.fetching import Fetcher
from earwitness.serving.forms import CaptionForm, TagForm, documented, receiving
from earwitness.serving.gate import Gate, refusal
from earwitness.serving.limits import MEGABYTE, Limits, Refused
from earwitness.serving.listener import Listener
from earwitness.serving.metrics import Metrics
from earwitness.subtitles.formats import to_srt, to_vtt
from earwitness.version import __version__

if TYPE_CHECKING:
    from earwitness.captioner import Captioner

SUBTITLES = {"srt": (to_srt, "application/x-subrip"), "vtt": (to_vtt, "text/vtt")}
# The page's files, read once: what a client asks for is looked up here, not on the disk.
PAGE = {
    file.name: (file.read_bytes(), guess_type(file.name)[0] or "application/octet-stream")
    for file in (Path(__file__).parent / "page").iterdir()
}
PAGE_HEADERS = {
    "cache-control": "no-cache",
    "content-security-policy": "default-src 'self'; media-src blob:; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
# What each refusal means; the detail says more.
REFUSALS: dict[int | str, dict[str, str]] = {
    400: {"description": "The form is not well-formed, or the upload broke off."},
    401: {"description": "The API key is missing or wrong."},
    403: {"description": "A url, where the server fetches none."},
    408: {"description": "The upload is too slow."},
    413: {"description": "Too many bytes, or too many minutes of sound."},
    415: {"description": "Not a form, or not a sound or video file."},
    422: {"description": "A field is wrong, nothing can be heard in the file, or it cannot be fetched."},
    429: {"description": "Too many requests of this client are in progress."},
    503: {"description": "Too many requests are in progress, or the answer takes too long."},
}

router = APIRouter()


def create_app(
    captioner: Captioner,
    limits: Limits,
    *,
    api_key: str | None = None,
    fetcher: Fetcher | None = None,
    decoders: int = 2,
    batch_size: int = 16,
) -> FastAPI:
    """The ASGI application.

    api_key: wanted for /v1/...; fetcher: of recordings that clients name by a url, none: refused;
    decoders: processes; batch_size: windows.
    """
    metrics = Metrics()
    listener = Listener(captioner, limits, metrics, decoders=decoders, batch_size=batch_size)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with listener:
            yield

    app = FastAPI(
        title="earwitness",
        version=__version__,
        description="Says in words what it heard.",
        lifespan=lifespan,
        docs_url=None,  # FastAPI's own come from elsewhere; the page has them without
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.listener, app.state.metrics, app.state.fetcher = listener, metrics, fetcher
    app.state.health = Health(
        status="ok",
        version=__version__,
        model=captioner.name,
        tags=listener.tells_tags,
        max_window=captioner.max_seconds,
        max_upload_mb=limits.upload_bytes / MEGABYTE,
        max_minutes=limits.minutes,
        needs_key=api_key is not None,
        takes_urls=fetcher is not None,
    )
    app.add_exception_handler(Refused, _refuse)
    app.add_middleware(Gate, limits=limits, metrics=metrics, api_key=api_key)
    app.include_router(router)
    return app


async def _refuse(_: Request, refused: Exception) -> Response:
    assert isinstance(refused, Refused)
    return refusal(refused)


@router.post(
    "/v1/captions", response_model=Captions, responses=REFUSALS, openapi_extra=documented(CaptionForm)
)
async def caption(
    request: Request, upload: Annotated[tuple[Recording, CaptionForm], Depends(receiving(CaptionForm))]
) -> Response:
    """What is heard when. Neighbouring captions that say the same are told as one."""
    recording, asked = upload
    listener, model = request.app.state.listener, request.app.state.health.model
    captions = listener.captions(recording, asked.window, asked.hop, asked.beams)
    if asked.format == "ndjson":
        return StreamingResponse(lines(captions, recording, model), media_type="application/x-ndjson")
    told = list(merge_neighbours([caption async for caption in captions]))
    if asked.format == "json":
        rows = [caption_row(caption) for caption in told]
        return JSONResponse(Captions(**heard(recording, model), captions=rows).model_dump())
    write, kind = SUBTITLES[asked.format]
    return Response(write(told), media_type=kind)


@router.post("/v1/tags", responses=REFUSALS, openapi_extra=documented(TagForm))
async def tags(
    request: Request, upload: Annotated[tuple[Recording, TagForm], Depends(receiving(TagForm))]
) -> Tags:
    """Which sounds there are, with their probabilities over time."""
    recording, asked = upload
    listener, health = request.app.state.listener, request.app.state.health
    if not health.tags:
        raise Refused(501, "this model has no tags")
    tracks = await listener.tags(recording, asked.window, asked.hop)
    return tags_answer(tracks, recording, health.model)


@router.get("/healthz")
async def healthz(request: Request) -> Health:
    """That the server is there, and what it takes."""
    return request.app.state.health


@router.get("/metrics", response_class=PlainTextResponse)
async def metrics(request: Request) -> Response:
    """For Prometheus."""
    return Response(request.app.state.metrics.exposition(), media_type="text/plain; version=0.0.4")


def _page(name: str) -> Response:
    if name not in PAGE:
        raise Refused(404, "there is no such page")
    content, kind = PAGE[name]
    return Response(content, media_type=kind, headers=PAGE_HEADERS)


@router.get("/", include_in_schema=False)
async def index() -> Response:
    return _page("index.html")


@router.get("/docs", include_in_schema=False)
async def docs() -> Response:
    return _page("docs.html")


@router.get("/{name}", include_in_schema=False)
async def page(name: str) -> Response:
    return _page(name)
