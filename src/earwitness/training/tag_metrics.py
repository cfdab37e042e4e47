"""Tagging accuracy: mean average precision over classes."""

from __future__ import annotations

import torch
from torch import Tensor


def average_precision(scores: Tensor, truth: Tensor) -> float:
    """Area under precision over recall of one class. scores [N], truth [N] of 0 and 1, at least one 1."""
    hit = truth[scores.argsort(descending=True, stable=True)]
    precision = hit.cumsum(0) / torch.arange(1, len(hit) + 1)
    return float((precision * hit).sum() / hit.sum())


def mean_average_precision(scores: Tensor, truth: Tensor, least: int = 3) -> float:
    """Mean over the classes with at least `least` positives. scores, truth: [N, C]."""
    classes = (truth.sum(0) >= least).nonzero().flatten().tolist()
    if not classes:
        return float("nan")
    return sum(average_precision(scores[:, c], truth[:, c]) for c in classes) / len(classes)
