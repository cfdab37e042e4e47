"""The sections of a preset for what joins the towers, one class a kind: fusions and adapters.

Numbers default to the papers'.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from earwitness.config.section import Count, Fidelity, Section


class OtAttentionConfig(Section):
    kind: Literal["ot_attention"]
    epsilon: float = Field(0.1, gt=0)
    iterations: int = Field(50, ge=1)
    row_normalized: bool = False
    fidelity: Fidelity | None = None


class CrossAttentionConfig(Section):
    kind: Literal["cross_attention"]
    layers: int = Field(2, ge=1)
    heads: int = Field(12, ge=1)
    dropout: float = Field(0.1, ge=0, lt=1)


class JointConfig(Section):
    kind: Literal["joint"]
    layers: int = Field(2, ge=1)
    heads: int = Field(12, ge=1)
    dropout: float = Field(0.1, ge=0, lt=1)


class QFormerFusionConfig(Section):
    kind: Literal["qformer"]
    queries: int = Field(32, ge=1)
    layers: int = Field(2, ge=1)
    heads: int = Field(12, ge=1)
    dropout: float = Field(0.1, ge=0, lt=1)


class ConcatConfig(Section):
    kind: Literal["concat"]


class AudioOnlyConfig(Section):
    kind: Literal["audio_only"]


class VisualOnlyConfig(Section):
    kind: Literal["visual_only"]


class NoTokensConfig(Section):
    """No audio tokens: the language model reads the tags in the prompt alone."""

    kind: Literal["none"]


class LinearConfig(Section):
    kind: Literal["linear"]


class MlpConfig(Section):
    """Two linear maps with GELU between them, for each token."""

    kind: Literal["mlp"]
    hidden: Count | None = None  # None: the language model's width


class TwoStreamConfig(Section):
    kind: Literal["two_stream"]
    semantic_queries: Count = 8
    temporal_queries: Count = 8
    global_queries: Count = 32
    kernels: list[Count] = Field([3, 5, 7], min_length=1)
    gru_layers: Count = 2
    heads: Count = 8
    streams: list[Literal["semantic", "temporal"]] = Field(["semantic", "temporal"], min_length=1)

    @model_validator(mode="after")
    def _kernels_are_odd(self) -> TwoStreamConfig:
        if even := [k for k in self.kernels if k % 2 == 0]:
            raise ValueError(f"kernels must be odd, so that the frames keep their times, not {even}")
        return self


class QFormerConfig(Section):
    """Windowed Q-Former; its connector into the language model's space is part of it."""

    kind: Literal["qformer"]
    window: int = Field(17, ge=1)  # tokens
    queries: int = Field(1, ge=1)  # a window
    hidden: int = Field(768, ge=1)
    layers: int = Field(2, ge=1)
    heads: int = Field(12, ge=1)
    feed_forward: int | None = None  # None: 4 hidden
    dropout: float = Field(0.1, ge=0, lt=1)
    connector: Literal["linear", "mlp"] = "linear"
    fidelity: Fidelity | None = None

    @model_validator(mode="after")
    def _heads_divide(self) -> QFormerConfig:
        if self.hidden % self.heads:
            raise ValueError(f"hidden {self.hidden} is not a multiple of heads {self.heads}")
        return self


class FftConfig(Section):
    """spectral: a gain per frequency that is learnt (ours), in place of one map for all (the paper's)."""

    kind: Literal["fft"]
    fidelity: Fidelity | None = None
    spectral: bool = False
    bins: int = Field(32, ge=2)  # of the spectral form

    @model_validator(mode="after")
    def _one_form(self) -> FftConfig:
        if self.spectral and self.fidelity == "released":
            raise ValueError("spectral: true is ours; it has no released form")
        return self


Fusion = Annotated[
    OtAttentionConfig
    | CrossAttentionConfig
    | JointConfig
    | QFormerFusionConfig
    | ConcatConfig
    | AudioOnlyConfig
    | VisualOnlyConfig,
    Field(discriminator="kind"),
]
Adapter = Annotated[
    NoTokensConfig | LinearConfig | MlpConfig | TwoStreamConfig | QFormerConfig | FftConfig,
    Field(discriminator="kind"),
]
