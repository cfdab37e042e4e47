"""Presets and recipes as validated data. An unknown key is an error that names it and its place.

A preset is a YAML file with a `model` section (what fills each slot) and `stages` (how it is trained).
Nothing here imports torch: reading, checking and printing a preset is instant.
"""

from __future__ import annotations

import difflib
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator


class ConfigError(ValueError):
    """A preset, recipe or override that cannot be; the message lists every fault with its place."""


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Lora(Section):
    """LoRA (Hu et al. 2021): W + alpha / r * B A on the named projections."""

    r: int = Field(8, ge=1)
    alpha: float = 32
    dropout: float = Field(0.1, ge=0, lt=1)
    targets: list[str] = ["q_proj", "v_proj"]


class Tower(Section):
    """A pre-trained part: where its weights come from and what training does with them."""

    source: str | None = None  # hub name or folder; None: random weights, all of them saved in the checkpoint
    tune: Literal["freeze", "lora", "full"] = "full"
    lora: Lora = Lora()

    @model_validator(mode="after")
    def _frozen_needs_source(self) -> Tower:
        if self.tune == "lora" and not self.lora.targets:
            raise ValueError("lora needs at least one target")
        return self


class ConvConfig(Tower):
    kind: Literal["conv"]
    tags: list[str] = []
    widths: list[int] = [48, 96, 192]
    depths: list[int] = [1, 2, 3]
    dim: int = 256
    dropout: float = 0.1


class CedConfig(Tower):
    kind: Literal["ced"]
    size: Literal["tiny", "mini", "small", "base"] | None = None
    dim: int | None = None
    depth: int | None = None
    heads: int | None = None
    fidelity: Literal["paper", "released"] = "paper"


class LinearConfig(Section):
    kind: Literal["linear"]


class TwoStreamConfig(Section):
    kind: Literal["two_stream"]
    semantic_queries: int = 8
    temporal_queries: int = 8
    global_queries: int = 32
    kernels: list[int] = [3, 5, 7]
    gru_layers: int = 2
    heads: int = 8


Encoder = Annotated[ConvConfig | CedConfig, Field(discriminator="kind")]
Adapter = Annotated[LinearConfig | TwoStreamConfig, Field(discriminator="kind")]


class LanguageModelConfig(Tower):
    kind: Literal["causal", "seq2seq"] = "causal"
    config: dict[str, Any] | None = None  # transformers config for random weights

    @model_validator(mode="after")
    def _one_origin(self) -> LanguageModelConfig:
        if (self.source is None) == (self.config is None):
            raise ValueError("a language model needs either source (weights) or config (random weights), not both")
        return self


class GuideConfig(Section):
    distance: Literal["squared_l2", "l1", "cosine"] = "squared_l2"
    beta: float = 0.1


class ModelConfig(Section):
    encoder: Encoder
    adapter: Annotated[list[Adapter], Field(min_length=1)]  # applied one after the other
    language_model: LanguageModelConfig
    prompt: str = "<audio>"
    guide: GuideConfig | None = None
    max_seconds: float = 10.0  # what one caption covers; longer sound is captioned in windows


class Losses(Section):
    """Weights of the named losses; 0 leaves a loss out."""

    caption: float = Field(1.0, ge=0)
    guided_caption: float = Field(0.0, ge=0)
    cs_global: float = Field(0.0, ge=0)
    cs_token: float = Field(0.0, ge=0)
    info_nce: float = Field(0.0, ge=0)
    tagging: float = Field(0.0, ge=0)
    temperature: float = Field(0.07, gt=0)
    sigma: float | Literal["median"] = "median"
    label_smoothing: float = Field(0.0, ge=0, lt=1)


class SceneData(Section):
    kind: Literal["scenes"]
    bank: str
    captions: list[str]
    validation_captions: list[str] = []
    count: int = Field(ge=1)
    seconds: float = Field(10.0, gt=0)
    lengths: tuple[float, float] | None = None  # s; each batch draws its own between these, instead of `seconds`
    human: float = Field(0.7, ge=0, le=1)
    augment: float = Field(1.0, ge=0, le=1)
    validation_count: int = 512


