"""Repetition penalty on words in any form."""

from __future__ import annotations

import torch
from torch import Tensor
from transformers import LogitsProcessor, PreTrainedTokenizerBase

from earwitness.decoding.words import repeatable_kin


class RepetitionPenalty(LogitsProcessor):
    """Lowers the logits of generated words in all their forms. Ours.

    It avoids "a bell is ringing and a bell rings": a small model that has named all sounds, and continues,
    repeats one. tokenizer: the language model's. vocabulary_size: V, of its logits. penalty: subtracted from
    the logits of such words.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, vocabulary_size: int, penalty: float) -> None:
        self.penalty = penalty
        # tokens of the same word as token i; V, beside the vocabulary, where there are none: [V, most]
        self.kin = torch.from_numpy(repeatable_kin(tokenizer.get_vocab(), vocabulary_size))

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """input_ids: generated so far, [rows, L]. scores: [rows, V]."""
        self.kin = self.kin.to(input_ids.device)
        said = self.kin[input_ids].flatten(1)  # [rows, L most]
        taken = scores.new_zeros(len(scores), scores.shape[1] + 1).scatter(1, said, self.penalty)
        return scores - taken[:, :-1]
