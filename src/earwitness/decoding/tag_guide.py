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

from earwitness.decoding.guides import Encoded
from earwitness.decoding.repetition_penalty import stem, word_forms

HEARD = 0.08  # tags below this probability raise nothing
_WORD = re.compile(r"[a-z]{3,}")
# Words of tags that say how, where or how much, and fit any sound.
VAGUE = frozenset(
    stem(word)
    for word in "large small sound noise female male ambience mic run running pass close open fall up".split()
)


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
        stems = [{stem(word) for word in _WORD.findall(tag.lower())} - VAGUE for tag in tags]
        named = set().union(*stems)
        forms = {s: own for s, own in word_forms(tokenizer, vocabulary_size).items() if s in named}
        self.names = torch.zeros(len(tags), vocabulary_size)  # 1: token i begins a word of tag t
        for row, own in enumerate(stems):
            self.names[row, [i for word in own for i in forms.get(word, ())]] = 1.0
        # the tokens of the same stem as token i, as often as it takes to fill the row: [V, most]
        most = max(map(len, forms.values()), default=1) or 1
        self.kin = torch.arange(vocabulary_size)[:, None].repeat(1, most)
        for own_forms in forms.values():
            for i in own_forms:
                self.kin[i, : len(own_forms)] = torch.tensor(own_forms)

    def processor(self, encoded: Encoded, table: Tensor | None = None) -> TagGuideProcessor:
        """The logits processor of a batch by its tag probabilities. The token table is not used.

        Raises ValueError if the batch has no tag probabilities.
        """
        probabilities = encoded.tag_probabilities
        if probabilities is None:
            raise ValueError("a tag guide needs an encoder that gives tag probabilities")
        self.names, self.kin = (x.to(probabilities.device) for x in (self.names, self.kin))
        change = probabilities.new_zeros(len(probabilities), self.names.shape[1])
        for clip, row in enumerate(probabilities):
            if (heard := row >= HEARD).any():
                change[clip] = self.weight * (row[heard, None] * self.names[heard]).amax(0)
        return TagGuideProcessor(change, self.kin)


class TagGuideProcessor(LogitsProcessor):
    """change: [B, V]. kin: [V, n], tokens that are said with a token. Rows are batch x beams."""

    def __init__(self, change: Tensor, kin: Tensor) -> None:
        self.change, self.kin = change, kin
        self._rows = change

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:  # type: ignore[override]
        if len(self._rows) != len(scores):
            self._rows = self.change.repeat_interleave(len(scores) // len(self.change), 0)
        said = self.kin[input_ids].flatten(1)  # [rows, L n]: what is said needs no help
        return (scores + self._rows.to(scores.dtype)).scatter(1, said, scores.gather(1, said))
