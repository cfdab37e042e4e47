"""Presets and recipes as validated data. An unknown key is an error that names it and its place.

A preset is a YAML file with a `model` section (what fills each slot) and `stages` (how it is trained).
Nothing here imports torch: reading, checking and printing a preset is instant.
"""

from __future__ import annotations

import copy
import difflib
from collections.abc import Iterable, Iterator
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field, ValidationError, model_validator

from earwitness.config_bridges import Adapter, Fusion
from earwitness.config_checks import model_faults, stage_faults
from earwitness.config_data import Data, ManifestData, SceneData, TextData
from earwitness.config_decoding import (
    CorrectionConfig,
    GuideConfig,
    JointSpaceConfig,
    RerankConfig,
    RetrievalConfig,
)
from earwitness.config_parts import (
    Encoder,
    Fidelity,
    LanguageModelConfig,
    Section,
    Tower,
    Vision,
)

__all__ = [
    "ConfigError",
    "GuideConfig",
    "LanguageModelConfig",
    "ManifestData",
    "ModelConfig",
    "Preset",
    "RewardConfig",
    "SceneData",
    "Stage",
    "TextData",
    "Tower",
]


class ConfigError(ValueError):
    """A preset, recipe or override that cannot be; the message lists every fault with its place."""


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


class Losses(Section):
    """Weights of the named losses; 0 leaves a loss out."""

    caption: float = Field(1.0, ge=0)
    guided_caption: float = Field(0.0, ge=0)
    cs_global: float = Field(0.0, ge=0)
    cs_token: float = Field(0.0, ge=0)
    info_nce: float = Field(0.0, ge=0)
    ot_alignment: float = Field(0.0, ge=0)
    retrieval_caption: float = Field(0.0, ge=0)
    distillation: float = Field(0.0, ge=0)
    tagging: float = Field(0.0, ge=0)
    self_critical: float = Field(0.0, ge=0)
    sentence: float = Field(0.0, ge=0)
    temperature: float = Field(0.07, gt=0)
    sigma: Annotated[float, Field(gt=0)] | Literal["median"] = "median"
    label_smoothing: float = Field(0.0, ge=0, lt=1)


class RewardConfig(Section):
    """What captions that the model draws are worth in losses.self_critical (see training/reward.py)."""

    sentence_encoder: str  # hub name or folder of a sentence-transformers model with mean pooling
    samples: int = Field(5, ge=2)  # captions drawn for each clip
    temperature: float = Field(0.07, gt=0)


class Stage(Section):
    """One run of the trainer. task: what is trained (the encoder's tags, the language model on text, all that
    makes captions, the space in which they are chosen).
    """

    name: str
    task: Literal["tagging", "language", "captioning", "alignment"]
    data: Data
    losses: Losses = Losses()
    reward: RewardConfig | None = None
    teacher: str | None = None  # hub name or folder of a sentence-transformers model, for losses.sentence
    freeze: list[Literal["encoder", "adapter", "language_model"]] = Field([])
    batch_size: int = Field(32, ge=1)
    accumulate: int = Field(1, ge=1)
    learning_rate: float = Field(5e-5, gt=0)
    encoder_learning_rate: float | None = None
    weight_decay: float = 1e-6
    warmup: float = Field(0.05, ge=0, lt=1)
    clip: float = 1.0
    average: float = Field(0.0, ge=0, lt=1)  # decay of an exponential moving average of the weights; 0: none
    confusion: float = Field(0.0, ge=0)  # how far the encoder's tokens are moved between clips; 0: not
    blend: float = Field(1.0, gt=0, le=1)  # share of its end in a stage's weights; the rest is its beginning
    evaluate_every: int = Field(1000, ge=1)  # steps; a checkpoint is written then too
    workers: int = Field(1, ge=0)
    seed: int = 0
    bf16: bool | None = None  # mixed precision, borrowed towers held in it; None: on a GPU
    gradient_checkpointing: bool = False  # of the language model, where it is trained
    trainer: dict[str, Any] = Field({})  # more of TrainingArguments: fsdp, deepspeed, logging_steps ...


