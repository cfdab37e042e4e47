"""Train the stages of a preset with transformers' Trainer; an interrupted run resumes.

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
from transformers import PrinterCallback, ProgressCallback, TrainingArguments

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
from earwitness.training.display import Display, to_stderr
from earwitness.training.distillation import DistillationTask, build_teacher
from earwitness.training.inputs.shard_data import ClipStream, KeepPlace
from earwitness.training.inputs.stage_data import StageData
from earwitness.training.objective import TASKS, Task, WholeTask
from earwitness.training.recompute import set_recomputing
from earwitness.training.reward import RetrievalReward
from earwitness.training.stage_trainer import BEST, METRICS, StageTrainer
from earwitness.weights.tuning import hold_borrowed

ON_GPUS = "weights are sharded over several GPUs only: start it there with torchrun, or remove it"


def train_stage(
    model: AudioCaptioningModel,
    stage: Stage,
    folder: Path,
    data: StageData,
    report_to: list[str] | None = None,
    *,
    evaluate_start: bool = False,
    later: int = 0,
) -> dict[str, float]:
    """Trains one stage in `folder`, resuming from its last checkpoint; leaves the result in `model`.

    evaluate_start: whether the weights it begins with are evaluated first, and kept where none become better.
    later: clips of the stages that follow, for the time that is left.
    Raises Stopped if the process got SIGTERM; DiskFullError; WorkerLostError.
    """
    keep_freed_memory()
    folder.mkdir(parents=True, exist_ok=True)
    transformers.set_seed(stage.seed)
    args = _arguments(data.train, stage, folder, report_to or [])
    task = prepared_task(model, stage, bf16=args.bf16, device=str(args.device))
    if args.fsdp:
        _check_sharding(task, stage, args.world_size)
    weights = partial(trained_tensors, model)
    check_room(folder, _bytes_needed(weights(), task, args))
    average = WeightAverage(weights, stage.average) if stage.average else None
    stop, keep_place = StopOnSignal(), None
    if isinstance(data.train, ClipStream):
        keep_place = KeepPlace(data.train, stage.workers)
        args.max_steps = data.train.steps(stage.batch_size * stage.accumulate * args.world_size)
        args.ignore_data_skip = True  # the stream itself starts at the resumed position
    trainer = StageTrainer(
        args=args,
        train_dataset=data.train,
        eval_dataset=data.validation,
        data_collator=data.collate,
        callbacks=[*(c for c in (average, keep_place) if c), stop, Seal()],
        stage=stage,
        task=task,
        captioner=model,
        average=average,
        keep_place=keep_place,
        collate_eval=data.collate_eval,
    )
    _replace_display(trainer, stage, later)
    if args.fsdp and not trainer.is_fsdp_enabled:
        raise ConfigError(f"stage {stage.name}: trainer.fsdp: {ON_GPUS}")
    with disk_full_named(folder), lost_worker_named():
        last = _last_checkpoint(trainer, folder)
        args.eval_on_start = evaluate_start and last is None
        for callback in (average, keep_place):
            if last and callback:
                callback.resume(last)
        trainer.train(resume_from_checkpoint=str(last) if last else None)
        if stop.asked:
            raise Stopped(f"stopped by request after step {trainer.state.global_step} of stage {stage.name}")
        trainer.evaluate()
    return _best_reached(trainer, model)


def _best_reached(trainer: StageTrainer, model: AudioCaptioningModel) -> dict[str, float]:
    """The metrics of the best weights, which are left in the model, on the CPU."""
    best = trainer.folder / BEST
    trainer.accelerator.wait_for_everyone()
    fill(model, load_file(best), best)
    metrics = trainer.measure()
    if not math.isfinite(metrics.get("eval_loss", 0.0)):
        where = f"stage {trainer.stage.name}"
        raise RuntimeError(f"{where}: the validation loss is not finite; lower learning_rate")
    model.cpu()
    return metrics


def _task(model: AudioCaptioningModel, stage: Stage, device: str) -> Task:
    if stage.task == "distillation":
        return DistillationTask(model, stage.imitation, build_teacher(model, stage))
    kind: Any = TASKS[stage.task]
    options: dict[str, Any] = {"reward": RetrievalReward.of(stage.reward, device)} if stage.reward else {}
    if isinstance(stage.teacher, str):
        options["teacher"] = SentenceEncoder(stage.teacher, device, "a stage's teacher")
    if issubclass(kind, WholeTask):
        options["confusion"] = stage.confusion
    return kind(model, stage.losses, **options)


def prepared_task(model: AudioCaptioningModel, stage: Stage, *, bf16: bool, device: str = "cpu") -> Task:
    """The stage's task, with what the stage freezes and how it holds and recomputes the language model."""
    task = _task(model, stage, device)
    task.freeze(*(getattr(model, part) for part in stage.freeze))
    for slot in {"vision", "language_model"} & towers(model.config).keys():
        section = towers(model.config)[slot]
        if dtype := getattr(section, "dtype", None) or (bf16 and "bfloat16"):
            hold_borrowed(getattr(model, slot), section, getattr(torch, dtype))
    frozen = "language_model" in stage.freeze or model.config.language_model.tune == "freeze"
    set_recomputing(model.language_model.model, stage.gradient_checkpointing, frozen=frozen)
    return task


def _arguments(train: Any, stage: Stage, folder: Path, report_to: list[str]) -> TrainingArguments:
    """Return the stage's arguments of Trainer. A set smaller than a step is one short step for one process.

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


def _replace_display(trainer: StageTrainer, stage: Stage, later: int) -> None:
    """Transformers' own displays cut captions and count passes over the samplers."""
    for kind in (ProgressCallback, PrinterCallback):
        trainer.remove_callback(kind)
    say = None if trainer.args.disable_tqdm else to_stderr
    trainer.add_callback(Display(stage.name, clips=trainer.clips_per_step, later=later, say=say))


def _check_sharding(task: nn.Module, stage: Stage, processes: int) -> None:
    """Raise ConfigError for weights that FSDP2, which shards rows, cannot shard."""
    where = f"stage {stage.name}: trainer.fsdp"
    if processes == 1:
        raise ConfigError(f"{where}: {ON_GPUS}")
    if numbers := [name for name, parameter in task.named_parameters() if parameter.ndim == 0]:
        raise ConfigError(f"{where}: scalars cannot be sharded: {', '.join(numbers)}; remove them")


def _last_checkpoint(trainer: StageTrainer, folder: Path) -> Path | None:
    """Return the checkpoint to resume from; drop log entries after it, which will be written again."""
    with trainer.args.main_process_first():
        last = Seal.last(folder, tidy=trainer.is_world_process_zero())
        log = folder / METRICS
        if trainer.is_world_process_zero() and log.is_file():
            step = int(last.name.rpartition("-")[2]) if last else 0
            whole = log.read_text("utf-8").split("\n")[:-1]  # a torn row has no end
            kept = [f"{row}\n" for row in whole if json.loads(row)["step"] <= step]
            log.write_text("".join(kept), encoding="utf-8")
    trainer.count_evaluations()
    return last


def _bytes_needed(weights: Tensors, task: nn.Module, args: TrainingArguments) -> int:
    """Of the checkpoints kept at once, while one more is written: weights, their average, AdamW's moments."""
    saved = sum(t.numel() * t.element_size() for t in weights.values())
    moments = sum(8 * p.numel() for p in task.parameters() if p.requires_grad)
    return (2 * saved + moments) * ((args.save_total_limit or 2) + 1)
