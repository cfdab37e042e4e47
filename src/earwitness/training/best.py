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
    """Return the quality of weights from their metrics; more is better.

    At 64 x 20 tokens the transport loss is about 300, so the sum of all losses hardly reflects the captions.
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
    """Raise ConfigError if the metric by which the stage's weights are chosen cannot be computed here."""
    if stage.best_by not in METRICS:
        return
    texts = ["a dog barks", "rain falls"]
    missing = score(texts, [[text] for text in texts], stage.best_by).missing
    if missing:
        raise ConfigError(f"stage {stage.name}: best_by: {stage.best_by}: {missing[stage.best_by]}")


@torch.no_grad()
def caption_score(task: Any, batches: Iterable[Any], metric: str, device: torch.device) -> dict[str, float]:
    """Compute the metric of captions generated for the batches of all processes: {"eval_METRIC": value}.

    Captions are compared with a batch's `references`, else with its target captions.
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
