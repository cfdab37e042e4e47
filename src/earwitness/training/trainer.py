"""Trains the stages of a preset with transformers' Trainer; a run that was stopped goes on where it was.

The run folder holds one folder a stage (Trainer checkpoints, metrics.jsonl, the model at its end) and the
finished model in `model/`.
"""

from __future__ import annotations

import json
import math
import shutil
from collections import defaultdict
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors.torch import load_file, load_model, save_file, save_model
from torch import nn
from transformers import Trainer, TrainerCallback, TrainingArguments
from transformers.trainer_pt_utils import LengthGroupedSampler
from transformers.trainer_utils import get_last_checkpoint

from earwitness.config import Stage
from earwitness.model import AudioCaptioningModel
from earwitness.training.memory import keep_freed_memory
from earwitness.training.objective import TASKS, Task
from earwitness.training.tag_metrics import mean_average_precision


class WeightAverage(TrainerCallback):
    """Exponential moving average of the trained weights, batch-norm statistics included.

    It is what is evaluated and handed on: on small data it generalises better than the last step.
    """

    FILE = "average.safetensors"

    def __init__(self, task: nn.Module, decay: float):
        self.task, self.decay = task, decay
        self.average = {k: v.detach().clone() for k, v in self._tensors().items()}

    def _tensors(self) -> dict[str, torch.Tensor]:
        return {k: v for k, v in self.task.state_dict().items() if v.is_floating_point()}

    @torch.no_grad()
    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        decay = min(self.decay, (1 + state.global_step) / (10 + state.global_step))
        for name, value in self._tensors().items():
            self.average[name].lerp_(value.to(self.average[name].device), 1 - decay)

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        save_file({k: v.clone().contiguous() for k, v in self.average.items()}, folder / self.FILE)

    def resume(self, folder: str) -> None:
        self.average = load_file(Path(folder) / self.FILE)

    @torch.no_grad()
    def swap(self) -> None:
        """Exchanges the model's weights with the average; a second call puts them back."""
        for name, value in self._tensors().items():
            kept = value.clone()
            value.copy_(self.average[name])
            self.average[name] = kept


class Seal(TrainerCallback):
    """Marks a checkpoint as wholly written; a run killed while writing one goes back to the one before."""

    FILE = "complete"

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        (Path(args.output_dir) / f"checkpoint-{state.global_step}" / self.FILE).touch()

    @classmethod
    def last(cls, folder: Path) -> str | None:
        """The newest whole checkpoint; half-written ones are removed."""
        while found := get_last_checkpoint(str(folder)):
            if (Path(found) / cls.FILE).is_file():
                return found
            shutil.rmtree(found)
        return None


class ByLength(LengthGroupedSampler):
    """Texts of like length share a batch, so that half the work is not padding; the same order for a seed."""

    def __init__(self, batch_size: int, lengths: list[int], seed: int):
        super().__init__(batch_size, lengths=lengths)
        self.seed, self.epoch = seed, 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __iter__(self) -> Any:
        self.generator = torch.Generator().manual_seed(1000 * self.seed + self.epoch)
        return super().__iter__()


class StageTrainer(Trainer):
    """Trainer that logs each named loss, averages weights, and evaluates tags by mean average precision."""

    def __init__(self, *, stage: Stage, task: Task, average: WeightAverage | None, **kwargs: Any):
        super().__init__(model=task, **kwargs)
        self.stage, self.average = stage, average
        self.task: nn.Module = task  # what Trainer calls its model, never None
        self.folder = Path(str(self.args.output_dir))
        self._named: dict[str, list[torch.Tensor]] = defaultdict(list)

    def create_optimizer(self, *args: Any, **kwargs: Any) -> torch.optim.Optimizer:
        if self.optimizer is None:
            self.optimizer = torch.optim.AdamW(
                parameter_groups(self.task, self.stage), lr=self.stage.learning_rate, betas=(0.9, 0.999)
            )
        return self.optimizer

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        items: Any = getattr(train_dataset or self.train_dataset, "items", ())
        if len(items) and isinstance(items[0], str):
            return ByLength(self.stage.batch_size, [item.count(" ") for item in items], self.stage.seed)
        return super()._get_train_sampler(train_dataset)

    def compute_loss(  # type: ignore[override]
        self, model: nn.Module, inputs: Any, return_outputs: bool = False, **_: Any
    ) -> Any:
        output = model(**inputs)
        if model.training:
            for name, value in output.items():
                if name != "loss":
                    self._named[name].append(value)
        return (output["loss"], output) if return_outputs else output["loss"]

    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        for name, values in self._named.items():
            logs[f"loss/{name}"] = torch.stack(values).mean().item()
        self._named.clear()
        super().log(logs, *args, **kwargs)
        with (self.folder / "metrics.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": self.state.global_step, **logs}) + "\n")

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        """Mean of each loss over the validation scenes, with the averaged weights, and the tags' mAP."""
        if self.average:
            self.average.swap()
        try:
            metrics = evaluate_task(self.task, self.get_eval_dataloader(), self.args.device)
            self._keep_best(metrics)
        finally:
            if self.average:
                self.average.swap()
        self.log(metrics)
        return metrics

    def _keep_best(self, metrics: dict[str, float]) -> None:
        """Saves the weights that were just evaluated if no earlier ones were better: mAP, else the loss."""
        value = metrics.get("eval_map", -metrics["eval_loss"])
        note = self.folder / "best.json"
        if note.is_file() and json.loads(note.read_text())["value"] >= value:
            return
        weights = note.with_suffix(".safetensors")
        save_model(self.task, str(weights) + ".part")
        Path(str(weights) + ".part").replace(weights)  # in one piece, or not at all
        note.write_text(json.dumps({"step": self.state.global_step, "value": value}))

    # A task shares tensors inside (tied embeddings), which Trainer's own plain save refuses.
    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        folder = Path(output_dir or self.folder)
        folder.mkdir(parents=True, exist_ok=True)
        save_model(self.task, str(folder / "model.safetensors"))

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        load_model(self.task, str(Path(resume_from_checkpoint) / "model.safetensors"))


