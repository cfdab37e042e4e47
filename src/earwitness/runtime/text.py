"""The language model's text without transformers: tokens in, words out, exactly as
decoding/language_model.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from earwitness.runtime.beam_search import Ids
from earwitness.runtime.byte_pairs import BytePairs
from earwitness.runtime.settings import TOKENIZER, ExportError, Settings


class Text:
    """The tokenizer of an exported checkpoint."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        """Raises ExportError for a tokenizer of another kind than BytePairs."""
        try:
            self._tokenizer = BytePairs(folder / TOKENIZER)
        except ValueError as error:
            raise ExportError(str(error)) from None
        self._end, self._unknown = settings.eos_id, settings.unknown_id
        self._special = frozenset(settings.special_ids)

    @property
    def vocabulary(self) -> dict[str, int]:
        """Token -> id."""
        return self._tokenizer.vocabulary

    def tokenize(self, text: str, special: bool = False) -> list[int]:
        """Ids of a text. What looks like a special token is one only if `special`, else left out."""
        ids = self._tokenizer.encode(text)
        return ids if special else [i for i in ids if i not in self._special or i == self._unknown]

    def encode_captions(self, captions: Sequence[str]) -> tuple[Ids, NDArray[np.bool_]]:
        """Captions -> ids and mask [M, L], the end of sequence last, padded on the right."""
        rows = [[*self.tokenize(caption), self._end] for caption in captions]
        lengths = np.array([len(row) for row in rows])
        ids = np.full((len(rows), lengths.max()), self._end, np.int64)
        for own, row in zip(ids, rows):
            own[: len(row)] = row
        return ids, np.arange(ids.shape[1]) < lengths[:, None]

    def decode(self, ids: Sequence[int]) -> str:
        """Generated ids -> text up to the end of sequence, single spaces, without special tokens."""
        kept: list[int] = []
        for i in ids:
            if i == self._end:
                break
            if i not in self._special:
                kept.append(i)
        return " ".join(self._tokenizer.decode(kept).split())
