"""Audio embeddings as long as the language model's own. Ours."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from earwitness.embeds import Embeds


class Scale(nn.Module):
    """Embeds [B, N, D_llm] -> the same directions, each of one length, which is learnt.

    A fresh adapter's outputs are 13 to 14 long, the token embeddings of SmolLM2 3: what is far outside of the
    embeddings a language model knows drowns them, and losses of alignment cannot draw it in. table: the
    language model's [V, D_llm], whose mean length the outputs begin with; or that length itself.
    """

    def __init__(self, table: Tensor | float) -> None:
        super().__init__()
        length = (
            table.detach().float().norm(dim=1).mean() if isinstance(table, Tensor) else torch.tensor(table)
        )
        self.length = nn.Parameter(length.reshape(1).float())  # [1]: FSDP deals out no single numbers

    def forward(self, x: Embeds) -> Embeds:
        return Embeds(self.length * nn.functional.normalize(x.values, dim=-1), x.mask)
