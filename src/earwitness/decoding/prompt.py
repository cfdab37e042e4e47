"""Prompts: the text around the audio embeddings."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from earwitness.embeds import Embeds, length_mask

LAMB_PROMPT = "<audio>Describe the sound:"
"""z_a first, then the instruction (LAMB); the wording is ours, the paper prints none."""

_SLOT = re.compile(r"(<(?:audio|video|captions|tags|bos)>)")


class EmbedsTokens(Protocol):
    """What a prompt needs of a language model."""

    @property
    def bos_id(self) -> int | None: ...

    def tokenize(self, text: str, *, special: bool = False) -> list[int]: ...

    def embed(self, ids: Tensor) -> Tensor: ...


class Prompt:
    """A template with slots: `<audio>` (needed), `<video>`, `<captions>` (retrieved captions), `<bos>`, and
    `<tags>` (names of the encoder's probable tags, see tag_prompt.py).

    Slots are lower-case and exact; anything else, such as `<Audio>`, is text. The text between the slots is
    tokenized piece by piece. "<audio>" alone is z_a alone. `<bos>` is nothing for a model without that token.
    """

    def __init__(self, template: str = LAMB_PROMPT, *, caption_separator: str = "\n\n") -> None:
        self.template = template
        self.caption_separator = caption_separator
        self.pieces = [piece for piece in _SLOT.split(template) if piece]
        if self.pieces.count("<audio>") != 1 or self.pieces.count("<video>") > 1:
            raise ValueError(f"a prompt needs exactly one <audio> and at most one <video>: {template!r}")

    def __repr__(self) -> str:
        return f"Prompt({self.template!r})"

    def build(
        self,
        language_model: EmbedsTokens,
        audio: Embeds,
        *,
        video: Embeds | None = None,
        captions: Sequence[Sequence[str]] | None = None,
        tags: Sequence[str] | None = None,
    ) -> Embeds:
        """Build the prefix that the caption continues: [B, P, D_llm] with its mask (rows may have inner
        padding).

        audio, video: embeddings [B, N, D_llm]. captions, tags: those of each of the B clips,
        tags as one text each.
        Raises ValueError if the slots of the template and the arguments differ.
        """
        for slot, given in (("<video>", video), ("<captions>", captions), ("<tags>", tags)):
            if (slot in self.pieces) != (given is not None):
                raise ValueError(
                    f"{slot} {'given to' if given is not None else 'needed by'} prompt {self.template!r}"
                )
        texts = {
            "<captions>": [self.caption_separator.join(own) for own in captions or []],
            "<tags>": list(tags or []),
        }
        for slot, given in (("<captions>", captions), ("<tags>", tags)):
            if given is not None and len(given) != len(audio.values):
                raise ValueError(f"{len(given)} lists of {slot[1:-1]} for {len(audio.values)} clips")
        parts = [self._fill(piece, language_model, audio, video, texts) for piece in self.pieces]
        return Embeds(torch.cat([p.values for p in parts], 1), torch.cat([p.mask for p in parts], 1))

    def _fill(
        self,
        piece: str,
        language_model: EmbedsTokens,
        audio: Embeds,
        video: Embeds | None,
        texts: dict[str, list[str]],
    ) -> Embeds:
        if piece == "<audio>":
            return audio
        if piece == "<video>" and video is not None:
            return Embeds(video.values.to(audio.values.dtype), video.mask)
        if piece in texts:
            rows = [language_model.tokenize(text) for text in texts[piece]]
        elif piece == "<bos>":
            rows = [[] if language_model.bos_id is None else [language_model.bos_id]]
        else:
            rows = [
                language_model.tokenize(piece, special=True)
            ]  # special tokens of chat models, such as <|im_start|>
        return _embed_rows(language_model, rows, audio.values)


def _embed_rows(language_model: EmbedsTokens, rows: list[list[int]], like: Tensor) -> Embeds:
    """Token ids, one list for each clip or one for all -> Embeds [B, longest, D_llm] typed as `like`."""
    longest = max(len(row) for row in rows)
    ids = torch.tensor(
        [row + [0] * (longest - len(row)) for row in rows], device=like.device, dtype=torch.long
    )
    lengths = torch.tensor([len(row) for row in rows], device=like.device)
    batch = len(like)
    values = language_model.embed(ids).to(like.dtype).expand(batch, -1, -1)
    return Embeds(values, length_mask(lengths, longest).expand(batch, -1))
