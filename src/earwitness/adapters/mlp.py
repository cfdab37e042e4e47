"""Connectors into the language model's embedding space: one linear map, or two with GELU between them."""

from __future__ import annotations

from typing import Literal

from torch import nn

from earwitness.embeds import Embeds


def connector(kind: Literal["linear", "mlp"], dim: int, dim_llm: int, hidden: int | None = None) -> nn.Module:
    """[..., dim] -> [..., dim_llm]. hidden: width between the two maps of an MLP; None: dim_llm."""
    if kind == "linear":
        return nn.Linear(dim, dim_llm)
    hidden = hidden or dim_llm
    return nn.Sequential(nn.Linear(dim, hidden), nn.GELU(), nn.Linear(hidden, dim_llm))


class MlpAdapter(nn.Module):
    """Embeds [B, N, dim] -> Embeds [B, N, dim_llm]; tokens and mask are unchanged."""

    def __init__(self, *, dim: int, dim_llm: int, hidden: int | None = None) -> None:
        super().__init__()
        self.projection = connector("mlp", dim, dim_llm, hidden)

    def forward(self, x: Embeds) -> Embeds:
        return Embeds(self.projection(x.values), x.mask)
