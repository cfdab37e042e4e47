"""Checkpoint folders: config.json, model.safetensors, tokenizer, README.md (the model card).

Only trained tensors are saved; a frozen tower is named in the config and loaded from its own source. A
tensor that is missing, unexpected or of another shape is an error that names it: weights are never
half loaded.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import AutoTokenizer

from earwitness.build import build_model, towers
from earwitness.built_in import local_folder
from earwitness.config.checks import part_fidelity
from earwitness.config.errors import ConfigError, validated
from earwitness.config.model import ModelConfig
from earwitness.config.start import CONFIG
from earwitness.model import AudioCaptioningModel
from earwitness.weights import tuning
from earwitness.weights.copying import copy_weights
from earwitness.weights.errors import CheckpointError

WEIGHTS, CARD = "model.safetensors", "README.md"


def trained_tensors(model: AudioCaptioningModel) -> dict[str, Tensor]:
    """Return every tensor that a checkpoint must hold by name; tied weights once, under their first name."""
    config = model.config
    sections = {f"{slot}.": section for slot, section in towers(config).items()}
    seen: set[int] = set()
    kept: dict[str, Tensor] = {}
    for name, tensor in model.state_dict(keep_vars=True).items():
        section = next((t for prefix, t in sections.items() if name.startswith(prefix)), None)
        released = section is not None and part_fidelity(config, section) == "released"
        if section is not None and tuning.is_borrowed(section, name, released):
            continue
        if id(tensor) in seen:
            continue
        seen.add(id(tensor))
        kept[name] = tensor.detach()
    return kept


def save_checkpoint(
    model: AudioCaptioningModel, folder: str | Path, *, half: bool = False, card: str | None = None
) -> None:
    """Write the folder. half: floating-point tensors as float16, for distribution.

    card: the model card; default: the one the model was loaded with.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {
        name: (t.half() if half and t.is_floating_point() else t).detach().cpu().contiguous()
        for name, t in trained_tensors(model).items()
    }
    save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})
    (folder / CONFIG).write_text(json.dumps(model.config.model_dump(), indent=1) + "\n", encoding="utf-8")
    (folder / WEIGHTS).chmod((folder / CONFIG).stat().st_mode)  # safetensors lets only the owner read it
    model.language_model.tokenizer.save_pretrained(folder)
    card = card or model.card
    if card is not None:
        (folder / CARD).write_text(card, encoding="utf-8")


def resolve(name_or_folder: str | Path) -> Path:
    """Return the folder of a built-in model's name, a path, or a hub name, fetched into the hub's cache."""
    if (found := local_folder(name_or_folder)) is not None:
        return found
    folder = Path(name_or_folder)
    if folder.exists() or str(name_or_folder).startswith((".", "/")) or str(name_or_folder).count("/") != 1:
        raise CheckpointError(f"{name_or_folder}: no such checkpoint folder")
    from huggingface_hub import snapshot_download

    try:
        return Path(
            snapshot_download(
                str(name_or_folder), allow_patterns=["*.json", "*.safetensors", "*.md", "*.model", "*.jinja"]
            )
        )
    except Exception as error:
        raise CheckpointError(
            f"{name_or_folder}: neither a folder nor available from the hub: {error}"
        ) from None


def read_config(folder: Path) -> ModelConfig:
    """Read a checkpoint folder's configuration. Raises CheckpointError, or ConfigError with all faults."""
    for name in (CONFIG, WEIGHTS):
        if not (folder / name).is_file():
            raise CheckpointError(f"{folder} is no checkpoint: it has no {name}")
    try:
        data = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except ValueError as error:
        raise ConfigError(f"{folder / CONFIG} is not valid JSON: {error}") from None
    config: ModelConfig = validated(ModelConfig, data, str(folder / CONFIG))
    return config


def load_checkpoint(
    name_or_folder: str | Path, *, dtype: torch.dtype = torch.float32
) -> AudioCaptioningModel:
    """Load the model of a checkpoint folder or hub name, on the CPU, in evaluation mode.

    Raises CheckpointError or ConfigError naming the file, key or tensors that are wrong.
    """
    folder = resolve(name_or_folder)
    config = _beside(folder, read_config(folder))
    own = config.language_model.source is None
    model = build_model(config, AutoTokenizer.from_pretrained(folder, local_files_only=True) if own else None)
    try:
        tensors = load_file(folder / WEIGHTS)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{folder / WEIGHTS} is damaged: {error}") from None
    fill(model, tensors, folder)
    for slot, part in model.named_children():  # a borrowed language model stays in its source's precision
        if slot != "language_model" or own:
            part.to(dtype)
    if (folder / CARD).is_file():
        model.card = (folder / CARD).read_text(encoding="utf-8")
    return model.eval()


def _beside(folder: Path, config: ModelConfig) -> ModelConfig:
    """Resolve a language model that is saved inside the checkpoint folder (export.save_merged)."""
    section = config.language_model
    if section.source is None or not (folder / section.source / CONFIG).is_file():
        return config
    section = section.model_copy(update={"source": str(folder / section.source)})
    return config.model_copy(update={"language_model": section})


def fill(model: AudioCaptioningModel, tensors: Mapping[str, Tensor], source: str | Path) -> None:
    """Copy tensors into the model's trained ones: all of them or, with a CheckpointError, none.

    source: where they are from, for the message. Of a model that is spread over processes (FSDP) each takes
    its parts; all of them must call this.
    """
    wanted = trained_tensors(model)
    spread = {name: _spread_like(wanted.get(name), tensor) for name, tensor in tensors.items()}
    copy_weights(spread, wanted, source)


def _spread_like(target: Any, tensor: Tensor) -> Tensor:
    """Return the tensor, distributed over processes if `target` is."""
    if not hasattr(target, "placements"):
        return tensor
    from torch.distributed.tensor import distribute_tensor  # half a second to import

    return distribute_tensor(tensor.to(target.device), target.device_mesh, target.placements)
