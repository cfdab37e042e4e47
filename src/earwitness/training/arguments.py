"""Settings of transformers' Trainer and of the optimiser from a stage's section."""

from __future__ import annotations

import copy
from collections import defaultdict
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import TrainingArguments

from earwitness.config.stages import Stage


def parameter_groups(task: nn.Module, stage: Stage) -> list[dict[str, Any]]:
    """Group trained parameters by learning rate and weight decay (vectors and scalars are not decayed)."""
    groups: dict[tuple[float, float], list[nn.Parameter]] = defaultdict(list)
    for name, parameter in task.named_parameters():
        if not parameter.requires_grad:
            continue
        own = stage.encoder_learning_rate if name.startswith(("encoder.", "model.encoder.")) else None
        decay = stage.weight_decay if parameter.ndim > 1 else 0.0
        groups[own or stage.learning_rate, decay].append(parameter)
    return [{"params": p, "lr": rate, "weight_decay": decay} for (rate, decay), p in groups.items()]


def training_arguments(stage: Stage, folder: Path, report_to: list[str]) -> TrainingArguments:
    """Return the stage's TrainingArguments; `stage.trainer` overrides them."""
    gpu = torch.cuda.is_available()
    options: dict[str, Any] = {
        "output_dir": str(folder),
        "num_train_epochs": 1.0,  # samplers of several epochs yield them all
        "per_device_train_batch_size": stage.batch_size,
        "per_device_eval_batch_size": stage.batch_size,
        "gradient_accumulation_steps": stage.accumulate,
        "learning_rate": stage.learning_rate,
        "lr_scheduler_type": "cosine",
        "warmup_steps": stage.warmup,
        "max_grad_norm": stage.clip,
        "bf16": gpu if stage.bf16 is None else stage.bf16,
        "use_cpu": not gpu,
        "eval_strategy": "steps",
        "eval_steps": stage.evaluate_every,
        "save_strategy": "steps",
        "save_steps": stage.evaluate_every,
        "save_total_limit": 2,
        "logging_steps": min(100, stage.evaluate_every),
        "dataloader_num_workers": stage.workers,
        "dataloader_drop_last": True,  # processes with a batch more than others would wait for ever
        "dataloader_persistent_workers": False,
        "dataloader_pin_memory": not (gpu and stage.task == "distillation"),  # its mixtures are there
        "remove_unused_columns": False,
        "report_to": report_to,
        "seed": stage.seed,
        "label_names": [],
    }
    return TrainingArguments(**options | copy.deepcopy(stage.trainer))  # which it changes
