"""Tag guide: raise the scores of words that name the encoder's tags, until they are decoded. Ours.

    z_hat_i = z_i + weight * max over tags t of p_t [token i begins a word of t, and none is generated yet]

For unclear audio, beam search falls back on frequent captions; the tag head, trained on many more scenes, is
often more accurate.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from transformers import LogitsProcessor, PreTrainedTokenizerBase

from earwitness.decoding.guides import Encoded
from earwitness.decoding.words import MIN_GUIDING_PROBABILITY, named_by_tags


class TagGuide:
    """Maps tags to tokens; builds the logits processor of a batch.

    tags: their names, [tags]. tokenizer: the language model's. vocabulary_size: V, of its logits. weight:
    added to the logit of a word that names a tag of probability 1.
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
        names, kin = named_by_tags(tags, tokenizer.get_vocab(), vocabulary_size)
        self.names = torch.zeros(len(tags), vocabulary_size)  # 1: token i begins a word of tag t
        for row, own in zip(self.names, names):
            row[own] = 1.0
        self.kin = torch.from_numpy(kin)  # [V, most]

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
            if (present := row >= MIN_GUIDING_PROBABILITY).any():
                change[clip] = self.weight * (row[present, None] * self.names[present]).amax(0)
        return TagGuideProcessor(change, self.kin)


class TagGuideProcessor(LogitsProcessor):
    """change: [B, V]. kin: [V, n], tokens of the same word as a token. Rows are batch x beams."""

    def __init__(self, change: Tensor, kin: Tensor) -> None:
        self.change, self.kin = change, kin
        self._rows = change

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        if len(self._rows) != len(scores):
            self._rows = self.change.repeat_interleave(len(scores) // len(self.change), 0)
        said = self.kin[input_ids].flatten(1)  # [rows, L n]: decoded words are not raised again
        return (scores + self._rows.to(scores.dtype)).scatter(1, said, scores.gather(1, said))
