"""An encoder that can be frozen permanently, the statistics of its batch norms included."""

from __future__ import annotations

from typing import Self

from torch import nn


class Freezable(nn.Module):
    """nn.Module whose `freeze` also holds through later calls of `train()`."""

    frozen = False

    def freeze(self) -> Self:
        """Disable gradients and set evaluation mode permanently: `train()` has no effect afterwards."""
        self.frozen = True
        self.requires_grad_(False)
        return self.eval()

    def train(self, mode: bool = True) -> Self:
        """As nn.Module.train, but a frozen encoder stays in evaluation mode."""
        return super().train(mode and not self.frozen)
