"""Tables of captions come back as they were written, in each format."""

from __future__ import annotations

import csv
import json
import os

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from earwitness.captions import Caption
from earwitness.tables import (
    COLUMNS,
    FORMATS,
    UNCORRECTED,
    file_ids,
    read_rows,
    row,
    spelled,
    unspelled,
    without_extension,
    write_rows,
)

CAPTIONS = [
    Caption(
        'A "dog", barks\nloudly',
        0.87654321,
        0.0,
        10.00049,
        (("dog", 0.98765), ("rain", 0.31)),
        "d/a b.wav",
        logprob=-0.13174,
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
        "id": "d/a b",
        "path": "d/a b.wav",
        "start": 0.0,
        "end": 10.0,
        "caption": 'A "dog", barks\nloudly',
        "score": 0.8765,
        "logprob": -0.1317,
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
    assert (rows[1]["id"], rows[1]["start"], rows[1]["end"]) == ("d/雨", "10.0", "12.5")


BYTES = st.binary(min_size=1, max_size=30).filter(
    lambda name: not set(name) & set(b"\0/") and name not in (b".", b"..")
)


@pytest.mark.parametrize("suffix", FORMATS)
@given(names=st.lists(BYTES, min_size=1, max_size=5))
@example(names=[b"latin\xe9.wav", rb"latin\xe9.wav", rb"a\x5cxe9.wav", b"\\", rb"c:\x80.wav", rb"\udce9"])
def test_any_name_of_bytes_comes_back_and_what_is_written_is_unicode(tmp_path_factory, suffix, names):
    paths = [os.fsdecode(name) for name in names]
    file = written(
        [Caption("x", 0.5, source=path) for path in paths], tmp_path_factory.mktemp("t") / f"t{suffix}"
    )
    assert [each["path"] for each in read_rows(file)] == paths
    assert [each["id"] for each in read_rows(file)] == [without_extension(path) for path in paths]
    if suffix != ".parquet":
        file.read_text("utf-8")


@given(st.text(max_size=20))
def test_spelling_is_reversible_for_any_string(text):
    assert unspelled(spelled(text)) == text
    spelled(text).encode("utf-8")
    if text.isalnum():
        assert spelled(text) == text


def test_a_spelled_name_reads_as_it_does_on_a_terminal():
    assert spelled(os.fsdecode(b"latin\xe9.wav")) == r"latin\xe9.wav"
    assert spelled(r"C:\sounds\dog.wav") == r"C:\sounds\dog.wav"


def test_ids_are_unique_and_relative_to_what_was_named(tmp_path):
    for name in ("a/x.wav", "b/x.wav", "b/y.wav", "b/y.mp3"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    files = [str(tmp_path / name) for name in ("a/x.wav", "b/x.wav", "b/y.wav", "b/y.mp3")]
    assert list(file_ids(files, [tmp_path]).values()) == ["a/x", "b/x", "b/y.wav", "b/y.mp3"]
    assert list(file_ids(files[1:3], [tmp_path / "b"]).values()) == ["x", "y"]
    assert list(file_ids(files[:2], files[:2]).values()) == ["a/x", "b/x"]
    assert file_ids(["-"], []) == {"-": "-"}


def test_a_table_without_log_probabilities_is_read(tmp_path):
    (tmp_path / "old.jsonl").write_text(
        '{"id": "a", "path": "a.wav", "start": 0, "end": 1, "caption": "x", "score": 0.5, "tags": [], '
        '"model": ""}\n'
    )
    assert [each["logprob"] for each in read_rows(tmp_path / "old.jsonl")] == [None]


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
