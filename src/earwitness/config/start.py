"""Where training starts from: weights, the parts they are loaded into, the sections they bring along."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field

from earwitness.built_in import BUILT_IN, local_folder
from earwitness.config.errors import ConfigError, validated
from earwitness.config.section import Section

CONFIG, RECIPE, RUN_MODEL = "config.json", "recipe.yaml", "model"

Part = Literal["encoder", "vision", "fusion", "adapter", "language_model", "guide", "space"]


class Start(Section):
    """Weights to start from. source: a built-in model's name, a run, a stage's folder, a checkpoint folder or
    a hub name. parts: those to load; None: all of the model.
    """

    source: str
    parts: Annotated[list[Part], Field(min_length=1)] | None = None

    def covers(self, part: str) -> bool:
        return self.parts is None or part in self.parts


def starts_of(init: Any) -> list[Start]:
    """Return `init` of a preset, in any of its forms, as a list."""
    found = [] if init is None else init if isinstance(init, list) else [init]
    return [Start(source=s) if isinstance(s, str) else validated(Start, s, "init") for s in found]


def model_section(source: str, place: str = "init") -> dict[str, Any]:
    """Return the `model` section of a built-in model, run, stage, checkpoint folder or hub name.

    A checkpoint has it in config.json, a run in its finished model or else its recipe. place: the key of the
    preset, for messages. Raises ConfigError.
    """
    folder = local_folder(source)
    if folder is None:
        return _read(_fetched(source, place), place)
    of_runs = [f / name for f in (folder, folder.parent) for name in (f"{RUN_MODEL}/{CONFIG}", RECIPE)]
    for file in (folder / CONFIG, *of_runs):
        if file.is_file():
            found = _read(file, place)
            return found if file.name == CONFIG else found["model"]
    raise ConfigError(f"{place}: {source} is no checkpoint and no run: it has neither {CONFIG} nor {RECIPE}")


def is_checkpoint(source: str) -> bool:
    """Whether a source is a local captioner of this package, not a folder of a published tower."""
    folder = local_folder(source)
    if folder is None or not (folder / CONFIG).is_file():
        return False
    return {"encoder", "adapter", "language_model"} <= _read(folder / CONFIG, "source").keys()


def with_model(data: dict[str, Any]) -> dict[str, Any]:
    """Complete a preset without a `model` section by that of the weights it starts from."""
    if "model" in data or not data.get("init"):
        return data
    whole = next((start for start in starts_of(data["init"]) if start.parts is None), None)
    if whole is None:
        raise ConfigError("model: missing; only an init without `parts` brings a whole model along")
    return data | {"model": model_section(whole.source)}


def with_encoder(data: dict[str, Any]) -> dict[str, Any]:
    """Replace `model.encoder: {kind: checkpoint, source: CAPTIONER}` by its section, and add it to `init`.

    `kind` may be omitted or be the encoder's own. The weights become part of the trained model and are saved
    with it.
    """
    model = data.get("model")
    section = model.get("encoder") if isinstance(model, dict) else None
    if not isinstance(model, dict) or not isinstance(section, dict):
        return data
    source, named = section.get("source"), section.get("kind") in (None, "checkpoint")
    if not isinstance(source, str) or not (named or is_checkpoint(source)):
        return data
    own = model_section(source, "model.encoder.source").get("encoder")
    if not isinstance(own, dict):
        raise ConfigError(f"model.encoder.source: {source} is no captioner; name the encoder's kind")
    given = {key: v for key, v in section.items() if key != "source" and v != "checkpoint"}
    if given.get("kind", own["kind"]) != own["kind"]:
        raise ConfigError(f"model.encoder.kind: {given['kind']} is not the {own['kind']} of {source}")
    before = [start.model_dump() for start in starts_of(data.get("init"))]
    started = [{"source": source, "parts": ["encoder"]}, *before]  # of a run named in init, its own stays
    return data | {"model": model | {"encoder": own | given}, "init": started}


def _fetched(source: str, place: str) -> Path:
    if source.count("/") != 1 or source.startswith((".", "/")):
        known = ", ".join(BUILT_IN)
        raise ConfigError(
            f"{place}: there is no folder {source}, and no built-in model of that name ({known})"
        )
    from huggingface_hub import hf_hub_download

    try:
        return Path(hf_hub_download(source, CONFIG))
    except Exception as error:  # the hub's client raises errors of many libraries
        raise ConfigError(f"{place}: {source} is no folder, and the hub does not give it: {error}") from None


def _read(file: Path, place: str) -> dict[str, Any]:
    try:
        text = file.read_text(encoding="utf-8")
        found = json.loads(text) if file.suffix == ".json" else yaml.safe_load(text)
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise ConfigError(f"{place}: {file} cannot be read: {error}") from None
    if not isinstance(found, dict):
        raise ConfigError(f"{place}: {file} is no mapping")
    return found
