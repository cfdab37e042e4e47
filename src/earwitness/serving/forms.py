"""Validation of the fields of a request's form."""

from __future__ import annotations

from typing import Any, ClassVar, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, HttpUrl, ValidationError

from earwitness.serving.limits import Refused
from earwitness.serving.listener import TAG_WINDOW, Wanted

MIN_WINDOW = 0.5  # s
OVERLAP = 2  # windows at most that contain one moment


class Form(BaseModel):
    """Fields of every form. They may also be in the query."""

    model_config = ConfigDict(extra="forbid")
    url: HttpUrl | None = Field(
        None,
        description="Address of the recording, instead of a file: http or https, on the public internet. "
        "403 unless the server was started with --allow-urls.",
    )

    @property
    def wanted(self) -> Wanted:
        raise NotImplementedError

    def check(self, longest: float) -> None:
        """longest: s the model takes at once. Raises Refused."""


class WindowForm(Form):
    window: float | None = Field(
        None, ge=MIN_WINDOW, description="Seconds captioned at once; none: all, or 10 of a long recording."
    )
    hop: float | None = Field(
        None,
        description="Seconds from one window to the next, from half a window to a whole one.",
    )

    def check(self, longest: float) -> None:
        if self.window is not None and self.window > longest:
            raise Refused(422, f"window: this model takes at most {longest:g} s at once")
        if self.hop is not None and (
            self.window is None or not self.window / OVERLAP <= self.hop <= self.window
        ):
            raise Refused(422, "hop: needs a window, and is from half of it to all of it")


class JobForm(WindowForm):
    beams: int | None = Field(
        None, ge=1, le=16, description="Beams of the search; 1 is fastest. None: as many as the model names."
    )
    tags: bool = Field(
        False, description=f"Also the tags and their probabilities in windows of {TAG_WINDOW:g} s."
    )

    @property
    def wanted(self) -> Wanted:
        return Wanted(tags=self.tags, window=self.window, hop=self.hop, beams=self.beams)


class CaptionForm(JobForm):
    format: Literal["json", "ndjson", "srt", "vtt"] = Field(
        "json", description="ndjson: a line for each caption, as soon as it is known."
    )


class TagForm(WindowForm):
    window: float = Field(TAG_WINDOW, ge=MIN_WINDOW, description="Seconds of a window.")

    @property
    def wanted(self) -> Wanted:
        return Wanted(captions=False, tags=True, hop=self.hop, tag_window=self.window)


class TranscriptionForm(Form):
    """The form of OpenAI's POST /v1/audio/transcriptions; its other fields are accepted and not used."""

    model_config = ConfigDict(extra="ignore")
    model: str = Field("", description="Not used: the server has one model.")
    response_format: Literal["json", "text", "srt", "vtt", "verbose_json"] = Field("json")
    stream: Literal[False] = Field(False, description="Only false: use /v1/captions with ndjson to stream.")
    MOST_FIELDS: ClassVar[int] = 32

    @property
    def wanted(self) -> Wanted:
        return Wanted()


AnyForm = TypeVar("AnyForm", bound=Form)


def most_fields(form: type[Form]) -> int:
    return getattr(form, "MOST_FIELDS", len(form.model_fields))


def checked(form: type[AnyForm], fields: dict[str, Any], longest: float) -> AnyForm:
    """Validate fields as a form. longest: s that the model takes at once. Raises Refused with the faults."""
    try:
        asked = form.model_validate(fields)
    except ValidationError as error:
        raise Refused(422, "; ".join(_fault(form, fault) for fault in error.errors())) from None
    asked.check(longest)
    return asked


def _fault(form: type[Form], fault: Any) -> str:
    name = ".".join(map(str, fault["loc"]))
    if fault["type"] == "extra_forbidden":
        return f"{name}: no such field; the fields are {', '.join(['file', *form.model_fields])}"
    return f"{name}: {fault['msg']}"


def documented(form: type[Form]) -> dict[str, Any]:
    """Return the form as OpenAPI's requestBody: multipart, or the recording with the fields in the query."""
    schema = form.model_json_schema()
    recording = {"type": "string", "format": "binary", "description": "A sound or video file."}
    parameters = [
        {"in": "query", "name": name, "required": False, "schema": field}
        | {"description": field.get("description", "") + " For a recording sent as the body itself."}
        for name, field in schema["properties"].items()
        if name != "url"
    ]
    schema["properties"] = {"file": recording} | schema["properties"]
    schema["anyOf"] = [{"required": ["file"]}, {"required": ["url"]}]
    raw = {"schema": {"type": "string", "format": "binary"}}
    content = {
        "multipart/form-data": {"schema": schema},
        **dict.fromkeys(("audio/*", "video/*", "application/octet-stream"), raw),
    }
    return {"requestBody": {"required": True, "content": content}, "parameters": parameters}
