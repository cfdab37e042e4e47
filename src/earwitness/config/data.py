"""The sections of a recipe that say what a stage is trained on, one class a kind of data."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from earwitness.config.section import Section


class SceneData(Section):
    kind: Literal["scenes"]
    bank: str
    captions: list[str]
    validation_captions: list[str] = Field([])
    count: int = Field(ge=1)
    seconds: float = Field(10.0, gt=0)
    lengths: tuple[float, float] | None = None  # s; each batch draws its own between these
    human: float = Field(0.7, ge=0, le=1)
    synthesis: int = Field(0, ge=0)  # synthetic recordings of each label that scenes/synthesis has
    balance: float = Field(0.0, ge=0, le=1)  # how much captions of rare sounds are favoured
    augment: float = Field(1.0, ge=0, le=1)
    validation_count: int = 512


class MixtureData(Section):
    """Random mixtures of recordings, for distillation, which needs no labels.

    bank: folder of labelled recordings. unlabelled: one of recordings without labels. A tenth of both is held
    out, by group and by source. labelled: share of the draws that have labels.
    """

    kind: Literal["mixtures"]
    bank: str
    unlabelled: str | None = None
    count: int = Field(ge=1)
    lengths: tuple[float, float] = (3.2, 8.0)  # s; each batch draws its own between these
    labelled: float = Field(0.5, ge=0, le=1)
    validation_recordings: int = Field(160, ge=0)  # of each sort, with and without labels
    validation_mixtures: int = Field(128, ge=0)


class TextData(Section):
    kind: Literal["text"]
    captions: list[str]
    validation_captions: list[str] = Field([])
    epochs: float = 1.0


class LabelData(Section):
    """Pairs of (labels, caption) without audio. Tag probabilities of recordings represent the labels.

    bank, unlabelled: as of mixtures. pairs: CSV files with the columns `labels` (a list of names of the
    encoder's tags) and `caption`. captions: human captions, in which the lexicon finds the sounds.
    """

    kind: Literal["labels"]
    bank: str
    unlabelled: str | None = None
    pairs: list[str] = Field([])
    captions: list[str] = Field([])
    validation_captions: list[str] = Field([])
    validation_share: float = Field(0.03, gt=0, lt=1)  # of the pairs
    epochs: int = Field(1, ge=1)


class CaptionedSet(Section):
    """One set of a mixture; its path alone is a short form. weight: how often an epoch visits each clip."""

    path: str  # a manifest, or the folder or address of shards
    weight: float = Field(1.0, gt=0)
    paraphrases: str | None = None  # JSONL of {"id", "captions"}, drawn beside the clip's own captions

    @model_validator(mode="before")
    @classmethod
    def _path_alone(cls, data: Any) -> Any:
        return {"path": data} if isinstance(data, str) else data


class SpecAugment(Section):
    """Masks on the log-mel of training clips (Park et al. 2019): so many in time and in frequency,
    less wide than this.
    """

    masks: int = Field(2, ge=0)
    frames: int = Field(40, ge=1)
    bands: int = Field(12, ge=1)


class ManifestData(Section):
    """Captioned recordings. exclude: file of ids to skip in training. test: manifests, or tables
    with sound_id or youtube_id, of whose recordings none may be among those of training (data/overlap.py).

    epoch_over: clips, each with one of its captions at random; or captions, each of them. mixup: share of
    clips that are mixed with another one, captions joined by "and". Validation clips are used in full, those
    longer than the model's maximum in windows.
    """

    kind: Literal["manifest"]
    train: Annotated[list[CaptionedSet], Field(min_length=1)]
    validation: Annotated[list[str], Field(min_length=1)]
    exclude: str | None = None
    test: list[str] = Field([])
    epochs: float = Field(1.0, gt=0)
    epoch_over: Literal["clips", "captions"] = "clips"
    seconds: float = Field(10.0, gt=0)  # of a longer recording, a random crop of this length
    mixup: float = Field(0.0, ge=0, le=1)
    spec_augment: SpecAugment | None = None

    @model_validator(mode="before")
    @classmethod
    def _former_switch(cls, data: Any) -> Any:
        """Before 0.2 spec_augment was true or false."""
        if isinstance(data, dict) and isinstance(data.get("spec_augment"), bool):
            return data | {"spec_augment": {} if data["spec_augment"] else None}
        return data

    @property
    def streamed(self) -> bool:
        """Whether training clips come from shards, not from manifests."""
        return not self.train[0].path.endswith(".jsonl")

    @model_validator(mode="after")
    def _one_kind(self) -> ManifestData:
        if len({clips.path.endswith(".jsonl") for clips in self.train}) > 1:
            raise ValueError("train: either manifests (.jsonl) or shards; write shards of them all")
        if self.streamed and self.epoch_over == "captions":
            raise ValueError("epoch_over: captions needs manifests; of shards, a caption is drawn at random")
        return self


Data = Annotated[SceneData | MixtureData | TextData | LabelData | ManifestData, Field(discriminator="kind")]
