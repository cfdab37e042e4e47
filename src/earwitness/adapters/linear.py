"""Linear adapter: one linear map per token."""

from __future__ import annotations

from torch import nn

from earwitness.embeds import Embeds


class LinearAdapter(nn.Module):
    """Embeds [B, N, dim] -> Embeds [B, N, dim_llm]; tokens and mask are unchanged."""

    def __init__(self, *, dim: int, dim_llm: int) -> None:
        super().__init__()
        self.projection = nn.Linear(dim, dim_llm)

    def forward(self, x: Embeds) -> Embeds:
        return Embeds(self.projection(x.values), x.mask)
