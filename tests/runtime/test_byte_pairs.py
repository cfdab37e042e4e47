"""Byte-pair encoding: the ids and texts of the library tokenizers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from earwitness.loading import DEFAULT
from earwitness.runtime.byte_pairs import BytePairs, unlike

FILE = DEFAULT / "tokenizer.json"
TEXTS = [
    "",
    " ",
    "a dog barks, then it's raining",
    "  two  blanks\tand\n\n lines \r\n",
    "Child speech, kid speaking: likely; Bird vocalization, bird call, bird song: possible",
    "they'll we've I'm he'd they're don't 'tis rock 'n' roll ''s !!'s 's'T'S",
    "12 dogs 3½ ² ٣ Ⅷ x2y 4'd",
    "für Élise — naïve café 犬が吠える собака лает كلب 🐕‍🦺 e\u0301",
    "<s> a <s>dog</s></s>barks </s> <S> s> <",
    "\x00\x1c\x1f\x85\xa0\u2003\u3000\ufeff",
]


@pytest.fixture(scope="module")
def pair() -> tuple[BytePairs, Tokenizer]:
    return BytePairs(FILE), Tokenizer.from_file(str(FILE))


@pytest.mark.parametrize("text", TEXTS)
def test_texts_have_the_ids_of_the_library(pair, text) -> None:
    ours, theirs = pair
    ids = theirs.encode(text, add_special_tokens=False).ids
    assert ours.encode(text) == ids
    assert ours.decode(ids) == theirs.decode(ids, skip_special_tokens=False)


# Of what the library's tables of Unicode may not know yet nothing is asked.
@given(
    st.text(
        st.characters(exclude_categories=["Cs", "Cn"], max_codepoint=0xFFFF) | st.sampled_from(" 's<>/ab\n")
    )
)
def test_any_text_has_the_ids_of_the_library(pair, text) -> None:
    ours, theirs = pair
    assert ours.encode(text) == theirs.encode(text, add_special_tokens=False).ids


@given(st.lists(st.integers(0, 4999), max_size=12))
def test_any_ids_have_the_text_of_the_library(pair, ids) -> None:
    ours, theirs = pair
    assert ours.decode(ids) == theirs.decode(ids, skip_special_tokens=False)


def test_the_vocabulary_is_that_of_the_library(pair) -> None:
    ours, theirs = pair
    assert ours.vocabulary == theirs.get_vocab()


@pytest.mark.parametrize("unknown", [None, "<unk>"])
def test_a_character_that_is_not_there_is_unknown_or_nothing(tmp_path, unknown) -> None:
    vocabulary = {"<unk>": 0, "a": 1, "b": 2, "ab": 3, "Ġ": 4, "Ġa": 5}
    theirs = Tokenizer(models.BPE(vocabulary, [("a", "b"), ("Ġ", "a")], unk_token=unknown))
    theirs.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    theirs.decoder = decoders.ByteLevel()
    theirs.save(str(tmp_path / "t.json"))
    ours = BytePairs(tmp_path / "t.json")
    for text in ("ab a b", "xab aab", "abab c", "cc"):
        assert ours.encode(text) == theirs.encode(text).ids


CHANGES = {
    "model": {"type": "WordPiece"},
    "pre_tokenizer": {"type": "Whitespace"},
    "decoder": None,
    "normalizer": {"type": "Lowercase"},
}


@pytest.mark.parametrize("part", [*CHANGES, "dropout", "lstrip", "use_regex"])
def test_other_tokenizers_are_refused_with_the_reason(tmp_path, part) -> None:
    data = json.loads(FILE.read_text("utf-8"))
    assert unlike(data) is None
    if part in CHANGES:
        data[part] = CHANGES[part]
    elif part == "dropout":
        data["model"]["dropout"] = 0.1
    elif part == "lstrip":
        data["added_tokens"][0]["lstrip"] = True
    else:
        data["pre_tokenizer"]["use_regex"] = False
    file = Path(tmp_path, "tokenizer.json")
    file.write_text(json.dumps(data))
    with pytest.raises(ValueError, match="no byte-level byte-pair encoding: "):
        BytePairs(file)
