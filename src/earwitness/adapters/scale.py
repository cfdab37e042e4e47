"""Scale: audio embeddings with the norm of the language model's token embeddings. Ours."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from earwitness.embeds import Embeds


class Scale(nn.Module):
    """Normalise embeddings [B, N, D_llm] to one learnable norm.

    An untrained adapter's outputs have norms of 13 to 14, the token embeddings of SmolLM2 of 3: outputs so
    far outside of the language model's embeddings dominate its input, and alignment losses cannot correct
    that. table: the language model's embeddings [V, D_llm], whose mean norm is the initial value; or that
    norm.
    """

    def __init__(self, table: Tensor | float) -> None:
        super().__init__()
        length = (
            table.detach().float().norm(dim=1).mean() if isinstance(table, Tensor) else torch.tensor(table)
        )
        self.length = nn.Parameter(length.reshape(1).float())  # [1]: FSDP cannot shard scalars

    def forward(self, x: Embeds) -> Embeds:
        return Embeds(self.length * nn.functional.normalize(x.values, dim=-1), x.mask)
