"""The sections of a preset for the model's towers: encoders, vision, language models. One class a kind.

A part's `fidelity` is that of the whole model unless it says otherwise. Numbers default to the papers'.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from earwitness.config.section import Count, Fidelity, Natural, Section


class Lora(Section):
    """LoRA (Hu et al. 2021): W + alpha / r * B A on the named projections."""

    r: int = Field(8, ge=1)
    alpha: Count = 32
    dropout: float = Field(0.1, ge=0, lt=1)
    targets: list[str] = Field(["q_proj", "v_proj"])


class Tower(Section):
    """A pre-trained part: where its weights come from and what training does with them."""

    source: str | None = None  # hub name or folder; None: random weights, all of them saved in the checkpoint
    tune: Literal["freeze", "lora", "full"] = "full"
    lora: Lora = Lora()

    @model_validator(mode="after")
    def _lora_needs_targets(self) -> Tower:
        if self.tune == "lora" and not self.lora.targets:
            raise ValueError("lora needs at least one target")
        return self


class ConvConfig(Tower):
    kind: Literal["conv"]
    tags: list[str] = Field([])
    widths: Annotated[list[Count], Field(min_length=4, max_length=4)] = Field([32, 64, 128, 256])
    depths: Annotated[list[Natural], Field(min_length=4, max_length=4)] = Field([0, 1, 1, 1])
    dim: Count = 256
    dropout: float = Field(0.1, ge=0, lt=1)

    @model_validator(mode="after")
    def _own_weights(self) -> ConvConfig:
        if self.source is not None:
            raise ValueError(
                "source: no weights of the conv encoder are published; it is part of a checkpoint"
            )
        if self.tune == "lora":
            raise ValueError("tune: lora needs linear projections, which a convolutional encoder has not")
        return self


class MobileNetConfig(Tower):
    """EfficientAT's taggers. source: the authors' `.pt` file, or a folder with it, which brings its sizes."""

    kind: Literal["mobilenet"]
    width: float | None = Field(None, gt=0)  # None: 0.4, or the weights'
    expansion: float | None = Field(None, gt=0)  # None: 1, or the weights'
    dropout: float | None = Field(None, ge=0, lt=1)  # None: 0.2
    sample_rate: Literal[16_000, 32_000] = 16_000
    tags: list[str] = Field([])  # none: AudioSet's 527
    level: bool = False  # set every clip to the same peak; as published: not

    @model_validator(mode="after")
    def _one_origin(self) -> MobileNetConfig:
        given = [n for n in ("width", "expansion", "dropout") if getattr(self, n) is not None]
        if self.source is not None and given:
            raise ValueError(f"source has its own sizes; remove {', '.join(given)}")
        if self.tune == "lora":
            raise ValueError("tune: lora needs linear projections, which a convolutional encoder has not")
        return self


class TransformerSizes(Tower):
    """What CED and Dasheng share. Sizes come from `size`, or number by number, or else from the weights."""

    dim: int | None = Field(None, ge=1)
    depth: int | None = Field(None, ge=1)
    heads: int | None = Field(None, ge=1)
    dropout: float = Field(0.0, ge=0, lt=1)
    front_end: Literal["log_mel", "batch_log_mel", "fbank", "padded_fbank"] = "log_mel"

    @model_validator(mode="after")
    def _sizes_are_known(self) -> TransformerSizes:
        numbers = [n for n in ("dim", "depth", "heads") if getattr(self, n) is not None]
        size = getattr(self, "size", None)
        if size is not None and numbers:
            raise ValueError(f"size determines them; remove {', '.join(numbers)}")
        if self.source is None and size is None and len(numbers) < 3:
            raise ValueError(
                "needs source (weights), or size, or all of dim, depth and heads (random weights)"
            )
        if self.source is not None and (self.dim or self.depth or self.dropout):
            raise ValueError("dim, depth and dropout are for random weights; source brings its own sizes")
        if self.dim and self.heads and self.dim % self.heads:
            raise ValueError(f"dim {self.dim} is not a multiple of heads {self.heads}")
        return self


class CedConfig(TransformerSizes):
    kind: Literal["ced"]
    size: Literal["tiny", "mini", "small", "base"] | None = None
    token_order: Literal["frequency", "time", "band_average"] | None = None  # None: time; released: frequency
    chunk_frames: int | None = Field(None, ge=16)  # None: 1012, or what the weights were made for
    fidelity: Fidelity | None = None


class DashengConfig(TransformerSizes):
    kind: Literal["dasheng"]
    size: Literal["base", "0.6B", "1.2B"] | None = None
    chunk_frames: int | None = Field(None, ge=4)

    @model_validator(mode="after")
    def _length_of_weights(self) -> DashengConfig:
        if self.source is not None and self.chunk_frames is not None:
            raise ValueError("chunk_frames is for random weights; source brings its own")
        return self


class ClipConfig(Tower):
    """CLIP's image tower on sampled frames; frames encoded before pass through unchanged."""

    kind: Literal["clip"]
    tune: Literal["freeze", "lora", "full"] = "freeze"
    projected: bool = (
        True  # the features CLIP compares with text (ViT-L/14: 768), else the pooled ones (1024)
    )
    config: dict[str, Any] | None = None  # of transformers' CLIPVisionModel, for random weights
    frames_per_second: float = Field(2.0, gt=0)  # LAVCap: 20 a 10 s clip

    @model_validator(mode="after")
    def _one_origin(self) -> ClipConfig:
        if (self.source is None) == (self.config is None):
            raise ValueError(
                "a vision tower needs either source (weights) or config (random weights), not both"
            )
        return self


class CachedFramesConfig(Section):
    """Frame features computed before; no tower is loaded."""

    kind: Literal["cached"]
    dim: int = Field(768, ge=1)
    frames_per_second: float = Field(2.0, gt=0)


class LanguageModelConfig(Tower):
    kind: Literal["causal", "seq2seq"] = "causal"
    config: dict[str, Any] | None = None  # transformers config for random weights
    quantize: Literal["4bit", "8bit"] | None = None  # how the frozen weights are held (needs bitsandbytes)
    # of pretrained weights; None: float32 on a CPU (bfloat16 is ten times slower there), bfloat16 on a GPU
    dtype: Literal["float32", "bfloat16", "float16"] | None = None

    @model_validator(mode="after")
    def _one_origin(self) -> LanguageModelConfig:
        if (self.source is None) == (self.config is None):
            raise ValueError(
                "a language model needs either source (weights) or config (random weights), not both"
            )
        if self.quantize and self.source is None:
            raise ValueError("quantize needs source: random weights are not worth quantizing")
        if self.quantize and self.tune == "full":
            raise ValueError(
                "quantize does not go with tune: full; quantized weights cannot be trained (use lora)"
            )
        if self.dtype and (self.quantize or self.source is None or self.tune == "full"):
            raise ValueError(
                "dtype is of weights that stay as their source has them: it needs source and tune: freeze or "
                "lora, and no quantize"
            )
        known = (self.config or {}).get("model_type")
        if known in ENCODER_DECODERS and self.kind == "causal":
            raise ValueError(f"kind: causal does not go with config.model_type {known}; use kind: seq2seq")
        return self


ENCODER_DECODERS = ("bart", "mbart", "t5", "mt5", "pegasus", "marian")


Encoder = Annotated[ConvConfig | MobileNetConfig | CedConfig | DashengConfig, Field(discriminator="kind")]
Vision = Annotated[ClipConfig | CachedFramesConfig, Field(discriminator="kind")]
