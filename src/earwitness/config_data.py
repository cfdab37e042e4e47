"""The sections of a recipe that say what a stage is trained on, one class a kind of data."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from earwitness.config_parts import Section


class SceneData(Section):
    kind: Literal["scenes"]
    bank: str
    captions: list[str]
    validation_captions: list[str] = Field([])
    count: int = Field(ge=1)
    seconds: float = Field(10.0, gt=0)
    lengths: tuple[float, float] | None = None  # s; each batch draws its own between these
    human: float = Field(0.7, ge=0, le=1)
    augment: float = Field(1.0, ge=0, le=1)
    validation_count: int = 512


class TextData(Section):
    kind: Literal["text"]
    captions: list[str]
    validation_captions: list[str] = Field([])
    epochs: float = 1.0


class CaptionedSet(Section):
    """One set of a mixture; its path alone stands for it. weight: how often an epoch visits each clip."""

    path: str  # a manifest, or the folder or address of shards
    weight: float = Field(1.0, gt=0)
    paraphrases: str | None = None  # JSONL of {"id", "captions"}, drawn beside the clip's own captions

    @model_validator(mode="before")
    @classmethod
    def _path_alone(cls, data: Any) -> Any:
        return {"path": data} if isinstance(data, str) else data


class ManifestData(Section):
    """Captioned recordings. exclude: file of ids that must not be trained on (a test set's sources).

    epoch_over: clips, each with one of its captions at random; or captions, each of them. mixup: share of
    clips that sound together with another one, captions joined by "and". Validation clips are heard in full,
    longer ones than the model hears at once in windows.
    """

    kind: Literal["manifest"]
    train: Annotated[list[CaptionedSet], Field(min_length=1)]
    validation: Annotated[list[str], Field(min_length=1)]
    exclude: str | None = None
    epochs: float = Field(1.0, gt=0)
    epoch_over: Literal["clips", "captions"] = "clips"
    seconds: float = Field(10.0, gt=0)  # of a longer recording, a random crop of this length
    mixup: float = Field(0.0, ge=0, le=1)
    spec_augment: bool = False


Data = Annotated[SceneData | TextData | ManifestData, Field(discriminator="kind")]