class TextData(Section):
    kind: Literal["text"]
    captions: list[str]
    validation_captions: list[str] = []
    epochs: float = 1.0


class ManifestData(Section):
    kind: Literal["manifest"]
    train: str
    validation: str | None = None
    epochs: float = 1.0


Data = Annotated[SceneData | TextData | ManifestData, Field(discriminator="kind")]


class Stage(Section):
    """One run of the trainer. task: what is trained (the encoder's tags, the language model on text, all)."""

    name: str
    task: Literal["tagging", "language", "captioning"]
    data: Data
    losses: Losses = Losses()
    freeze: list[Literal["encoder", "adapter", "language_model"]] = []
    batch_size: int = Field(32, ge=1)
    accumulate: int = Field(1, ge=1)
    learning_rate: float = Field(5e-5, gt=0)
    encoder_learning_rate: float | None = None
    weight_decay: float = 1e-6
    warmup: float = Field(0.05, ge=0, lt=1)
    clip: float = 1.0
    average: float = Field(0.0, ge=0, lt=1)  # decay of an exponential moving average of the weights; 0: none
    evaluate_every: int = 1000
    workers: int = 1
    seed: int = 0


class Preset(Section):
    description: str
    sources: list[str] = []  # what the model card must say of the data: who made it, under which terms
    model: ModelConfig
    stages: list[Stage] = []


def list_presets() -> list[str]:
    """Names of the presets that come with the package."""
    folder = resources.files("earwitness.presets")
    return sorted(p.name.removesuffix(".yaml") for p in folder.iterdir() if p.name.endswith(".yaml"))


def preset_text(name_or_path: str) -> str:
    """The YAML of a preset by name, or of a recipe file, comments included."""
    if name_or_path in list_presets():
        return resources.files("earwitness.presets").joinpath(f"{name_or_path}.yaml").read_text("utf-8")
    path = Path(name_or_path)
    if path.is_file():
        return path.read_text("utf-8")
    near = difflib.get_close_matches(name_or_path, list_presets(), n=1)
    hint = f"; did you mean {near[0]!r}?" if near else f"; presets: {', '.join(list_presets())}"
    raise ConfigError(f"no preset and no file named {name_or_path!r}{hint}")


def load_preset(name_or_path: str, overrides: list[str] | None = None) -> Preset:
    """A validated preset. overrides: `key.path=value`, list items by number (`stages.0.batch_size=16`).

    Raises ConfigError that lists each unknown key, missing key and wrong value with its place.
    """
    try:
        data = yaml.safe_load(preset_text(name_or_path))
    except yaml.YAMLError as error:
        raise ConfigError(f"{name_or_path} is not valid YAML: {error}") from None
    if not isinstance(data, dict):
        raise ConfigError(f"{name_or_path} must be a mapping with the keys description, model, stages")
    for override in overrides or []:
        _apply(data, override)
    return validated(Preset, data, name_or_path)


def validated(schema: type[Any], data: Any, where: str) -> Any:
    """schema.model_validate with one line per fault: place, what is wrong, the nearest right key."""
    try:
        return schema.model_validate(data)
    except ValidationError as error:
        raise ConfigError(f"{where}:\n" + "\n".join(_fault(e) for e in error.errors())) from None


def _fault(error: Any) -> str:
    place = ".".join(str(p) for p in error["loc"])
    if error["type"] == "extra_forbidden":
        return f"  {place}: unknown key"
    return f"  {place}: {error['msg']}" + (f" (got {error['input']!r})" if error["type"] != "missing" else "")


def _apply(data: dict[str, Any], override: str) -> None:
    path, equals, value = override.partition("=")
    if not equals:
        raise ConfigError(f"override {override!r} is not of the form key.path=value")
    *parents, last = path.split(".")
    node: Any = data
    try:
        for key in parents:
            node = node[int(key)] if isinstance(node, list) else node.setdefault(key, {})
        if isinstance(node, list):
            node[int(last)] = yaml.safe_load(value)
        else:
            node[last] = yaml.safe_load(value)
    except (ValueError, IndexError, TypeError, AttributeError):
        raise ConfigError(f"override {override!r}: there is no such place") from None
