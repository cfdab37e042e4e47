"""Gradient checkpointing of a language model, frozen ones included."""

from __future__ import annotations

from functools import wraps
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint
from transformers.modeling_layers import GradientCheckpointingLayer

from earwitness.config.errors import ConfigError


def set_recomputing(model: Any, wanted: bool, *, frozen: bool) -> None:
    """Recompute the layers of a transformers model in the backward pass, or keep what they computed.

    frozen: whether it stays in eval mode, in which transformers' own checkpointing does nothing: its layers
    are then wrapped here, and the gradient that passes through them costs the memory of one layer. Raises
    ConfigError for a model without layers that can be recomputed.
    """
    layers = [module for module in model.modules() if isinstance(module, GradientCheckpointingLayer)]
    if wanted and not (layers and model.supports_gradient_checkpointing):
        raise ConfigError(
            f"gradient_checkpointing: {type(model).__name__} has no layers to recompute; leave it out"
        )
    for layer in layers:
        layer.__dict__.pop("forward", None)
    if wanted:
        model.gradient_checkpointing_enable({"use_reentrant": False})
        for layer in layers if frozen else ():
            layer.forward = _recomputed(layer)
    elif model.is_activation_checkpointing:
        model.gradient_checkpointing_disable()


def _recomputed(layer: nn.Module) -> Any:
    forward = type(layer).forward

    @wraps(forward)
    def run(*args: Any, **kwargs: Any) -> Any:
        if layer.training or not torch.is_grad_enabled():
            return forward(layer, *args, **kwargs)
        return checkpoint(forward, layer, *args, use_reentrant=False, **kwargs)

    return run
