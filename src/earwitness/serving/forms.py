"""What a client may ask: the fields of a form, checked, and the recording that comes with them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, BinaryIO, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, HttpUrl, ValidationError
from starlette.datastructures import UploadFile
from starlette.requests import Request

from earwitness.serving.decoders import Recording
from earwitness.serving.fetching import Fetcher
from earwitness.serving.limits import Refused

FIELD_BYTES = 4096
MIN_WINDOW = 0.5  # s
OVERLAP = 2  # times that a moment may be heard


class Form(BaseModel):
    """Fields of every form. They may as well stand in the query."""

    model_config = ConfigDict(extra="forbid")
    url: HttpUrl | None = Field(
        None,
        description="Where the recording lies, instead of a file: http or https, on the public internet. "
        "403 unless the server was started with --allow-urls.",
    )
    window: float | None = Field(
        None, ge=MIN_WINDOW, description="Seconds heard at once; none: all, or 10 of a long recording."
    )
    hop: float | None = Field(None, description="Seconds from one window to the next; none: chosen for you.")


class CaptionForm(Form):
    beams: int | None = Field(
        None, ge=1, le=16, description="Beams of the search; 1 is fastest. None: as many as the model names."
    )
    format: Literal["json", "ndjson", "srt", "vtt"] = Field(
        "json", description="ndjson: a line for each caption, as soon as it is known."
    )


class TagForm(Form):
    window: float = Field(1.0, ge=MIN_WINDOW, description="Seconds of a window.")


AnyForm = TypeVar("AnyForm", bound=Form)


def documented(form: type[Form]) -> dict[str, Any]:
    """The form as OpenAPI's requestBody."""
    schema = form.model_json_schema()
    recording = {"type": "string", "format": "binary", "description": "A sound or video file."}
    schema["properties"] = {"file": recording} | schema["properties"]
    schema["anyOf"] = [{"required": ["file"]}, {"required": ["url"]}]
    return {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema}}}}


def receiving(form: type[AnyForm]) -> Callable[[Request], AsyncIterator[tuple[Recording, AnyForm]]]:
    """A dependency: the recording, decoded, and the fields; it keeps its place until the answer is given.

    What the client calls its file is not looked at. Raises Refused for a form that is not as it should be.
    """

    async def received(request: Request) -> AsyncIterator[tuple[Recording, AnyForm]]:
        listener = request.app.state.listener
        most = len(form.model_fields)
        async with request.form(max_files=1, max_fields=most, max_part_size=FIELD_BYTES) as parts:
            fields = dict(request.query_params) | dict(parts)
            file = fields.pop("file", None)
            asked = checked(form, fields, listener.captioner.max_seconds)
            async with (
                _media(file, asked.url, request.app.state.fetcher) as media,
                listener.heard(media) as recording,
            ):
                yield recording, asked

    return received


@asynccontextmanager
async def _media(file: Any, url: HttpUrl | None, fetcher: Fetcher | None) -> AsyncIterator[BinaryIO]:
    """The file that a form holds or names by its address."""
    if url is None:
        if not isinstance(file, UploadFile):
            raise Refused(422, "the form lacks a part named file that holds a recording")
        if not file.size:
            raise Refused(422, "the file is empty")
        yield file.file
    elif fetcher is None:
        raise Refused(
            403, "url: this server fetches nothing (it was started without --allow-urls): send a file"
        )
    elif file is not None:
        raise Refused(422, "send a file or a url, not both")
    else:
        async with fetcher.fetched(url) as fetched:
            yield fetched


def checked(form: type[AnyForm], fields: dict[str, Any], longest: float) -> AnyForm:
    """The fields as a form. longest: s a model hears at once. Raises Refused, saying what is wrong."""
    try:
        asked = form.model_validate(fields)
    except ValidationError as error:
        faults = [f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors()]
        raise Refused(422, "; ".join(faults)) from None
    if asked.window is not None and asked.window > longest:
        raise Refused(422, f"window: this model hears at most {longest:g} s at once")
    if asked.hop is not None and (
        asked.window is None or not asked.window / OVERLAP <= asked.hop <= asked.window
    ):
        raise Refused(422, "hop: wants a window, and is from half of it to all of it")
    return asked
