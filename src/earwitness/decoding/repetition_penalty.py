"""Words and the tokens that begin them; and words that were said come again less easily."""

from __future__ import annotations

import re
from collections import defaultdict

import torch
from torch import Tensor
from transformers import LogitsProcessor, PreTrainedTokenizerBase

_FIRST_TOKEN = re.compile(r"[Ġ▁]([a-z]{3,})")  # of a word, as byte-level and sentencepiece tokenizers mark it
_ENDING = re.compile(r"(?<=[a-z]{3})(?:ing|ed|es|s|e)$")  # "ring" has none
# Words that tie sounds together, or say when and where, are said as often as they are needed.
_FREE = """
then while with from into over near nearby very being there followed following other another
several some something more multiple time times background distance
"""


def stem(word: str) -> str:
    """A lower-case word without its ending: what its forms have in common."""
    return _ENDING.sub("", word)


def word_forms(
    tokenizer: PreTrainedTokenizerBase, vocabulary_size: int, shortest: int = 3
) -> dict[str, list[int]]:
    """Stem -> the tokens that begin a word of it; of words of so many letters and more."""
    forms: dict[str, list[int]] = defaultdict(list)
    for token, i in tokenizer.get_vocab().items():
        found = _FIRST_TOKEN.fullmatch(token)
        if found and len(found[1]) >= shortest and i < vocabulary_size:
            forms[stem(found[1])].append(i)
    return dict(forms)


class RepetitionPenalty(LogitsProcessor):
    """Makes words that were said come again less easily, in any form. Ours.

    No "a bell is ringing and a bell rings": a small model that has named what it heard, and goes on, names it
    once more. tokenizer: the language model's. vocabulary_size: V, of its logits. penalty: what is taken from
    the logits of such words.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, vocabulary_size: int, penalty: float) -> None:
        self.penalty = penalty
        free = {stem(word) for word in _FREE.split()}
        # "are", "his", "two" are said as often as they are needed, too
        forms = [own for s, own in word_forms(tokenizer, vocabulary_size, 4).items() if s not in free]
        # the tokens of the same stem as token i; none are V, a place beside the vocabulary: [V, most]
        most = max(map(len, forms), default=1)
        self.kin = torch.full((vocabulary_size, most), vocabulary_size)
        for own in forms:
            self.kin[own, : len(own)] = torch.tensor(own)

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:  # type: ignore[override]
        """input_ids: said so far, [rows, L]. scores: [rows, V]."""
        self.kin = self.kin.to(input_ids.device)
        said = self.kin[input_ids].flatten(1)  # [rows, L most]
        taken = scores.new_zeros(len(scores), scores.shape[1] + 1).scatter(1, said, self.penalty)
        return scores - taken[:, :-1]
