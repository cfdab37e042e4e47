"""Which weights of a stage are the best: by the captions' loss, by a metric of generated captions, or
the last.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch

from earwitness.config.errors import ConfigError
from earwitness.config.stages import Stage
from earwitness.metrics import score
from earwitness.training.evaluation import gathered, to_device

METRICS = ("spider", "fense", "cider_d")  # of captions that are generated for all validation items
CAPTION_LOSSES = ("eval_caption", "eval_guided_caption", "eval_retrieval_caption")  # the first that there is


def quality(metrics: dict[str, float], stage: Stage, step: int) -> float:
    """How good the weights are that gave these metrics; more is better.

    At 64 x 20 tokens the transport loss is some 300, so the sum of all losses says little of the captions.
    """
    if stage.best_by == "last":
        return step
    if stage.best_by in METRICS:
        return metrics[f"eval_{stage.best_by}"]
    if stage.best_by is None and "eval_map" in metrics:
        return metrics["eval_map"]
    own = next((metrics[name] for name in CAPTION_LOSSES if name in metrics), None)
    if own is None or stage.best_by == "loss" or (stage.best_by is None and stage.reward):
        return -metrics["eval_loss"]
    return -own


def check_metric(stage: Stage) -> None:
    """Raises ConfigError where the metric that the stage's weights are chosen by cannot be computed here."""
    if stage.best_by not in METRICS:
        return
    texts = ["a dog barks", "rain falls"]
    missing = score(texts, [[text] for text in texts], stage.best_by).missing
    if missing:
        raise ConfigError(f"stage {stage.name}: best_by: {stage.best_by}: {missing[stage.best_by]}")


@torch.no_grad()
def caption_score(task: Any, batches: Iterable[Any], metric: str, device: torch.device) -> dict[str, float]:
    """The metric of captions generated for the batches of all processes: {"eval_METRIC": value}.

    A batch's `references` are what its captions are compared with, else the captions it should have.
    """
    was_training = task.training
    task.eval()
    texts: list[str] = []
    references: list[list[str]] = []
    for batch in batches:
        batch = to_device(batch, device)
        given = {name: batch[name] for name in ("video", "captions") if name in batch}
        texts += task.generate(batch["sound"], **given).texts
        own = [[task.model.language_model.decode(ids)] for ids in batch["ids"].tolist()]
        references += batch.get("references", own)
    task.train(was_training)
    parts = gathered((texts, references))
    texts, references = ([row for part in parts for row in part[i]] for i in (0, 1))
    found = score(texts, references, metric).corpus
    if metric not in found:
        raise ConfigError(f"best_by: {metric} needs two validation clips at the least, not {len(texts)}")
    return {f"eval_{metric}": found[metric]}
