"""Agreement with people, on synthetic pairs in the layout of FENSE's files."""

from __future__ import annotations

import json

import pytest

from earwitness.metrics.human_agreement import agreement_table, human_agreement, read_pairs

REFERENCES = ["a dog barks", "the dog is barking", "a dog barks loudly"]
CLIP = {
    "HC": ["a dog barks", "the dog is barking", "h1", "h2", [1, 1, -1, 1]],
    "HI": ["a dog barks", "rain falls on a roof", "h1", "h9", [1, 1, 1, 1]],
    "HM": ["a dog barks loudly", "a cat", "h3", "model", [1, 1, 1, 0]],
    "MM_1": ["wind blows", "a dog barks", "m1", "m2", [1, 1, 1, 1]],  # people prefer what no metric does
    "MM_2": ["a cat", "a dog barks", "m1", "m2", [-1, -1, 1, -1]],
    "MM_3": ["a cat", "a dog", "m1", "m2", [1, -1, 1, -1]],  # even votes
    "audio_id": "x",
    "raw_name": "x.wav",
    "references": REFERENCES,
}


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "clotho_eval.json"
    path.write_text(json.dumps([CLIP, CLIP]), encoding="utf-8")
    return path


def test_a_human_caption_is_no_reference_of_its_pair(file):
    pairs = {pair.kind: pair for pair in read_pairs(file)[:4]}
    assert len(read_pairs(file)) == 12
    own, other = pairs["HC"].references
    assert own == ["the dog is barking", "a dog barks loudly"] * 2
    assert other == ["a dog barks", "a dog barks loudly"] * 2
    assert pairs["HI"].references == ((["the dog is barking", "a dog barks loudly"] * 2,) * 2)
    assert pairs["MM"].references == (REFERENCES, REFERENCES) and pairs["HC"].votes == 2


def test_agreement_counts_pairs_with_a_preference(file):
    found, missing = human_agreement(read_pairs(file), "rouge_l,spice")
    row = found["rouge_l"]
    assert row.pairs == {"HC": 2, "HI": 2, "HM": 2, "MM": 4, "all": 10}
    assert row.shares["HI"] == row.shares["HM"] == 1.0 and row.shares["MM"] == 0.5
    assert row.shares["all"] == pytest.approx((2 * row.shares["HC"] + 2 + 2 + 2) / 10)
    assert "spice" in missing and "spice" not in found
    table = agreement_table(found)
    assert table.splitlines()[0] == "| metric | HC | HI | HM | MM | all |"
    assert "| pairs | 2 | 2 | 2 | 4 | 10 |" in table and "100.0 | 100.0 | 50.0" in table


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not valid JSON"),
        ("[]", "is no list of judged clips"),
        ('[{"HC": ["a", "b", [1]]}]', "clip 1 is no judged clip"),
        ('[{"references": ["a"], "HC": ["a", "b", [1]]}]', "no reference is left"),
        ('[{"references": ["a", "b"], "MM_1": ["a"]}]', "clip 1 is no judged clip"),
    ],
)
def test_other_files_are_refused(tmp_path, text, message):
    path = tmp_path / "x.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        read_pairs(path)
