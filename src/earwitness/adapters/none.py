"""No audio tokens: the language model reads the tags in the prompt, and nothing else of the sound. Ours."""

from __future__ import annotations

from torch import nn

from earwitness.embeds import Embeds


class NoTokens(nn.Module):
    """Embeds [B, N, dim] -> Embeds [B, 0, dim_llm]."""

    def __init__(self, *, dim: int, dim_llm: int) -> None:
        super().__init__()
        self.dim_llm = dim_llm

    def forward(self, x: Embeds) -> Embeds:
        return Embeds.full(x.values[:, :0, :1].expand(-1, -1, self.dim_llm))

    adapt_whole = forward
