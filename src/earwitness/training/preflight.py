"""Checks of a recipe and its data before a model is built; each fault is reported with its fix."""

from __future__ import annotations

import json
import os
from dataclasses import fields
from pathlib import Path
from typing import Any

from transformers import TrainingArguments
from transformers.integrations.integration_utils import (
    INTEGRATION_TO_CALLBACK,
    get_available_reporting_integrations,
)

from earwitness.config.data import LabelData, ManifestData, MixtureData, SceneData
from earwitness.config.errors import ConfigError, did_you_mean
from earwitness.config.preset import Preset
from earwitness.config.stages import Stage
from earwitness.config.start import CONFIG
from earwitness.data.shards import INDEX, ShardError
from earwitness.encoders.checkpoints import find_weights
from earwitness.metrics.meteor.data import MissingData
from earwitness.metrics.sentence_encoder import SentenceEncoder
from earwitness.scenes.bank import Bank
from earwitness.scenes.recordings import read_manifest
from earwitness.training.arguments import training_arguments
from earwitness.training.beginning import started_tags, weights_file
from earwitness.training.best import check_metric
from earwitness.training.inputs.label_data import LabelSource
from earwitness.training.inputs.mixture_data import MixtureSource
from earwitness.training.inputs.scene_data import SceneSource, read_captions
from earwitness.training.inputs.stage_data import ClipSource, stage_steps
from earwitness.training.tower_check import check_towers

OWN_KEYS = {  # of TrainingArguments, which a stage has under another name
    "learning_rate": "learning_rate",
    "per_device_train_batch_size": "batch_size",
    "gradient_accumulation_steps": "accumulate",
    "num_train_epochs": "data.epochs",
    "max_grad_norm": "clip",
    "warmup_steps": "warmup",
    "weight_decay": "weight_decay",
    "eval_steps": "evaluate_every",
    "save_steps": "evaluate_every",
    "dataloader_num_workers": "workers",
    "gradient_checkpointing": "gradient_checkpointing",
    "bf16": "bf16",
    "seed": "seed",
}


def look(preset: Preset, out: Path, processes: int = 1) -> dict[str, Any]:
    """Check everything; return the opened data of the stages by name. Raises ConfigError."""
    _check_trainer_keys(preset)
    available = get_available_reporting_integrations()
    if missing := [name for name in preset.report_to if name not in available]:
        raise ConfigError(
            f"report_to: {', '.join(missing)} is not installed, or no reporter of transformers' Trainer "
            f"({', '.join(sorted(INTEGRATION_TO_CALLBACK))}); install it, or set report_to=[] "
            "(metrics.jsonl is written in any case)"
        )
    check_towers(preset.model)
    for start in preset.starts:
        weights_file(start.source)
    for number, stage in chosen(preset):
        check_metric(stage)
        if stage.reward:
            _sentence_encoder(stage.reward.sentence_encoder, f"stages.{number}.reward.sentence_encoder")
        if isinstance(stage.teacher, str) and stage.task == "alignment" and preset.model.decoding.joint_space:
            width = _sentence_encoder(stage.teacher, f"stages.{number}.teacher")(["a"]).shape[1]
            if width != preset.model.decoding.joint_space.dim:
                raise ConfigError(
                    f"stages.{number}.teacher: its vectors are {width} wide, "
                    "model.decoding.joint_space.dim is not"
                )
        if stage.teacher and stage.task == "distillation":
            _check_teacher(stage.teacher, f"stages.{number}.teacher")
        for place in ("captions", "validation_captions"):
            read_captions(getattr(stage.data, place, []))
    try:
        clips = {
            stage.name: ClipSource.look_at(preset.model, stage, out / "clips")
            for _, stage in chosen(preset)
            if isinstance(stage.data, ManifestData)
        }
    except ShardError as error:
        raise ConfigError(str(error)) from None
    sources = bank_sources(preset, out) | clips
    for _, stage in chosen(preset):
        stage_steps(stage, sources.get(stage.name), processes)
    return sources


def _check_teacher(teacher: Any, place: str) -> None:
    """Raises ConfigError if the weights of a teacher of distillation are not to be found."""
    source = teacher if isinstance(teacher, str) else teacher.source
    if (Path(source) / CONFIG).is_file():
        return
    try:
        find_weights(source)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{place}: {error}") from None


def _sentence_encoder(model: str, place: str) -> SentenceEncoder:
    try:
        return SentenceEncoder(model, what="a stage")
    except MissingData as error:
        raise ConfigError(f"{place}: {error}") from None


def chosen(preset: Preset) -> list[tuple[int, Stage]]:
    """The stages to run, with their numbers in the preset."""
    return [(n, s) for n, s in enumerate(preset.stages) if not preset.only or s.name in preset.only]


