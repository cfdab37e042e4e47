"""Evaluation of a stage on its validation data, over all processes: mean losses, tag precision, captions."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import torch
import torch.distributed as dist

from earwitness.training.tag_metrics import mean_average_precision

SAMPLES = 4  # captions shown at each evaluation


@torch.no_grad()
def evaluate_task(task: Any, batches: Any, spare: Any, device: torch.device) -> dict[str, float]:
    """Mean of each scalar of a task over batches; for a task that knows tags, their mAP as well.

    A task may have `finish`, which makes the metrics from these means.

    batches: this process's part, a loader; the means are over those of all processes. One with fewer batches
    than others uses `spare` instead: where the model is in parts (FSDP), all must work for one to
    continue.
    """
    was_training = task.training
    fewer = max(gathered(len(batches))) - len(batches)
    task.eval()
    sums: dict[str, float] = defaultdict(float)
    scores, truths = [], []
    for batch in batches:
        batch = to_device(batch, device)
        for name, value in task(**batch).items():
            if value.ndim == 0:
                sums[name] += value.item()
        sums["batches"] += 1
        if hasattr(task, "clip_tags") and "token_tags" in batch:
            scores.append(task.clip_tags(batch["sound"]).cpu())
            truths.append(batch["token_tags"].amax(1).cpu())
    for _ in range(fewer):
        task(**to_device(spare, device))
    task.train(was_training)
    parts = gathered((dict(sums), scores, truths))
    count = sum(part[0].get("batches", 0.0) for part in parts)
    names = dict.fromkeys(name for part in parts for name in part[0] if name != "batches")
    metrics = {f"eval_{n}": sum(part[0].get(n, 0.0) for part in parts) / max(count, 1) for n in names}
    if hasattr(task, "finish"):
        metrics = task.finish(metrics)
    scores, truths = ([x for part in parts for x in part[i]] for i in (1, 2))
    if scores:
        metrics["eval_map"] = mean_average_precision(torch.cat(scores), torch.cat(truths))
    return metrics


@torch.no_grad()
def sample_captions(task: Any, batch: Any, device: torch.device) -> dict[str, str]:
    """Decode a batch's captions and pair them with their targets. All processes need the same batch."""
    model = getattr(task, "model", None)
    if model is None:
        return {}
    was_training = task.training
    task.eval()
    first = to_device(batch, device)
    given = {name: first[name] for name in ("video", "captions") if name in first}
    decoded = task.generate(first["sound"], **given)
    wanted = [model.language_model.decode(ids) for ids in first["ids"].tolist()]
    task.train(was_training)
    return {
        f"sample_{i}": f"{got} (wanted: {want})" for i, (got, want) in enumerate(zip(decoded.texts, wanted))
    }


def sample_parts(text: str) -> tuple[str, str]:
    """Split a sample of `sample_captions` into the caption and its target."""
    caption, _, wanted = text.removesuffix(")").partition(" (wanted: ")
    return caption, wanted


def to_device(batch: Any, device: torch.device) -> Any:
    if isinstance(batch, dict):
        return {k: to_device(v, device) for k, v in batch.items()}
    return batch.to(device) if isinstance(batch, torch.Tensor) else batch


def gathered(part: Any) -> list[Any]:
    """Gather a part of each process, in order of rank."""
    if not dist.is_initialized():
        return [part]
    parts: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(parts, part)
    return parts
