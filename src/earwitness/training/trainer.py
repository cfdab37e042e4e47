"""Trains the stages of a preset with transformers' Trainer; a run that was stopped goes on where it was.

The run folder holds one folder a stage (Trainer checkpoints, metrics.jsonl, the best weights) and the
finished model in `model/`. Checkpoints hold trained tensors alone: frozen towers stay at their source. Under
torchrun all of this runs in every process; the first one writes.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import transformers
from safetensors.torch import load_file
from torch import nn
from torch.utils.data import DataLoader, Subset
from transformers import Trainer, TrainingArguments

from earwitness.build import towers
from earwitness.checkpoint import fill, trained_tensors
from earwitness.config import Stage
from earwitness.model import AudioCaptioningModel
from earwitness.training.arguments import parameter_groups, training_arguments
from earwitness.training.callbacks import (
    Seal,
    StopOnSignal,
    Stopped,
    Tensors,
    WeightAverage,
    check_room,
    disk_full_named,
    save_tensors,
)
from earwitness.training.evaluation import evaluate_task, sample_captions
from earwitness.training.memory import keep_freed_memory
from earwitness.training.objective import TASKS, Task
from earwitness.training.shard_data import ClipStream, KeepPlace, stream_loader
from earwitness.tuning import hold_borrowed

WEIGHTS, BEST, METRICS = "model.safetensors", "best.safetensors", "metrics.jsonl"


class StageTrainer(Trainer):
    """Trainer that logs each named loss, keeps the best weights, and saves trained tensors alone.

    model: what the task trains. average: None, or the averaged weights that are evaluated in place of the
    last ones.
    """

    def __init__(
        self,
        *,
        stage: Stage,
        task: Task,
        captioner: AudioCaptioningModel,
        average: WeightAverage | None,
        keep_place: KeepPlace | None,
        collate_eval: Callable[[Any], Any],
        **kwargs: Any,
    ):
        super().__init__(model=task, **kwargs)
        self.stage, self.average, self.keep_place = stage, average, keep_place
        self.collate_eval = collate_eval
        self.task: nn.Module = task  # what Trainer calls its model, never None
        self.captioner = captioner
        self.folder = Path(str(self.args.output_dir))
        self._evaluated: tuple[int, dict[str, Any]] | None = None  # the last step that was, and its metrics
        self._named: dict[str, list[torch.Tensor]] = defaultdict(list)

    def create_optimizer(self, *args: Any, **kwargs: Any) -> torch.optim.Optimizer:
        if self.optimizer is None:
            self.optimizer = torch.optim.AdamW(
                parameter_groups(self.task, self.stage), lr=self.stage.learning_rate, betas=(0.9, 0.999)
            )
        return self.optimizer

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        items: Any = train_dataset or self.train_dataset
        if hasattr(items, "sampler"):
            step = self.stage.batch_size * self.stage.accumulate * self.args.world_size
            return items.sampler(step, self.stage.seed)
        return super()._get_train_sampler(train_dataset)

    def get_train_dataloader(self) -> DataLoader:
        if isinstance(self.train_dataset, ClipStream):  # which is dealt out to processes already
            stage, collate = self.stage, self.data_collator
            loader = stream_loader(self.train_dataset, stage.batch_size, stage.workers, collate)
        else:
            loader = super().get_train_dataloader()
        return StopOnSignal.spare(loader)

    def get_eval_dataloader(self, eval_dataset: Any = None) -> DataLoader:
        """This process's part of the validation items.

        Its generator is its own: a run that evaluates must draw what one that does not would have drawn.
        """
        items: Any = self.eval_dataset
        own = range(self.args.process_index, len(items), self.args.world_size)
        options: dict[str, Any] = {"collate_fn": self.collate_eval, "generator": torch.Generator()}
        return DataLoader(Subset(items, own), self.stage.batch_size, **options)

    def compute_loss(  # type: ignore[override]
        self, model: nn.Module, inputs: Any, return_outputs: bool = False, **_: Any
    ) -> Any:
        place = inputs.pop("place", None)
        if place is not None and self.keep_place:
            self.keep_place.take(place)
        output = model(**inputs)
        if model.training:
            for name, value in output.items():
                if name != "loss":
                    self._named[name].append(value)
        return (output["loss"], output) if return_outputs else output["loss"]

    def log(self, logs: dict[str, Any], *args: Any, **kwargs: Any) -> None:
        for name, values in self._named.items():
            mean = self.accelerator.reduce(torch.stack(values).mean(), "mean")
            logs[f"loss/{name}"] = mean.item()
        self._named.clear()
        if self.captioner.guide is not None:
            logs["beta"] = self.captioner.guide.beta.item()
        super().log(logs, *args, **kwargs)
        if self.is_world_process_zero():
            with (self.folder / METRICS).open("a", encoding="utf-8") as file:
                file.write(json.dumps({"step": self.state.global_step, **logs}) + "\n")

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Means over the validation items, sample captions, and the tags' mAP, with the averaged weights.

        Trainer asks for the last step more than once.
        """
        if self._evaluated is None or self._evaluated[0] != self.state.global_step:
            with self.average.in_place() if self.average else nullcontext():
                metrics = self.measure()
                self._keep_best(metrics)
                with self.accelerator.autocast():
                    samples = sample_captions(self.task, self.get_eval_dataloader(), self.args.device)
            self.log(metrics | samples)
            self._evaluated = self.state.global_step, metrics
        return self._evaluated[1]

    def measure(self) -> dict[str, float]:
        if (
            self.args.world_size > 1
        ):  # batch norms have seen other clips in each process; the first one's count
            for buffer in self.task.buffers():
                dist.broadcast(buffer, 0)
        with self.accelerator.autocast():
            return evaluate_task(self.task, self.get_eval_dataloader(), self.args.device)

    def _keep_best(self, metrics: dict[str, float]) -> None:
        """Saves the weights that were just evaluated if no earlier ones were better: mAP, else the loss."""
        value = metrics.get("eval_map", -metrics["eval_loss"])
        note = self.folder / "best.json"
        if not self.is_world_process_zero():
            return
        if note.is_file() and json.loads(note.read_text())["value"] >= value:
            return
        save_tensors(trained_tensors(self.captioner), self.folder / BEST)
        note.write_text(json.dumps({"step": self.state.global_step, "value": value}))

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        if not self.args.should_save:  # Trainer calls this in every process
            return
        folder = Path(output_dir or self.folder)
        folder.mkdir(parents=True, exist_ok=True)
        tensors = trained_tensors(self.captioner)
        if state_dict is not None:  # gathered from processes that hold a part each (FSDP, DeepSpeed)
            whole = {name.removeprefix("model."): tensor for name, tensor in state_dict.items()}
            tensors = {name: whole[name] for name in tensors}
        save_tensors(tensors, folder / WEIGHTS)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        file = Path(resume_from_checkpoint) / WEIGHTS
        fill(self.captioner, load_file(file), file)


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

    Raises Stopped if the process was asked to end; DiskFullError.
    """
    keep_freed_memory()
    folder.mkdir(parents=True, exist_ok=True)
    transformers.set_seed(stage.seed)
    args = training_arguments(stage, folder, report_to or [])
    task = _prepared(model, stage, bf16=args.bf16)
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
    with disk_full_named(folder):
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


def _prepared(model: AudioCaptioningModel, stage: Stage, *, bf16: bool) -> Task:
    """The stage's task, with what the stage freezes and how it holds and recomputes the language model."""
    kind: Any = TASKS[stage.task]
    task = kind(model, stage.losses)
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
