"""Trains the stages of a preset with transformers' Trainer; a run that was stopped goes on where it was.

The run folder holds one folder a stage (Trainer checkpoints, metrics.jsonl, the best weights) and the
finished model in `model/`. Checkpoints hold trained tensors alone: frozen towers stay at their source. Under
torchrun all of this runs in every process; the first one writes.
"""

from __future__ import annotations

import json
import math
from functools import partial
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors.torch import load_file
from torch import nn
from transformers import TrainingArguments

from earwitness.build import towers
from earwitness.checkpoints.folder import fill, trained_tensors
from earwitness.config.errors import ConfigError
from earwitness.config.stages import Stage
from earwitness.devices import keep_freed_memory
from earwitness.metrics.sentence_encoder import SentenceEncoder
from earwitness.model import AudioCaptioningModel
from earwitness.training.arguments import training_arguments
from earwitness.training.callbacks import (
    Seal,
    StopOnSignal,
    Stopped,
    Tensors,
    WeightAverage,
    check_room,
    disk_full_named,
    lost_worker_named,
)
from earwitness.training.inputs.shard_data import ClipStream, KeepPlace
from earwitness.training.objective import TASKS, Task, WholeTask
from earwitness.training.reward import RetrievalReward
from earwitness.training.stage_trainer import BEST, METRICS, StageTrainer
from earwitness.weights.tuning import hold_borrowed

ON_GPUS = "weights are dealt out to several GPUs alone: start it there with torchrun, or leave it out"


def train_stage(
    model: AudioCaptioningModel,
    stage: Stage,
    folder: Path,
    train: Any,
    validation: Any,
    collate: Any,
    collate_eval: Any,
    report_to: list[str] | None = None,
) -> dict[str, float]:
    """Trains one stage in `folder`, resuming from its last checkpoint; leaves the result in `model`.

    Raises Stopped if the process was asked to end; DiskFullError; WorkerLostError.
    """
    keep_freed_memory()
    folder.mkdir(parents=True, exist_ok=True)
    transformers.set_seed(stage.seed)
    args = _arguments(train, stage, folder, report_to or [])
    task = _prepared(model, stage, bf16=args.bf16, device=str(args.device))
    if args.fsdp:
        _check_sharding(task, stage, args.world_size)
    weights = partial(trained_tensors, model)
    check_room(folder, _bytes_needed(weights(), task, args))
    average = WeightAverage(weights, stage.average) if stage.average else None
    stop, keep_place = StopOnSignal(), None
    if isinstance(train, ClipStream):
        keep_place = KeepPlace(train, stage.workers)
        args.max_steps = train.steps(stage.batch_size * stage.accumulate * args.world_size)
        args.ignore_data_skip = True  # it begins where it is told to
    trainer = StageTrainer(
        args=args,
        train_dataset=train,
        eval_dataset=validation,
        data_collator=collate,
        callbacks=[*(c for c in (average, keep_place) if c), stop, Seal()],
        stage=stage,
        task=task,
        captioner=model,
        average=average,
        keep_place=keep_place,
        collate_eval=collate_eval,
    )
    if args.fsdp and not trainer.is_fsdp_enabled:
        raise ConfigError(f"stage {stage.name}: trainer.fsdp: {ON_GPUS}")
    with disk_full_named(folder), lost_worker_named():
        last = _last_checkpoint(trainer, folder)
        for callback in (average, keep_place):
            if last and callback:
                callback.resume(last)
        trainer.train(resume_from_checkpoint=str(last) if last else None)
        if stop.asked:
            raise Stopped(f"stopped as asked after step {trainer.state.global_step} of stage {stage.name}")
        trainer.evaluate()
    trainer.accelerator.wait_for_everyone()
    fill(model, load_file(folder / BEST), folder / BEST)
    metrics = trainer.measure()
    if not math.isfinite(metrics.get("eval_loss", 0.0)):
        raise RuntimeError(f"stage {stage.name}: the validation loss is not finite; lower learning_rate")
    model.cpu()
    return metrics


def _prepared(model: AudioCaptioningModel, stage: Stage, *, bf16: bool, device: str = "cpu") -> Task:
    """The stage's task, with what the stage freezes and how it holds and recomputes the language model."""
    kind: Any = TASKS[stage.task]
    options: dict[str, Any] = {"reward": RetrievalReward.of(stage.reward, device)} if stage.reward else {}
    if stage.teacher:
        options["teacher"] = SentenceEncoder(stage.teacher, device, "a stage's teacher")
    if issubclass(kind, WholeTask):
        options["confusion"] = stage.confusion
    task = kind(model, stage.losses, **options)
    task.freeze(*(getattr(model, part) for part in stage.freeze))
    if bf16:
        for slot in {"vision", "language_model"} & towers(model.config).keys():
            hold_borrowed(getattr(model, slot), towers(model.config)[slot], torch.bfloat16)
    language_model = model.language_model.model
    if stage.gradient_checkpointing:
        language_model.gradient_checkpointing_enable({"use_reentrant": False})
    elif language_model.is_activation_checkpointing:
        language_model.gradient_checkpointing_disable()
    return task


def _arguments(train: Any, stage: Stage, folder: Path, report_to: list[str]) -> TrainingArguments:
    """What the stage asks of Trainer. A set smaller than a step is one short step for one process.

    Raises ConfigError where several processes would each get a part of it.
    """
    args = training_arguments(stage, folder, report_to)
    step = stage.batch_size * stage.accumulate * args.world_size
    if isinstance(train, ClipStream) or len(train) >= step:
        return args
    if args.world_size > 1:
        raise ConfigError(
            f"stage {stage.name}: {len(train)} clips are fewer than the {step} of a step of "
            f"{args.world_size} processes: lower batch_size or accumulate, or take fewer processes"
        )
    args.dataloader_drop_last = False
    return args


def _check_sharding(task: nn.Module, stage: Stage, processes: int) -> None:
    """FSDP2 deals out rows of weights. Raises ConfigError where it cannot."""
    where = f"stage {stage.name}: trainer.fsdp"
    if processes == 1:
        raise ConfigError(f"{where}: {ON_GPUS}")
    if numbers := [name for name, parameter in task.named_parameters() if parameter.ndim == 0]:
        raise ConfigError(f"{where}: a single number cannot be dealt out: {', '.join(numbers)}; leave it out")


def _last_checkpoint(trainer: StageTrainer, folder: Path) -> Path | None:
    """The checkpoint to go on from; what was logged after it is forgotten, for it will be logged again."""
    with trainer.args.main_process_first():
        last = Seal.last(folder, tidy=trainer.is_world_process_zero())
        log = folder / METRICS
        if trainer.is_world_process_zero() and log.is_file():
            step = int(last.name.rpartition("-")[2]) if last else 0
            whole = log.read_text("utf-8").split("\n")[:-1]  # a torn row has no end
            kept = [f"{row}\n" for row in whole if json.loads(row)["step"] <= step]
            log.write_text("".join(kept), encoding="utf-8")
    return last


def _bytes_needed(weights: Tensors, task: nn.Module, args: TrainingArguments) -> int:
    """Of the checkpoints kept at once, while one more is written: weights, their average, AdamW's moments."""
    saved = sum(t.numel() * t.element_size() for t in weights.values())
    moments = sum(8 * p.numel() for p in task.parameters() if p.requires_grad)
    return (2 * saved + moments) * ((args.save_total_limit or 2) + 1)
