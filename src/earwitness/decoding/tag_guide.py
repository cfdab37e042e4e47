"""Tag guide: the words that name what the encoder's tag head hears come more easily, until said. Ours.

    z_hat_i = z_i + weight * max over tags t of p_t [token i begins a word of t, and none such is said yet]

A search for the most probable caption falls back on what captions mostly say where the sound is unclear; the
tag head, which learnt from many more scenes, may well know that it is a bell.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import torch
from torch import Tensor
from transformers import LogitsProcessor, PreTrainedTokenizerBase

HEARD = 0.08  # tags below this probability raise nothing
_WORD = re.compile(r"[a-z]{3,}")
_FIRST_TOKEN = re.compile(r"[Ġ▁]([a-z]{3,})")  # of a word, as byte-level and sentencepiece tokenizers mark it
_ENDING = re.compile(r"(?:ing|ed|es|s|e)$")
# Words of tags that say how, where or how much, and fit any sound.
_VAGUE = frozenset(
    _ENDING.sub("", word)
    for word in "large small sound noise female male ambience mic run running pass close open fall up".split()
)


def _stem(word: str) -> str:
    return _ENDING.sub("", word)


class TagGuide:
    """What tags and tokens have to do with each other; makes the logits processor of a batch.

    tags: their names, [tags]. tokenizer: the language model's. vocabulary_size: V, of its logits. weight:
    what a tag that is certain adds to the logit of a word that names it.
    """

    def __init__(
        self,
        tags: Sequence[str],
        tokenizer: PreTrainedTokenizerBase,
        vocabulary_size: int,
        weight: float,
    ) -> None:
        if not tags:
            raise ValueError("a tag guide needs an encoder whose tags have names")
        self.weight = weight
        stems = [{_stem(word) for word in _WORD.findall(tag.lower())} - _VAGUE for tag in tags]
        column = {stem: 1 + i for i, stem in enumerate(sorted(set().union(*stems)))}  # 0: no tag's word
        self.names = torch.zeros(len(tags), 1 + len(column))
        for row, own in enumerate(stems):
            self.names[row, [column[stem] for stem in own]] = 1.0
        self.stem_of = torch.zeros(vocabulary_size, dtype=torch.long)
        for token, i in tokenizer.get_vocab().items():
            if (found := _FIRST_TOKEN.fullmatch(token)) and i < vocabulary_size:
                self.stem_of[i] = column.get(_stem(found[1]), 0)

    def processor(self, probabilities: Tensor) -> TagGuideProcessor:
        """The logits processor for one batch of clips with tag probabilities [B, tags]."""
        self.names, self.stem_of = (x.to(probabilities.device) for x in (self.names, self.stem_of))
        change = probabilities.new_zeros(len(probabilities), self.names.shape[1])
        for clip, row in enumerate(probabilities):
            if (heard := row >= HEARD).any():
                change[clip] = self.weight * (row[heard, None] * self.names[heard]).amax(0)
        return TagGuideProcessor(change, self.stem_of)


class TagGuideProcessor(LogitsProcessor):
    """change: [B, stems], of which the first is 0. stem_of: [V]. Rows are batch x beams, as TokenGuide's."""

    def __init__(self, change: Tensor, stem_of: Tensor) -> None:
        self.change, self.stem_of = change, stem_of

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:  # type: ignore[override]
        change = self.change.repeat_interleave(len(scores) // len(self.change), 0)
        change = change.scatter(1, self.stem_of[input_ids], 0.0)  # what is said needs no help
        return scores + change[:, self.stem_of].to(scores.dtype)
