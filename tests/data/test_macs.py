"""MACS: captions by the competence of who wrote them."""

from __future__ import annotations

import pytest

from earwitness.data.clips import DataError
from earwitness.data.macs import read_macs

YAML = """\
files:
- filename: airport-barcelona-0-0-a.wav
  annotations:
  - annotator_id: 50
    sentence: People are talking
    tags: [adults_talking, footsteps]
  - annotator_id: 7
    sentence: "Adults talk,\\n  and steps are heard"
    tags: [adults_talking, announcement]
- filename: park-lyon-1-2-a.wav
  annotations:
  - annotator_id: 99
    sentence: Birds sing in a park
    tags:
    - birds_singing
"""
COMPETENCE = "annotator_id\tcompetence\n50\t0.31\n7\t0.92\n"


@pytest.fixture
def tree(tmp_path, write_clip):
    (tmp_path / "MACS.yaml").write_text(YAML, encoding="utf-8")
    (tmp_path / "MACS_competence.csv").write_text(COMPETENCE, encoding="utf-8")
    for name in ("airport-barcelona-0-0-a.wav", "park-lyon-1-2-a.wav"):
        write_clip(tmp_path / "audio" / name)
    return tmp_path


def test_the_most_competent_come_first(tree):
    airport, park = read_macs(tree).splits["train"]
    assert airport.captions == ("Adults talk, and steps are heard", "People are talking")
    assert airport.labels == ("adults_talking", "footsteps", "announcement")
    assert (airport.id, park.captions) == ("airport-barcelona-0-0-a.wav", ("Birds sing in a park",))


def test_less_competent_sentences_are_left_out(tree):
    found = read_macs(tree, min_competence=0.5)
    (row,) = found.splits["train"]
    assert row.captions == ("Adults talk, and steps are heard",)
    assert found.left_out == {"sentences of less competent annotators": 2, "clips without a sentence": 1}


def test_missing_clips(tree):
    (tree / "audio" / "park-lyon-1-2-a.wav").unlink()
    assert read_macs(tree).missing["train"] == ["park-lyon-1-2-a.wav"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("files: [", "is no YAML"),
        ("clips: []", "files: Field required"),
        (YAML.replace("sentence", "sentense"), r"files\.0\.annotations\.0\.sentence: Field required"),
        ("!!python/object/apply:os.system [echo]", "is no YAML"),
    ],
)
def test_a_faulty_table_is_named(tree, text, message):
    (tree / "MACS.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=rf"(?s)MACS\.yaml.*{message}"):
        read_macs(tree)


def test_other_trees_are_refused(tree):
    with pytest.raises(DataError, match=r"holds no MACS\.yaml"):
        read_macs(tree / "audio")
    (tree / "MACS_competence.csv").write_text("annotator_id\tcompetence\n50\thigh\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"MACS_competence\.csv: could not convert"):
        read_macs(tree)
    (tree / "MACS_competence.csv").unlink()
    with pytest.raises(DataError, match=r"holds no MACS_competence\.csv"):
        read_macs(tree)
