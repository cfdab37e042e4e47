"""Presets and recipes as validated data. An unknown key is an error that names it and its place.

A preset is a YAML file with a `model` section (what fills each slot) and `stages` (how it is trained).
Nothing here imports torch: reading, checking and printing a preset is instant.
"""

from __future__ import annotations

import copy
from importlib import resources
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field, model_validator

from earwitness.config.checks import stage_faults
from earwitness.config.errors import ConfigError, did_you_mean, validated
from earwitness.config.model import ModelConfig
from earwitness.config.section import Section
from earwitness.config.stages import Stage
from earwitness.config.start import Start, starts_of, with_encoder, with_model


class Preset(Section):
    description: str
    init: str | Start | list[Start] | None = None  # weights that training starts from, of some parts or all
    only: list[str] = Field([])  # names of the stages to run; none: all
    report_to: list[str] = Field(["tensorboard"])  # and any other reporter of transformers' Trainer
    sources: list[str] = Field([])  # for the model card: authors and licences of the data
    model: ModelConfig
    stages: list[Stage] = Field([])

    @model_validator(mode="after")
    def _stages_fit_the_model(self) -> Preset:
        if unknown := set(self.only) - {stage.name for stage in self.stages}:
            raise ValueError(f"only: there is no stage {', '.join(sorted(unknown))}")
        if faults := [fault for stage in self.stages for fault in stage_faults(self.model, stage)]:
            raise ValueError("; ".join(faults))
        return self

    @property
    def starts(self) -> list[Start]:
        """What `init` names, in order: a later one's parts replace an earlier one's."""
        return starts_of(self.init)


def list_presets() -> list[str]:
    """Return the names of the presets that come with the package."""
    folder = resources.files("earwitness.presets")
    return sorted(p.name.removesuffix(".yaml") for p in folder.iterdir() if p.name.endswith(".yaml"))


def preset_text(name_or_path: str) -> str:
    """Return the YAML of a preset by name, or of a recipe file, comments included."""
    if name_or_path in list_presets():
        return resources.files("earwitness.presets").joinpath(f"{name_or_path}.yaml").read_text("utf-8")
    path = Path(name_or_path)
    if path.is_file():
        return path.read_text("utf-8")
    hint = did_you_mean(name_or_path, list_presets()) or f"; presets: {', '.join(list_presets())}"
    raise ConfigError(f"no preset and no file named {name_or_path!r}{hint}")


def load_preset(name_or_path: str, overrides: list[str] | None = None) -> Preset:
    """Return a validated preset. overrides: `key.path=value`; list items by number (`stages.0.batch_size=16`)
    or all of them (`stages.*.losses.info_nce=0`). Values are YAML (`model.fusion={kind: concat}`). A preset
    without a `model` section takes that of its `init`; `model.encoder.source` may name another captioner.

    Raises ConfigError that lists each unknown key, missing key and wrong value with its place.
    """
    data = _read(name_or_path)
    names_weights = "init="
    for override in overrides or []:
        if override.startswith(names_weights):
            _apply(data, override)
    data = with_model(data)
    for override in overrides or []:
        if not override.startswith(names_weights):
            _apply(data, override)
    return validated(Preset, with_encoder(data), name_or_path)


def _read(name_or_path: str, above: tuple[str, ...] = ()) -> dict[str, Any]:
    """Read the mapping of a preset file, merged over the one it names as its `base`."""
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
    """Merge mappings key by key, unless their `kind` differs, and lists of equal length item by item.

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


def override_value(text: str) -> Any:
    """The value of an override: YAML, but text with a colon, such as a prompt, is text and no mapping.

    Raises yaml.YAMLError.
    """
    plain = ":" in text and not text.lstrip().startswith(("{", "[", '"', "'"))
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        if not plain:
            raise
        return text
    return text if plain and isinstance(value, dict) else value


def _apply(data: dict[str, Any], override: str) -> None:
    path, equals, value = override.partition("=")
    if not equals:
        raise ConfigError(f"override {override!r} is not of the form key.path=value")
    try:
        _set(data, path.split("."), override_value(value))
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
