"""The recording of a request: in a form, as the body, or at a URL."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, BinaryIO

from fastapi import Depends
from pydantic import HttpUrl
from starlette.datastructures import FormData, Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from earwitness.serving.fetching import Fetcher
from earwitness.serving.forms import AnyForm, checked, most_fields
from earwitness.serving.limits import Refused
from earwitness.serving.recording import Recording

FIELD_BYTES = 4096
BODY_KINDS = ("audio/", "video/", "application/octet-stream", "application/ogg")


def kind_of(headers: Headers) -> str:
    """ "form", "body" (the recording itself) or "" for neither, by the content type."""
    kind = headers.get("content-type", "").lower()
    if kind.startswith("multipart/form-data"):
        return "form"
    return "body" if kind.startswith(BODY_KINDS) else ""


class WholeForm(MultiPartParser):
    """A parser that records whether the form was complete."""

    ended = False

    def on_end(self) -> None:
        self.ended = True


def receiving(form: type[AnyForm]) -> Callable[[Request], AsyncIterator[tuple[BinaryIO, AnyForm]]]:
    """Return a dependency: the uploaded or downloaded file, open until the answer is sent, and the fields.

    The client's file name is not used. Raises Refused for an invalid form.
    """

    async def received(request: Request) -> AsyncIterator[tuple[BinaryIO, AnyForm]]:
        longest, fields = request.app.state.listener.captioner.max_seconds, dict(request.query_params)
        if kind_of(request.headers) == "body":
            asked = checked(form, fields, longest)
            async with _body(request) as media:
                yield media, asked
            return
        parts = await _form(request, most_fields(form))
        try:
            sent: dict[str, Any] = fields | dict(parts)
            file = sent.pop("file", None)
            asked = checked(form, sent, longest)
            async with _media(file, asked.url, request.app.state.fetcher) as media:
                yield media, asked
        finally:
            await parts.close()

    return received


def opening(form: type[AnyForm]) -> Callable[..., AsyncIterator[tuple[Recording, AnyForm]]]:
    """Return a dependency: the recording, decoded as soon as there is capacity, and the fields."""

    upload = Depends(receiving(form))

    async def opened(request: Request, received: Any = upload) -> AsyncIterator[tuple[Recording, AnyForm]]:
        media, asked = received
        async with request.app.state.listener.opened(media) as recording:
            request.scope["earwitness.deadline"].recording = recording
            yield recording, asked

    return opened


async def _form(request: Request, most: int) -> FormData:
    parser = WholeForm(
        request.headers, request.stream(), max_files=1, max_fields=most, max_part_size=FIELD_BYTES
    )
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise Refused(400, error.message) from None
    if not parser.ended:
        await form.close()
        raise Refused(400, "the form is incomplete: the upload was cut off, or its last boundary is missing")
    return form


@asynccontextmanager
async def _body(request: Request) -> AsyncIterator[BinaryIO]:
    with tempfile.TemporaryFile() as file:
        async for piece in request.stream():
            file.write(piece)
        if not file.tell():
            raise Refused(422, "the file is empty")
        file.seek(0)
        yield file


@asynccontextmanager
async def _media(file: Any, url: HttpUrl | None, fetcher: Fetcher | None) -> AsyncIterator[BinaryIO]:
    """Open the file that a form contains, or download it from the URL."""
    if url is None:
        if not isinstance(file, UploadFile):
            raise Refused(422, "the form has no part named file with a recording")
        if not file.size:
            raise Refused(422, "the file is empty")
        yield file.file
    elif fetcher is None:
        raise Refused(403, "url: this server does not fetch URLs (--allow-urls is off): send a file")
    elif file is not None:
        raise Refused(422, "send a file or a url, not both")
    else:
        async with fetcher.fetched(url) as fetched:
            yield fetched
