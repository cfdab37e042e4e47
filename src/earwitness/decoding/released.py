"""Peculiarities of the released code of LOAE, LAVCap and DistillCaps around the language model.

They reproduce its numbers, and are separate from the recommended forms.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import torch
from torch import Tensor

from earwitness.decoding.causal import CausalLanguageModel
from earwitness.decoding.prompt import EmbedsTokens, Prompt, _embed_rows
from earwitness.embeds import Embeds


class ReleasedCausalLanguageModel(CausalLanguageModel):
    """Trains with positions that count padding, wherever it is, also inside the prompt.

    A row's logits thereby depend on how long its batch mates' prompts are. Captions are padded with the
    unknown token. (Generation counts positions by real tokens, as everywhere.)
    """

    def logits(self, prefix: Embeds, ids: Tensor, mask: Tensor) -> Tensor:
        padding = self.eos_id if self._unknown_id is None else self._unknown_id
        ids = ids.masked_fill(~mask, padding)
        table = self.token_table
        embeddings = torch.cat([prefix.values.to(table.dtype), self.embed(ids[:, :-1])], 1)
        attended = torch.cat([prefix.mask, mask[:, :-1]], 1)
        positions = torch.arange(attended.shape[1], device=attended.device).expand_as(attended)
        output = self.model(
            inputs_embeds=embeddings,
            attention_mask=attended.long(),
            position_ids=positions,
            use_cache=False,
            logits_to_keep=ids.shape[1],
        )
        return output.logits

    def branches(self, prefixes: Sequence[Embeds], ids: Tensor, mask: Tensor) -> tuple[Tensor, ...]:
        """One after the other: in one batch, padding would move the positions of the shorter prompts."""
        return tuple(self.logits(prefix, ids, mask) for prefix in prefixes)


class ReleasedPrompt(Prompt):
    """Tokenizes the retrieved captions together with the text around them, then pads on the right.

    Text like a special token inside a retrieved caption is encoded as one.
    """

    def __init__(self, template: str, *, caption_separator: str = "\n\n") -> None:
        super().__init__(template, caption_separator=caption_separator)
        runs = re.findall(r"<(?:audio|video|bos)>|(?:(?!<(?:audio|video|bos)>).)+", template, re.DOTALL)
        self.pieces = [run for run in runs if run]
        self.wants_captions = "<captions>" in template

    def build(
        self,
        language_model: EmbedsTokens,
        audio: Embeds,
        *,
        video: Embeds | None = None,
        captions: Sequence[Sequence[str]] | None = None,
        tags: Sequence[Sequence[str]] | None = None,
    ) -> Embeds:
        if self.wants_captions != (captions is not None):
            raise ValueError(
                f"captions must be given if and only if the prompt names them: {self.template!r}"
            )
        parts = []
        for piece in self.pieces:
            if captions is not None and "<captions>" in piece:
                texts = [piece.replace("<captions>", self.caption_separator.join(own)) for own in captions]
                rows = [language_model.tokenize(text, special=True) for text in texts]
                parts.append(_embed_rows(language_model, rows, audio.values))
            else:
                parts.append(self._fill(piece, language_model, audio, video, {}))
        return Embeds(torch.cat([p.values for p in parts], 1), torch.cat([p.mask for p in parts], 1))
