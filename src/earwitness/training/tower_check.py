"""The towers that a recipe borrows, looked for before anything is built."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoTokenizer

from earwitness.build import LANGUAGE_MODELS, towers
from earwitness.config.errors import ConfigError
from earwitness.config.model import ModelConfig
from earwitness.config.towers import LanguageModelConfig
from earwitness.encoders.checkpoints import find_weights
from earwitness.weights import sources, tuning
from earwitness.weights.gguf import dequantised

HUB_ENCODERS = ("ced", "dasheng")


def check_towers(model: ModelConfig) -> None:
    """Opens the configuration of each tower that has a `source`; of a language model its tokenizer, too.

    Of an encoder in a folder or file, its weights are looked for, as its configuration is optional. Raises
    ConfigError (SourceError) for what cannot be opened, for a package that is not installed, and for LoRA's
    targets that a language model has no projections for.
    """
    for slot, section in towers(model).items():
        source = section.source
        if source is None:
            continue
        if isinstance(section, LanguageModelConfig):
            _check_language_model(section)
            continue
        with sources.explained(slot, source):
            if slot != "encoder":
                _open_config(source)
            elif getattr(section, "kind", None) in HUB_ENCODERS:
                _find_encoder(source)


def tower_lines(model: ModelConfig) -> Iterator[str]:
    """Of each part with a source: where it is from, and how large a language model is."""
    for slot, section in towers(model).items():
        if section.source is not None:
            size = ""
            if isinstance(section, LanguageModelConfig):
                count = sum(parameter.numel() for parameter in _laid_out(section).parameters())
                size = f", {count / 1e6:.0f} million parameters"
            yield f"{slot}: {section.source}, tune: {section.tune}{size}"


def _check_language_model(section: LanguageModelConfig) -> None:
    if section.quantize and find_spec("bitsandbytes") is None:
        raise ConfigError(
            "language_model.quantize: pip install 'earwitness[quantize]' (bitsandbytes), or leave it out"
        )
    laid_out = _laid_out(section)
    if section.tune == "lora":
        tuning.check_targets(laid_out, section.lora.targets)


def _laid_out(section: LanguageModelConfig) -> Any:
    """The language model on the meta device: modules and shapes without weights. Its tokenizer is read."""
    source = dequantised(str(section.source))
    with sources.explained("language_model", source):
        config = AutoConfig.from_pretrained(source)
        if AutoTokenizer.from_pretrained(source).eos_token_id is None:
            raise ConfigError(f"language_model.source: {source}: its tokenizer has no end-of-sequence token")
        with torch.device("meta"):
            return LANGUAGE_MODELS[section.kind].auto_class.from_config(config)


def _open_config(source: str) -> Any:
    if Path(source).is_dir() and not (Path(source) / "config.json").is_file():
        return None  # another layout, which its loader knows
    return AutoConfig.from_pretrained(source)


def _find_encoder(source: str) -> None:
    if Path(source).exists() or source.count("/") != 1 or source.startswith((".", "/")):
        find_weights(source)
        return
    from huggingface_hub import hf_hub_download

    hf_hub_download(source, "config.json")