class Preset(Section):
    description: str
    init: str | None = None  # run, stage or checkpoint whose weights training starts from
    only: list[str] = Field([])  # names of the stages to run; none: all
    report_to: list[str] = Field(["tensorboard"])  # and any other reporter of transformers' Trainer
    sources: list[str] = Field([])  # what the model card must say of the data: who made it, under which terms
    model: ModelConfig
    stages: list[Stage] = Field([])

    @model_validator(mode="after")
    def _stages_fit_the_model(self) -> Preset:
        if unknown := set(self.only) - {stage.name for stage in self.stages}:
            raise ValueError(f"only: there is no stage {', '.join(sorted(unknown))}")
        if faults := [fault for stage in self.stages for fault in stage_faults(self.model, stage)]:
            raise ValueError("; ".join(faults))
        return self


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
    hint = did_you_mean(name_or_path, list_presets()) or f"; presets: {', '.join(list_presets())}"
    raise ConfigError(f"no preset and no file named {name_or_path!r}{hint}")


def load_preset(name_or_path: str, overrides: list[str] | None = None) -> Preset:
    """A validated preset. overrides: `key.path=value`; list items by number (`stages.0.batch_size=16`), or
    all of them (`stages.*.losses.info_nce=0`). Values are YAML (`model.fusion={kind: concat}`).

    Raises ConfigError that lists each unknown key, missing key and wrong value with its place.
    """
    data = _read(name_or_path)
    for override in overrides or []:
        _apply(data, override)
    return validated(Preset, data, name_or_path)


def _read(name_or_path: str, above: tuple[str, ...] = ()) -> dict[str, Any]:
    """The mapping of a preset file, laid over the one it names as its `base`."""
    try:
        data = yaml.safe_load(preset_text(name_or_path))
    except yaml.YAMLError as error:
        raise ConfigError(f"{name_or_path} is not valid YAML: {error}") from None
    if not isinstance(data, dict):
        raise ConfigError(f"{name_or_path} must be a mapping with the keys description, model, stages")
    base = data.pop("base", None)
    if base is None:
        return data
    if base in (*above, name_or_path):
        raise ConfigError(f"{name_or_path}: base: {base} leads back to itself")
    return _laid_over(_read(str(base), (*above, name_or_path)), data)


def _laid_over(base: Any, top: Any) -> Any:
    """Mappings are merged key by key, unless they are of another `kind`; lists of one length item by item.

    Anything else is replaced. Lists merge only where every item of `top` is a mapping.
    """
    if isinstance(base, dict) and isinstance(top, dict):
        if top.get("kind", base.get("kind")) != base.get("kind"):
            return top
        return base | {key: _laid_over(base.get(key), value) for key, value in top.items()}
    mappings = isinstance(base, list) and isinstance(top, list) and all(isinstance(t, dict) for t in top)
    if mappings and len(base) == len(top):
        return [_laid_over(b, t) for b, t in zip(base, top)]
    return top


def validated(schema: type[Any], data: Any, where: str) -> Any:
    """schema.model_validate with one line per fault: place, what is wrong, the nearest right key."""
    try:
        return schema.model_validate(data)
    except ValidationError as error:
        raise ConfigError(f"{where}:\n" + "\n".join(_fault(e) for e in error.errors())) from None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The nearest known word as the end of a message, or nothing."""
    near = difflib.get_close_matches(word, known, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def _keys(section: type[Section]) -> Iterator[str]:
    """Of a section and of all that are made from it."""
    yield from section.model_fields
    for one in section.__subclasses__():
        yield from _keys(one)


def _fault(error: Any) -> str:
    place = ".".join(str(p) for p in error["loc"])
    if error["type"] == "extra_forbidden":
        return f"  {place}: unknown key" + did_you_mean(str(error["loc"][-1]), set(_keys(Section)))
    scalar = error["type"] != "missing" and not isinstance(error["input"], (dict, list))
    message = error["msg"].removeprefix("Value error, ")
    return f"  {place}: {message}" + (f" (got {error['input']!r})" if scalar else "")


def _apply(data: dict[str, Any], override: str) -> None:
    path, equals, value = override.partition("=")
    if not equals:
        raise ConfigError(f"override {override!r} is not of the form key.path=value")
    try:
        parsed = yaml.safe_load(value)
        _set(data, path.split("."), parsed)
    except yaml.YAMLError:
        raise ConfigError(f"override {override!r}: {value!r} is not valid YAML") from None
    except (ValueError, IndexError, TypeError, AttributeError):
        raise ConfigError(f"override {override!r}: there is no such place") from None


def _set(node: Any, path: list[str], value: Any) -> None:
    key, *rest = path
    if isinstance(node, list):
        places: list[Any] = list(range(len(node))) if key == "*" else [int(key)]
    else:
        places = [key]
    for place in places:
        if not rest:
            node[place] = copy.deepcopy(value)
            continue
        if isinstance(node, dict) and node.get(place) is None:
            node[place] = {}
        _set(node[place], rest, value)
