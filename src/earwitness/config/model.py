"""The `model` section of a preset: the part in each slot of the model."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from earwitness.config.bridges import Adapter, Fusion
from earwitness.config.checks import model_faults
from earwitness.config.decoding import CorrectionConfig, DecodingConfig, RerankConfig, RetrievalConfig
from earwitness.config.section import Fidelity, Section
from earwitness.config.towers import Encoder, LanguageModelConfig, Vision


class ModelConfig(Section):
    """Parts of the model. fidelity: of all parts that do not name their own."""

    fidelity: Fidelity = "paper"
    encoder: Encoder
    vision: Vision | None = None
    fusion: Fusion | None = None
    adapter: Annotated[list[Adapter], Field(min_length=1)]  # applied one after the other
    # initial norm of the adapter's outputs: the mean norm of token embeddings, or a number; it is trained.
    # None: outputs are not scaled, as in the papers.
    adapter_scale: Literal["table"] | Annotated[float, Field(gt=0)] | None = None
    language_model: LanguageModelConfig
    prompt: str = "<audio>"
    retrieval: RetrievalConfig | None = None
    decoding: DecodingConfig = DecodingConfig()
    rerank: RerankConfig | None = None
    correction: CorrectionConfig | None = None
    max_seconds: float = Field(10.0, gt=0)  # of one caption; longer audio is captioned in windows

    @model_validator(mode="before")
    @classmethod
    def _former_places(cls, data: Any) -> Any:
        return with_decoding(data) if isinstance(data, dict) else data

    @model_validator(mode="after")
    def _possible(self) -> ModelConfig:
        if faults := list(model_faults(self)):
            raise ValueError("; ".join(faults))
        return self


def with_decoding(model: dict[str, Any]) -> dict[str, Any]:
    """Move keys of `decoding` into that section; version 0.1.0 had them in the model section.

    Raises ValueError for a key in both places.
    """
    former = model.keys() & DecodingConfig.model_fields.keys()
    if not former:
        return model
    decoding = model.get("decoding") or {}
    decoding = decoding if isinstance(decoding, dict) else decoding.model_dump(exclude_unset=True)
    if twice := sorted(former & decoding.keys()):
        raise ValueError(f"{', '.join(twice)}: given in decoding too; keep it there alone")
    rest = {key: value for key, value in model.items() if key not in former}
    return rest | {"decoding": decoding | {key: model[key] for key in model if key in former}}
