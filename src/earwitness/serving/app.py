"""The HTTP server: captions and tags of uploaded recordings, health, metrics, and the page."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from mimetypes import guess_type
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import PlainTextResponse, Response

import earwitness
from earwitness.serving import routes
from earwitness.serving.answers import Health, Ready, Refusal
from earwitness.serving.fetching import Fetcher
from earwitness.serving.gate import Gate, refusal
from earwitness.serving.jobs import Jobs
from earwitness.serving.limits import MEGABYTE, Limits, Refused
from earwitness.serving.listener import Listener
from earwitness.serving.metrics import CONTENT_TYPE, Metrics
from earwitness.serving.origins import Origins

if TYPE_CHECKING:
    from earwitness.captioner import Captioner

# The page's files, read once: requested names are looked up here, not on the disk.
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
CORS: dict[str, Any] = {  # of origins that are allowed
    "allow_methods": ["GET", "HEAD", "POST", "DELETE"],
    "allow_headers": ["Authorization", "Content-Type", "Last-Event-ID", "X-API-Key", "X-Request-ID"],
    "expose_headers": ["Location", "Retry-After", "X-Request-ID"],
}

router = APIRouter()


def create_app(
    captioner: Captioner,
    limits: Limits,
    *,
    api_key: str | None = None,
    fetcher: Fetcher | None = None,
    allow_origins: Iterable[str] = (),
    decoders: int = 2,
    batch_size: int = 16,
) -> FastAPI:
    """Create the ASGI application.

    api_key: required for /v1/...; fetcher: of recordings that clients name by a url, None: they are refused;
    allow_origins: other sites whose pages may use it; decoders: processes; batch_size: windows.
    """
    metrics = Metrics()
    listener = Listener(captioner, limits, metrics, decoders=decoders, batch_size=batch_size)
    jobs = Jobs(listener, limits, metrics, captioner.name)
    origins = Origins(allow_origins)

    app = _application(listener, jobs)
    app.state.listener, app.state.jobs = listener, jobs
    app.state.metrics, app.state.fetcher = metrics, fetcher
    app.state.health = Health(
        status="ok",
        version=earwitness.__version__,
        model=captioner.name,
        tags=listener.has_tags,
        max_window=captioner.max_seconds,
        max_upload_mb=limits.upload_bytes / MEGABYTE,
        max_minutes=limits.minutes,
        needs_key=api_key is not None,
        takes_urls=fetcher is not None,
    )
    app.add_middleware(Gate, limits=limits, metrics=metrics, api_key=api_key, origins=origins)
    if origins.allowed:
        app.add_middleware(CORSMiddleware, allow_origins=sorted(origins.allowed), **CORS)
    app.include_router(routes.router)
    app.include_router(router)
    return app


def _application(listener: Listener, jobs: Jobs) -> FastAPI:
    """Create the application without routes; its lifespan is that of the listener and its jobs."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with listener, jobs:
            yield

    return FastAPI(
        title="earwitness",
        version=earwitness.__version__,
        description="Captions for sounds and videos.",
        lifespan=lifespan,
        docs_url=None,  # FastAPI's own load scripts of other hosts; the page has them without
        redoc_url=None,
        redirect_slashes=False,
        exception_handlers={Refused: _refuse, RequestValidationError: _refuse_field},
    )


async def _refuse(_: Request, refused: Exception) -> Response:
    assert isinstance(refused, Refused)
    return refusal(refused)


async def _refuse_field(_: Request, error: Exception) -> Response:
    """Report faults that FastAPI finds in fields like all others."""
    assert isinstance(error, RequestValidationError)
    faults = [f"{fault['loc'][-1]}: {fault['msg']}" for fault in error.errors()]
    return refusal(Refused(422, "; ".join(faults)))


@router.get("/healthz")
async def healthz(request: Request) -> Health:
    """Report state and limits of the server."""
    return request.app.state.health


@router.get("/livez")
async def livez() -> Ready:
    """Report that the process answers."""
    return Ready()


@router.get("/readyz", responses={503: {"description": "The reason is in detail.", "model": Refusal}})
async def readyz(request: Request) -> Ready:
    """Report whether recordings can be captioned: the model answers, and a decoder process runs."""
    if reason := request.app.state.listener.unready:
        raise Refused(503, reason)
    return Ready()


@router.get("/metrics", response_class=PlainTextResponse)
async def metrics(request: Request) -> Response:
    """Return the metrics in Prometheus' text format."""
    return Response(request.app.state.metrics.exposition(), media_type=CONTENT_TYPE)


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
