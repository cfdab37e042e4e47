"""The towers that a recipe borrows, looked for before anything is built."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from earwitness.build import towers
from earwitness.config.model import ModelConfig
from earwitness.encoders.checkpoints import find_weights
from earwitness.weights import sources

HUB_ENCODERS = ("ced", "dasheng")


def check_towers(model: ModelConfig) -> None:
    """Opens the configuration of each tower that has a `source`. Raises SourceError where that fails.

    Of an encoder in a folder or file, its weights are looked for, as its configuration is optional.
    """
    for slot, section in towers(model).items():
        source = section.source
        if source is None or source.startswith("package:") or Path(source).suffix == ".gguf":
            continue
        with sources.explained(slot, source):
            if slot != "encoder":
                _open_config(source)
            elif getattr(section, "kind", None) in HUB_ENCODERS:
                _find_encoder(source)


def _open_config(source: str) -> Any:
    from transformers import AutoConfig

    if Path(source).is_dir() and not (Path(source) / "config.json").is_file():
        return None  # another layout, which its loader knows
    return AutoConfig.from_pretrained(source)


def _find_encoder(source: str) -> None:
    if Path(source).exists() or source.count("/") != 1 or source.startswith((".", "/")):
        find_weights(source)
        return
    from huggingface_hub import hf_hub_download

    hf_hub_download(source, "config.json")
