"""The `model` section of a preset: what fills each slot of the model."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from earwitness.config.bridges import Adapter, Fusion
from earwitness.config.checks import model_faults
from earwitness.config.decoding import (
    CorrectionConfig,
    GuideConfig,
    JointSpaceConfig,
    RerankConfig,
    RetrievalConfig,
)
from earwitness.config.section import Fidelity, Section
from earwitness.config.towers import Encoder, LanguageModelConfig, Vision


class ModelConfig(Section):
    """What fills the model's slots. fidelity: of all parts that do not name their own."""

    fidelity: Fidelity = "paper"
    encoder: Encoder
    vision: Vision | None = None
    fusion: Fusion | None = None
    adapter: Annotated[list[Adapter], Field(min_length=1)]  # applied one after the other
    language_model: LanguageModelConfig
    prompt: str = "<audio>"
    retrieval: RetrievalConfig | None = None
    guide: GuideConfig | None = None
    tag_guide: float = Field(0.0, ge=0)  # how much words of the tags that are heard come more easily; 0: none
    alignment: float = Field(0.0, ge=0)  # weight of a beam's alignment with the sound in their choice
    joint_space: JointSpaceConfig | None = None  # where; none: among the language model's embeddings
    beams: int = Field(3, ge=1)  # of a search that is not told how many
    no_repeat_ngram: int = Field(0, ge=0)  # no run of so many tokens comes twice in a caption; 0: any may
    repetition: float = Field(0.0, ge=0)  # how much less easily words come again once said; 0: as easily
    length_penalty: float = 1.0  # beams compare by log-probability / length ** this; less: shorter captions
    rerank: RerankConfig | None = None
    correction: CorrectionConfig | None = None
    max_seconds: float = Field(10.0, gt=0)  # what one caption covers; longer sound is captioned in windows

    @model_validator(mode="after")
    def _possible(self) -> ModelConfig:
        if faults := list(model_faults(self)):
            raise ValueError("; ".join(faults))
        return self