@torch.no_grad()
def evaluate_task(task: Any, batches: Any, device: torch.device) -> dict[str, float]:
    """Mean losses of a task over batches; for a task that knows tags, their mAP as well."""
    was_training = task.training
    task.eval()
    sums: dict[str, float] = defaultdict(float)
    scores, truths, count = [], [], 0
    for batch in batches:
        batch = _to(batch, device)
        output = task(**batch)
        for name, value in output.items():
            if value.ndim == 0:
                sums[name] += value.item()
        count += 1
        if hasattr(task, "clip_tags") and "token_tags" in batch:
            scores.append(task.clip_tags(batch["sound"]).cpu())
            truths.append(batch["token_tags"].amax(1).cpu())
    task.train(was_training)
    metrics = {f"eval_{name}": value / max(count, 1) for name, value in sums.items()}
    if scores:
        metrics["eval_map"] = mean_average_precision(torch.cat(scores), torch.cat(truths))
    return metrics


def _to(batch: Any, device: torch.device) -> Any:
    if isinstance(batch, dict):
        return {k: _to(v, device) for k, v in batch.items()}
    return batch.to(device) if isinstance(batch, torch.Tensor) else batch


def parameter_groups(task: nn.Module, stage: Stage) -> list[dict[str, Any]]:
    """Trained parameters by learning rate and by weight decay (vectors and scalars are not decayed)."""
    groups: dict[tuple[float, float], list[nn.Parameter]] = defaultdict(list)
    for name, parameter in task.named_parameters():
        if not parameter.requires_grad:
            continue
        own = stage.encoder_learning_rate if name.startswith(("encoder.", "model.encoder.")) else None
        decay = stage.weight_decay if parameter.ndim > 1 else 0.0
        groups[own or stage.learning_rate, decay].append(parameter)
    return [{"params": p, "lr": rate, "weight_decay": decay} for (rate, decay), p in groups.items()]


def _arguments(stage: Stage, folder: Path) -> TrainingArguments:
    gpu = torch.cuda.is_available()
    return TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=getattr(stage.data, "epochs", 1.0),
        per_device_train_batch_size=stage.batch_size,
        per_device_eval_batch_size=stage.batch_size,
        gradient_accumulation_steps=stage.accumulate,
        learning_rate=stage.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=stage.warmup,
        max_grad_norm=stage.clip,
        bf16=gpu,
        use_cpu=not gpu,
        eval_strategy="steps",
        eval_steps=stage.evaluate_every,
        save_strategy="steps",
        save_steps=stage.evaluate_every,
        save_total_limit=2,
        logging_steps=min(100, stage.evaluate_every),
        dataloader_num_workers=stage.workers,
        dataloader_drop_last=True,
        dataloader_persistent_workers=False,
        remove_unused_columns=False,
        report_to=[],
        seed=stage.seed,
        label_names=[],
    )


def train_stage(
    model: AudioCaptioningModel,
    stage: Stage,
    folder: Path,
    train: Any,
    validation: Any,
    collate: Any,
    collate_eval: Any,
) -> dict[str, float]:
    """Trains one stage in `folder`, resuming from its last checkpoint; leaves the result in `model`."""
    keep_freed_memory()
    folder.mkdir(parents=True, exist_ok=True)
    transformers.set_seed(stage.seed)
    kind: Any = TASKS[stage.task]
    task = kind(model, stage.losses)
    task.freeze(*(getattr(model, part) for part in stage.freeze))
    average = WeightAverage(task, stage.average) if stage.average else None
    trainer = StageTrainer(
        args=_arguments(stage, folder),
        train_dataset=train,
        eval_dataset=validation,
        data_collator=collate,
        callbacks=[*([average] if average else []), Seal()],
        stage=stage,
        task=task,
        average=average,
    )
    trainer.get_eval_dataloader = lambda *_: torch.utils.data.DataLoader(  # type: ignore[method-assign]
        validation, stage.batch_size, collate_fn=collate_eval
    )
    last = Seal.last(folder)
    if last and average:
        average.resume(last)
    trainer.train(resume_from_checkpoint=last)
    trainer.evaluate()
    load_model(task, str(folder / "best.safetensors"))
    metrics = evaluate_task(task, trainer.get_eval_dataloader(), trainer.args.device)
    if not math.isfinite(metrics.get("eval_loss", 0.0)):
        raise RuntimeError(f"stage {stage.name}: the validation loss is not finite; lower learning_rate")
    model.cpu()
    return metrics
