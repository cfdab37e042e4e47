"""The interface of guides, which build a logits processor for an encoded batch."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from torch import Tensor
from transformers import LogitsProcessor

from earwitness.embeds import Embeds


class Encoded(NamedTuple):
    """A batch of clips as the model encoded it."""

    h_a: Embeds  # audio tokens [B, N_a, D]
    z_a: Embeds  # audio embeddings [B, N_g, D_llm]
    tag_probabilities: Tensor | None = None  # [B, tags], where the encoder has tags
    token_tag_probabilities: Tensor | None = None  # [B, N_a, tags], where it has tags in time


class Guide(Protocol):
    """Builds the logits processor of a batch, which is called with batch x beams rows."""

    def processor(self, encoded: Encoded, table: Tensor) -> LogitsProcessor:
        """table: the language model's token table [V, D_llm]."""
        ...
