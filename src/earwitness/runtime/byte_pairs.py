"""Byte-pair encoding of bytes (Sennrich et al. 2016; Radford et al. 2019), from a tokenizer.json.

It gives the ids of the library tokenizers, which with what it requires is a tenth of a light installation.
Of that library's many kinds of tokenizers this is the one that a language model without a source is trained
with (training/beginning.py).
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

CONTRACTIONS = re.compile(r"'(?:s|t|re|ve|m|ll|d)")
# Words, in the classes of their characters: L letters, N numbers, S white space but for the blank, O others.
WORDS = re.compile(r" ?L+| ?N+| ?O+|[ S]+(?![LNO])|[ S]+")
SPACES = frozenset("\t\n\v\f\r\x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000") | {
    chr(i) for i in range(0x2000, 0x200B)
}
FLAGS = ("single_word", "lstrip", "rstrip", "normalized")  # of added tokens
OF_MODEL = (
    *("dropout", "continuing_subword_prefix", "end_of_word_suffix"),
    *("fuse_unk", "byte_fallback", "ignore_merges"),
)
CACHED = 4096  # words


class _Classes(dict[int, str]):
    """Code point -> class."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        kind = unicodedata.category(character)[0]
        known = " " if character == " " else "S" if character in SPACES else kind if kind in "LN" else "O"
        return self.setdefault(code, known)


_CLASSES = _Classes()


def _alphabet() -> str:
    """A printable character for each byte: itself, or one from 256 on."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = iter(range(256, 512))
    return "".join(chr(byte if byte in printable else next(others)) for byte in range(256))


ALPHABET = _alphabet()
BYTES = {character: byte for byte, character in enumerate(ALPHABET)}


class BytePairs:
    """encode("a dog barks") -> ids; decode(ids) -> text."""

    def __init__(self, file: Path) -> None:
        """Raises ValueError for a tokenizer of another kind."""
        data = json.loads(file.read_text(encoding="utf-8"))
        if (lacks := unlike(data)) is not None:
            raise ValueError(f"{file} is no byte-level byte-pair encoding: {lacks}")
        model, added = data["model"], {token["content"]: token["id"] for token in data["added_tokens"]}
        self.vocabulary: dict[str, int] = model["vocab"] | added
        self._tokens = {i: token for token, i in self.vocabulary.items()}
        pairs = (tuple(pair.split(" ")) if isinstance(pair, str) else tuple(pair) for pair in model["merges"])
        self._ranks = {pair: rank for rank, pair in enumerate(pairs)}
        self._unknown = model["unk_token"]
        self._prefix = data["pre_tokenizer"]["add_prefix_space"]
        longest_first = sorted(map(re.escape, added), key=len, reverse=True)
        self._added = re.compile("(" + "|".join(longest_first) + ")") if added else None
        self._ids = lru_cache(CACHED)(self._ids_of_word)

    def encode(self, text: str) -> list[int]:
        """Ids of a text; what looks like an added token is one."""
        pieces = [text] if self._added is None else self._added.split(text)
        ids: list[int] = []
        for i, piece in enumerate(pieces):
            if i % 2:
                ids.append(self.vocabulary[piece])
            elif piece:
                for word in _words(" " + piece if self._prefix and not piece.startswith(" ") else piece):
                    ids += self._ids(word)
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        data = bytearray()
        for i in ids:
            token = self._tokens.get(i, "")
            plain = any(character not in BYTES for character in token)  # an added one
            data += token.encode() if plain else bytes(BYTES[character] for character in token)
        return data.decode("utf-8", "replace")

    def _ids_of_word(self, word: str) -> tuple[int, ...]:
        symbols = [ALPHABET[byte] for byte in word.encode("utf-8", "replace")]
        symbols = [each if each in self.vocabulary else self._unknown for each in symbols]
        symbols = [each for each in symbols if each is not None]
        never = len(self._ranks)
        while len(symbols) > 1:
            ranks = [self._ranks.get(pair, never) for pair in pairwise(symbols)]
            best = min(ranks)
            if best == never:
                break
            at = ranks.index(best)
            symbols[at : at + 2] = [symbols[at] + symbols[at + 1]]
        return tuple(self.vocabulary[symbol] for symbol in symbols)


def unlike(data: dict[str, Any]) -> str | None:
    """What of a tokenizer.json BytePairs cannot do; None if it can do all of it."""
    model, before, after = data["model"], data["pre_tokenizer"] or {}, data["decoder"] or {}
    if model["type"] != "BPE" or before.get("type") != "ByteLevel" or after.get("type") != "ByteLevel":
        return f"model {model['type']}, pre-tokenizer {before.get('type')}, decoder {after.get('type')}"
    if not before.get("use_regex", True) or data["normalizer"] is not None:
        return "it splits words in another way, or normalises them"
    if wrong := [name for name in OF_MODEL if model.get(name)]:
        return f"model.{wrong[0]}"
    flags = {name for token in data["added_tokens"] for name in FLAGS if token[name]}
    return f"added tokens with {', '.join(sorted(flags))}" if flags else None


def _words(text: str) -> Iterator[str]:
    """The parts that are encoded by themselves, blanks before them included."""
    classes, at = text.translate(_CLASSES), 0
    while at < len(text):
        found = CONTRACTIONS.match(text, at) or WORDS.match(classes, at)
        assert found is not None
        yield text[at : found.end()]
        at = found.end()
