"""transformers' Trainer with the additions of a captioner's stage.

Every named loss is logged, the best weights are kept, checkpoints hold trained tensors alone, and all
processes share the validation.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from accelerate.utils import save_fsdp_optimizer
from safetensors.torch import load_file
from torch import nn
from torch.utils.data import DataLoader, Subset
from transformers import Trainer
from transformers.trainer import SCHEDULER_NAME

from earwitness.checkpoints.folder import fill, trained_tensors
from earwitness.config.stages import Stage
from earwitness.model import AudioCaptioningModel
from earwitness.training import best
from earwitness.training.arguments import parameter_groups
from earwitness.training.callbacks import StopOnSignal, WeightAverage, save_tensors, whole
from earwitness.training.curves import write_report
from earwitness.training.evaluation import SAMPLES, evaluate_task, sample_captions
from earwitness.training.inputs.shard_data import ClipStream, KeepPlace, stream_loader
from earwitness.training.objective import Task

WEIGHTS, METRICS = "model.safetensors", "metrics.jsonl"
BEST, NOTE = "best.safetensors", "best.json"  # the best weights, and at which step they were how good


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
        note = self.folder / NOTE
        known = note.is_file() and (self.folder / BEST).is_file()
        self.best: float | None = json.loads(note.read_text("utf-8"))["value"] if known else None
        self._worse = 0  # evaluations since then
        self._named: dict[str, list[torch.Tensor]] = defaultdict(list)

    @property
    def clips_per_step(self) -> int:
        return self.stage.batch_size * self.stage.accumulate * self.args.world_size

    def count_evaluations(self) -> None:
        """Of a run that resumes: those after the best one, which count towards the stage's patience."""
        log, note = self.folder / METRICS, self.folder / NOTE
        if note.is_file() and log.is_file():
            best = json.loads(note.read_text("utf-8"))["step"]
            rows = map(json.loads, log.read_text("utf-8").splitlines())
            self._worse = sum("eval_loss" in row and row["step"] > best for row in rows)

    def create_optimizer(self, *args: Any, **kwargs: Any) -> torch.optim.Optimizer:
        if self.optimizer is None:
            self.optimizer = torch.optim.AdamW(
                parameter_groups(self.task, self.stage), lr=self.stage.learning_rate, betas=(0.9, 0.999)
            )
        return self.optimizer

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        items: Any = train_dataset or self.train_dataset
        if hasattr(items, "sampler"):
            return items.sampler(self.clips_per_step, self.stage.seed)
        return super()._get_train_sampler(train_dataset)

    def get_train_dataloader(self) -> DataLoader[Any]:
        if isinstance(self.train_dataset, ClipStream):  # which is split over processes already
            stage, collate = self.stage, self.data_collator
            loader = stream_loader(self.train_dataset, stage.batch_size, stage.workers, collate)
        else:
            loader = super().get_train_dataloader()
        return StopOnSignal.spare(loader)

    def get_eval_dataloader(self, eval_dataset: Any = None) -> DataLoader[Any]:
        """This process's part of the validation items.

        Its generator is its own: a run that evaluates must draw what one that does not would have drawn.
        """
        items: Any = self.eval_dataset
        own = range(self.args.process_index, len(items), self.args.world_size)
        options: dict[str, Any] = {"collate_fn": self.collate_eval, "generator": torch.Generator()}
        options["num_workers"] = self.stage.workers
        return StopOnSignal.spare(DataLoader(Subset(items, own), self.stage.batch_size, **options))

    def first_clips(self) -> Any:
        """The same few validation items in every process."""
        items: Any = self.eval_dataset
        return self.collate_eval([items[i] for i in range(min(SAMPLES, len(items)))])

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
        if epoch_size := getattr(self.train_dataset, "epoch_size", 0):  # Trainer counts its passes, always 1
            self.state.epoch = self.state.global_step * self.clips_per_step / epoch_size
        super().log(logs, *args, **kwargs)
        if self.is_world_process_zero():
            with (self.folder / METRICS).open("a", encoding="utf-8") as file:
                file.write(json.dumps({"step": self.state.global_step, **logs}) + "\n")
            if "eval_loss" in logs:
                write_report(self.folder)

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Means over the validation items, sample captions, and the tags' mAP, with the averaged weights.

        Trainer evaluates the last step more than once.
        """
        if self._evaluated is None or self._evaluated[0] != self.state.global_step:
            with self.average.in_place() if self.average else nullcontext():
                metrics = self.measure()
                if self.stage.best_by in best.METRICS:
                    metrics |= self._caption_score(str(self.stage.best_by))
                self._worse = 0 if self._keep_best(metrics) else self._worse + 1
                with self.accelerator.autocast():
                    samples = sample_captions(self.task, self.first_clips(), self.args.device)
            self.log(metrics | samples)
            self._evaluated = self.state.global_step, metrics
            if self.stage.patience and self._worse >= self.stage.patience:
                self.control.should_training_stop = True
        return self._evaluated[1]

    def measure(self) -> dict[str, float]:
        if self.args.world_size > 1:  # batch norms saw other clips in each process; the first one's count
            for buffer in self.task.buffers():
                dist.broadcast(buffer, 0)
        with self.accelerator.autocast():
            loader = self.get_eval_dataloader()
            return evaluate_task(self.task, loader, self.first_clips(), self.args.device)

    def _caption_score(self, metric: str) -> dict[str, float]:
        with self.accelerator.autocast():
            return best.caption_score(self.task, self.get_eval_dataloader(), metric, self.args.device)

    def _keep_best(self, metrics: dict[str, float]) -> bool:
        """Saves the weights that were just evaluated if no earlier ones were as good by the stage's
        `best_by`.

        Returns whether it did; all processes have the same metrics, the first one writes.
        """
        value = best.quality(metrics, self.stage, self.state.global_step)
        tensors = whole(trained_tensors(self.captioner))
        if self.best is not None and self.best >= value:
            return False
        self.best = value
        if self.is_world_process_zero():
            save_tensors(tensors, self.folder / BEST)
            note = {"step": self.state.global_step, "value": value}
            (self.folder / NOTE).write_text(json.dumps(note), encoding="utf-8")
        return True

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        folder, tensors = Path(output_dir or self.folder), whole(trained_tensors(self.captioner))
        if self.args.should_save:  # Trainer calls this in every process
            folder.mkdir(parents=True, exist_ok=True)
            save_tensors(tensors, folder / WEIGHTS)

    def _save_optimizer_and_scheduler(self, output_dir: str) -> None:
        """Under FSDP Trainer would save the frozen weights as well."""
        if not self.is_fsdp_enabled:
            super()._save_optimizer_and_scheduler(output_dir)
            return
        plugin = self.accelerator.state.fsdp_plugin
        save_fsdp_optimizer(plugin, self.accelerator, self.optimizer, self.model, output_dir)
        if self.args.should_save and self.lr_scheduler is not None:
            torch.save(self.lr_scheduler.state_dict(), Path(output_dir) / SCHEDULER_NAME)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        file = Path(resume_from_checkpoint) / WEIGHTS
        fill(self.captioner, load_file(file), file)
