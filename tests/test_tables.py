"""Tables of captions come back as they were written, in each format."""

from __future__ import annotations

import csv
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from earwitness.captions import Caption
from earwitness.tables import COLUMNS, FORMATS, UNCORRECTED, read_rows, row, write_rows

CAPTIONS = [
    Caption(
        'A "dog", barks\nloudly', 0.87654321, 0.0, 10.00049, (("dog", 0.98765), ("rain", 0.31)), "d/a b.wav"
    ),
    Caption("雨が降る; =1+1", 1.0, 10.0, 12.5, (), "d/雨.flac"),
]


def written(captions, path, model="", **options):
    write_rows([row(caption, model) for caption in captions], path, **options)
    return path


def test_jsonl_comes_back(tmp_path):
    path = tmp_path / "new" / "captions.jsonl"
    written(CAPTIONS, path, "mini")
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    assert [list(row) for row in rows] == [list(COLUMNS)] * 2
    assert rows[0] == {
        "id": "a b",
        "path": "d/a b.wav",
        "start": 0.0,
        "end": 10.0,
        "caption": 'A "dog", barks\nloudly',
        "score": 0.8765,
        "tags": [["dog", 0.9877], ["rain", 0.31]],
        "model": "mini",
    }
    assert "雨が降る" in path.read_text("utf-8")


def test_csv_comes_back(tmp_path):
    path = tmp_path / "captions.csv"
    written(CAPTIONS, path)
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [tuple(row) for row in rows] == [COLUMNS] * 2
    assert rows[0]["caption"] == 'A "dog", barks\nloudly'
    assert rows[0]["tags"] == "dog 0.9877; rain 0.3100" and rows[1]["tags"] == ""
    assert (rows[1]["id"], rows[1]["start"], rows[1]["end"]) == ("雨", "10.0", "12.5")


def test_names_that_are_no_unicode(tmp_path):
    name = b"caf\xe9.wav".decode("utf-8", "surrogateescape")
    written([Caption("x", 0.5, source=name)], tmp_path / "o.jsonl")
    assert json.loads((tmp_path / "o.jsonl").read_text("utf-8"))["path"] == name
    written([Caption("x", 0.5, source=name)], tmp_path / "o.csv")
    assert r"caf\udce9.wav" in (tmp_path / "o.csv").read_text("utf-8")


@pytest.mark.parametrize("suffix", FORMATS)
@given(
    st.lists(
        st.builds(
            Caption,
            st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20),
            st.floats(0, 1),
            st.floats(0, 1e6),
            st.floats(0, 1e6),
            st.lists(st.tuples(st.sampled_from(["dog", "a b; c", "x 0.5"]), st.floats(0, 1)), max_size=3).map(
                tuple
            ),
            st.sampled_from(["a.wav", "d/ä b.mp4"]),
        ),
        max_size=4,
    )
)
def test_rows_come_back(tmp_path_factory, suffix, captions):
    path = tmp_path_factory.mktemp("rows") / f"t{suffix}"
    rows = [row(caption, "mini") for caption in captions]
    if suffix == ".csv":  # its tags are text: a name must not hold what stands between two
        rows = [each | {"tags": [t for t in each["tags"] if ";" not in t[0]]} for each in rows]
    write_rows(rows, path)
    assert list(read_rows(path)) == rows


@pytest.mark.parametrize("suffix", FORMATS)
def test_what_was_said_before_a_correction_is_a_column(tmp_path, suffix):
    captions = [Caption("a dog barks", 0.5, uncorrected="a dog dog"), Caption("rain", 0.5)]
    path = written(captions, tmp_path / f"t{suffix}", corrected=True)
    assert [each.get(UNCORRECTED) or None for each in read_rows(path)] == ["a dog dog", None]


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("content", [b"precious notes", b'{"precious": 1}\n', b"a,b\n1,2\n", b"\xff\xfe\n"])
def test_other_files_are_refused_by_name(tmp_path, suffix, content):
    path = tmp_path / f"notes{suffix}"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"notes\.\w+ is no table of captions"):
        list(read_rows(path))


def test_other_endings_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"choose a name that ends in \.jsonl, \.csv, \.parquet"):
        write_rows([], tmp_path / "t.xls")


@pytest.mark.parametrize("suffix", FORMATS)
def test_tables_appear_whole_or_not_at_all(tmp_path, suffix):
    def breaking():
        yield row(CAPTIONS[0])
        raise RuntimeError("the model died")

    path = tmp_path / f"out{suffix}"
    path.write_text("before")
    with pytest.raises(RuntimeError, match="the model died"):
        write_rows(breaking(), path)
    assert path.read_text() == "before"
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