def _check_trainer_keys(preset: Preset) -> None:
    """And their values, which TrainingArguments judges, for the stages that are to run."""
    known = {field.name for field in fields(TrainingArguments)} - {"output_dir"}
    named = any("deepspeed" in stage.trainer for _, stage in chosen(preset))  # transformers sets it then
    if os.environ.get("ACCELERATE_USE_DEEPSPEED") == "true" and not named:
        raise ConfigError(
            "accelerate has switched DeepSpeed on: start with torchrun, and name its configuration in "
            "stages.*.trainer.deepspeed, where it is checked"
        )
    for number, stage in chosen(preset):
        for key in stage.trainer:
            place = f"stages.{number}.trainer.{key}"
            if key in OWN_KEYS:
                raise ConfigError(f"{place}: set stages.{number}.{OWN_KEYS[key]} instead")
            if key not in known:
                raise ConfigError(
                    f"{place}: transformers' TrainingArguments know no such key" + did_you_mean(key, known)
                )
        if stage.average and stage.trainer.keys() & {"fsdp", "deepspeed"}:
            raise ConfigError(
                f"stages.{number}.average: must be 0 with fsdp and deepspeed, which shard weights"
            )
        if "deepspeed" in stage.trainer:
            _check_deepspeed(f"stages.{number}.trainer.deepspeed", stage.trainer["deepspeed"])
        try:
            training_arguments(stage, Path(), [])
        except (ValueError, TypeError, ImportError, OSError) as error:
            raise ConfigError(f"stages.{number}.trainer: {error}") from None


def _check_deepspeed(place: str, config: Any) -> None:
    """config: DeepSpeed's, or its JSON file. ZeRO's stage 3 leaves no process a whole weight to save."""
    if isinstance(config, str):
        try:
            config = json.loads(Path(config).read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise ConfigError(f"{place}: {config} cannot be read as JSON: {error}") from None
    zero = config.get("zero_optimization") if isinstance(config, dict) else None
    if isinstance(zero, dict) and zero.get("stage") == 3:
        raise ConfigError(
            f"{place}: zero_optimization.stage 3 shards weights, which cannot be saved then: set stage 2 "
            "(examples/cluster/deepspeed_zero2.json), or shard them with trainer.fsdp"
        )


def bank_sources(preset: Preset, out: Path) -> dict[str, Any]:
    """A source for each stage with a bank, those that are not to run too: banks name the tags.

    A bank is opened once, its samples kept beside the run folder. Raises ConfigError if it is none, or if
    the encoder that training starts with has no tags for the labels of its scenes.
    """
    banks: dict[Any, Bank] = {}
    sources: dict[str, Any] = {}
    encoder = preset.model.encoder  # of one kind the tag head learns the labels of banks
    tags = (encoder.tags or started_tags(preset)) if encoder.kind == "conv" else []
    for number, stage in enumerate(preset.stages):
        section = stage.data
        if not isinstance(section, SceneData | MixtureData | LabelData):
            continue
        options = section.model_dump(include={"synthesis", "unlabelled"})
        key = section.bank, *options.items()
        try:
            if isinstance(section, SceneData):
                _check_labels(section.bank, tags)
            if key not in banks:
                banks[key] = Bank.open(section.bank, out.parent / "banks", **options)
        except ValueError as error:
            other = options.get("unlabelled")
            name = "unlabelled" if other and other in str(error) else "bank"
            raise ConfigError(f"stages.{number}.data.{name}: {error}") from None
        if isinstance(section, MixtureData):
            sources[stage.name] = MixtureSource(section, banks[key])
        elif isinstance(section, LabelData):
            sources[stage.name] = LabelSource(section, banks[key])
        else:
            sources[stage.name] = SceneSource(section, banks[key], tags)
    return sources


def _check_labels(bank: str, tags: list[str]) -> None:
    """Raises ValueError for labels that the encoder has no tag for; nothing is decoded yet."""
    strange = {recording.label for recording in read_manifest(Path(bank))} - set(tags)
    if tags and strange:
        shown = ", ".join(sorted(strange)[:8]) + (f" and {len(strange) - 8} more" if len(strange) > 8 else "")
        raise ValueError(
            f"the encoder has no tags for {len(strange)} labels of {bank}: {shown}; leave these recordings "
            "out, or start without the encoder of init, whose tags are fixed"
        )


def data_files(preset: Preset) -> list[str]:
    """The files that say what is trained on; of shards, their index."""
    found: dict[str, None] = {}
    for _, stage in chosen(preset):
        data = stage.data
        if isinstance(data, ManifestData):
            paths = [f"{s.path.rstrip('/')}/{INDEX}" if data.streamed else s.path for s in data.train]
            names = [*paths, *(s.paraphrases for s in data.train), *data.validation]
            found |= dict.fromkeys(n for n in [*names, data.exclude] if n)
            continue
        if not isinstance(data, MixtureData):
            found |= dict.fromkeys([*data.captions, *data.validation_captions])
        if isinstance(data, LabelData):
            found |= dict.fromkeys(data.pairs)
        banks = [getattr(data, name, None) for name in ("bank", "unlabelled")]
        found |= {f"{bank}/manifest.csv": None for bank in banks if bank}
    return list(found)
