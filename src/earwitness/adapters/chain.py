"""Adapters one after another, for example FFT adapter -> Q-Former (DistillCaps)."""

from __future__ import annotations

from torch import nn

from earwitness.embeds import Embeds


class Chain(nn.Module):
    """Applies its parts in order, each Embeds -> Embeds. Without parts it returns its input."""

    def __init__(self, *parts: nn.Module) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)

    def forward(self, x: Embeds) -> Embeds:
        for part in self.parts:
            x = part(x)
        return x
