"""Order guide: forbid words of order where the tags over time show no order. Ours.

"followed by", "then", "before", "after" claim that one sound follows another. They are forbidden unless two
probable tags of different sources are active at times that hardly overlap (docs/ideas/order_guide.md).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from transformers import LogitsProcessor, PreTrainedTokenizerBase

from earwitness.decoding.guides import Encoded
from earwitness.decoding.words import ACTIVE_SHARE, MAX_OVERLAP, MIN_TAG_PROBABILITY, order_tokens


def in_order(tags: Tensor, tokens: Tensor, mask: Tensor, distinct: Tensor) -> Tensor:
    """Whether any two probable tags of a clip follow each other: bool [B].

    tags: probabilities of the clips [B, tags]. tokens: of every token [B, N, tags]. mask: real tokens [B, N].
    distinct: whether two tags name different sources, bool [tags, tags].
    """
    tokens = tokens * mask[..., None]
    active = (tokens >= ACTIVE_SHARE * tokens.amax(1, keepdim=True)) & mask[..., None]
    active = active & (tags >= MIN_TAG_PROBABILITY)[:, None]  # [B, N, tags]
    activity = active.to(tokens.dtype)
    overlap = torch.einsum("bni,bnj->bij", activity, activity)  # tokens at which both are active
    length = activity.sum(1)  # [B, tags]
    shorter = torch.minimum(length[:, :, None], length[:, None])
    follows = (shorter > 0) & (overlap <= MAX_OVERLAP * shorter) & distinct
    return follows.any(2).any(1)


class OrderGuide:
    """Forbids words of order. tokenizer: the language model's. vocabulary_size: V, of its logits.

    sources: the family of each tag, None for a tag that names no source of sound or any of many.
    """

    def __init__(
        self, sources: Sequence[str | None], tokenizer: PreTrainedTokenizerBase, vocabulary_size: int
    ) -> None:
        self.distinct = torch.tensor([[a != b and None not in (a, b) for b in sources] for a in sources])
        self.tokens = torch.tensor(order_tokens(tokenizer.get_vocab(), vocabulary_size))

    def processor(self, encoded: Encoded, table: Tensor) -> LogitsProcessor:
        assert encoded.tag_probabilities is not None and encoded.token_tag_probabilities is not None
        times = encoded.token_tag_probabilities
        distinct = self.distinct.to(times.device)
        ordered = in_order(encoded.tag_probabilities, times, encoded.h_a.mask, distinct)
        return OrderProcessor(ordered, self.tokens.to(table.device))


class OrderProcessor(LogitsProcessor):
    """ordered: bool [B]. tokens: those that begin a word of order. Rows of scores are batch x beams."""

    def __init__(self, ordered: Tensor, tokens: Tensor) -> None:
        self.ordered, self.tokens = ordered, tokens

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        ordered = self.ordered.repeat_interleave(len(scores) // len(self.ordered), 0)
        scores = scores.clone()
        scores[:, self.tokens] = scores[:, self.tokens].masked_fill(~ordered[:, None], float("-inf"))
        return scores
