"""Freeze a tower, train LoRA on it, or train all of it."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from earwitness.config.errors import ConfigError, did_you_mean
from earwitness.config.towers import Tower

_LORA = "lora_"  # in the names of the tensors that peft adds
STATISTICS = ("running_mean", "running_var", "num_batches_tracked")


def prepare(tower: Any, section: Tower) -> Any:
    """Inject LoRA where the section sets it, set which parameters are trained, and return the tower.

    Raises ConfigError for a named projection that is not there.
    """
    if section.tune == "lora":
        check_targets(tower, section.lora.targets)
        from peft import LoraConfig, inject_adapter_in_model  # seconds to import

        lora = section.lora
        settings = LoraConfig(
            r=lora.r, lora_alpha=lora.alpha, lora_dropout=lora.dropout, target_modules=lora.targets
        )
        inject_adapter_in_model(settings, tower)
        for name, parameter in tower.named_parameters():
            if _LORA in name:  # in the tower's precision AdamW's steps of 1e-6 would round to nothing
                parameter.data = parameter.data.float()
    restore(tower, section)
    return tower


def check_targets(tower: nn.Module, targets: list[str]) -> None:
    """Raises ConfigError naming targets that are no linear projection of the tower, and those there are.

    PEFT skips a missing target as long as another one exists.
    """
    linear = ("Linear", "Conv1D")  # GPT-2's; quantized ones are called Linear4bit and Linear8bitLt
    names = [name for name, module in tower.named_modules() if type(module).__name__.startswith(linear)]
    if strange := [t for t in targets if not any(f".{name}".endswith(f".{t}") for name in names)]:
        known = sorted({name.rpartition(".")[2] for name in names if not name.rpartition(".")[2].isdigit()})
        raise ConfigError(
            f"lora.targets: the tower has no projection {', '.join(strange)}"
            f"{did_you_mean(strange[0], known)}; it has {', '.join(known)}"
        )


def restore(tower: nn.Module, section: Tower) -> None:
    """Set requires_grad of every parameter as the section says, whatever a stage of training changed."""
    if section.tune == "freeze" and hasattr(tower, "freeze"):
        tower.freeze()  # type: ignore[operator]
        return
    for name, parameter in tower.named_parameters():
        trained = section.tune == "full" or (section.tune == "lora" and _LORA in name)
        # quantized weights are integers, which take no gradient
        parameter.requires_grad_(trained and parameter.is_floating_point())


def hold_borrowed(tower: nn.Module, section: Tower, dtype: torch.dtype) -> None:
    """Cast the weights that are not trained to `dtype`; trained ones keep their precision."""
    for name, parameter in tower.named_parameters():
        if is_borrowed(section, name) and parameter.is_floating_point():
            parameter.data = parameter.data.to(dtype)


def is_borrowed(section: Tower, name: str, released: bool = False) -> bool:
    """Return whether a tensor of a tower stays as its source has it and need not be saved.

    The statistics of batch norms are saved with any trained encoder; in released fidelity they move even
    where it is frozen.
    """
    if section.source is None or section.tune == "full":
        return False
    if name.endswith(STATISTICS) and (section.tune == "lora" or released):
        return False
    return _LORA not in name
