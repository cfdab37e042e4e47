"""Prompts as the graphs take them: the ids of their text, and the order of text and audio embeddings."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from earwitness.runtime.beam_search import Ids

_SLOT = re.compile(r"(<(?:audio|tags|bos)>)")


class LaidOut(NamedTuple):
    """Prompts of B clips, padded on the left."""

    ids: Ids  # [B, T], the text of each
    order: Ids  # [B, P], a place in the text, or T + i for audio embedding i
    real: NDArray[np.bool_]  # [B, P]


def lay_out(
    template: str,
    tags: Sequence[str],
    *,
    audio_tokens: int,
    bos_id: int | None,
    tokenize: Callable[[str, bool], list[int]],
) -> LaidOut:
    """The prompt of each clip (slots: decoding/prompt.py). tags: the text of `<tags>`.

    audio_tokens: N_g. tokenize: (text, whether special tokens in it count) -> ids.
    """
    pieces = [piece for piece in _SLOT.split(template) if piece]
    rows = []
    for own in tags:
        row: list[int | None] = []  # None: an audio embedding
        for piece in pieces:
            if piece == "<audio>":
                row += [None] * audio_tokens
            elif piece == "<bos>":
                row += [] if bos_id is None else [bos_id]
            elif piece == "<tags>":
                row += tokenize(own, False)
            else:
                row += tokenize(piece, True)
        rows.append(row)
    texts = [[i for i in row if i is not None] for row in rows]
    longest_text, longest = max(map(len, texts)), max(map(len, rows))
    ids = np.zeros((len(rows), longest_text), np.int64)
    order = np.zeros((len(rows), longest), np.int64)
    real = np.zeros((len(rows), longest), bool)
    for clip, (row, text) in enumerate(zip(rows, texts)):
        ids[clip, : len(text)] = text
        is_audio = np.array([i is None for i in row])
        first = longest - len(row)
        order[clip, first:] = np.where(
            is_audio, longest_text + is_audio.cumsum() - 1, (~is_audio).cumsum() - 1
        )
        real[clip, first:] = True
    return LaidOut(ids, order, real)
