"""A folder of clips with a table."""

from __future__ import annotations

import pytest

from earwitness.data.clips import DataError
from earwitness.data.folder import read_folder
from earwitness.data.report import Bounds, examine


@pytest.fixture
def tree(tmp_path, write_clip):
    for name in ("a/dog.wav", "a/rain.flac", "b/long.ogg"):
        write_clip(tmp_path / name)
    return tmp_path


def test_captions_of_a_clip_in_rows_or_columns(tree):
    text = (
        "file_name,caption\na/dog.wav,a dog\nrain.flac,rain falls\na/dog.wav, it barks \nlong,x\nno.wav,y\n"
    )
    (tree / "metadata.csv").write_text("\ufeff" + text, encoding="utf-8")
    found = read_folder(tree)
    rows = found.splits["manifest"]
    assert [(r.id, r.captions) for r in rows] == [
        ("a/dog.wav", ("a dog", "it barks")),
        ("rain.flac", ("rain falls",)),
        ("long", ("x",)),
    ]
    assert [r.audio for r in rows] == [str(tree / n) for n in ("a/dog.wav", "a/rain.flac", "b/long.ogg")]
    assert found.missing["manifest"] == ["no.wav"]


def test_all_columns_of_a_tsv(tree):
    columns = ["audio", "caption_1", "caption_2", "id", "start", "end", "labels", "split", "video"]
    first = ["b/long.ogg", "one", "", "x", "0.01", "0.05", "dog; cat", "train", "v.mp4"]
    second = ["b/long.ogg", "two", "three", "y", "0.05", "", "", "test", ""]
    lines = ["\t".join(cells) for cells in (columns, first, second)]
    (tree / "t.tsv").write_text("\n".join(lines), encoding="utf-8")
    found = read_folder(tree)
    (train,), (test,) = found.splits["train"], found.splits["test"]
    assert (train.id, train.captions, train.start, train.end) == ("x", ("one",), 0.01, 0.05)
    assert (train.labels, train.video) == (("dog", "cat"), str(tree / "v.mp4"))
    assert (test.id, test.captions, test.start, test.end) == ("y", ("two", "three"), 0.05, None)


def test_clips_without_a_caption_are_named_and_left_out(tree):
    (tree / "t.csv").write_text("file,caption,split\ndog,a dog,\nrain,  ,\nlong,,test\n", encoding="utf-8")
    found = read_folder(tree)
    assert [row.id for row in found.splits["manifest"]] == ["dog"] and "test" not in found.splits
    assert found.uncaptioned == {"manifest": ["rain"], "test": ["long"]}
    report = examine(found, Bounds())
    assert "  1 without caption: rain" in list(report.lines())
    (tree / "t.csv").write_text("file,caption\ndog,\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"no row has a caption in the column caption"):
        read_folder(tree)


def test_rows_that_share_an_id_are_numbered_and_that_is_said(tree):
    """Stretches of one recording, and ids given twice."""
    lines = [
        "file,caption,start,id",
        "dog,a,0,",
        "dog,b,0.02,",
        "rain,c,0,x",
        "long,d,0,x",
        "long,e,0.02,dog#2",
    ]
    (tree / "t.csv").write_text("\n".join(lines), encoding="utf-8")
    found = read_folder(tree)
    names = [row.id for row in found.splits["manifest"]]
    assert names == ["dog", "dog#3", "x", "x#2", "dog#2"]
    assert found.notes == ["rows that share an id were numbered (dog, x): ID#2, ID#3 ..."]
    assert found.notes[0] in list(examine(found, Bounds()).lines())


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-8", "latin-1"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_tables_as_spreadsheets_write_them(tree, encoding, delimiter):
    table = f"file{delimiter}caption\r\ndog{delimiter}une fenêtre\r\n"
    (tree / "t.csv").write_bytes(table.encode(encoding))
    assert read_folder(tree).splits["manifest"][0].captions == ("une fenêtre",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "file,text\na,b\n",
            "needs a column audio or .* and caption or caption_1, caption_2 ...; it has file, text",
        ),
        ("caption\nx\n", "needs a column audio or"),
        ("", "it has no rows"),
        ("file,caption,start\ndog,b,soon\n", "line 2: could not convert string to float: 'soon'"),
        ("file,caption,start,end\ndog,b,0,1\ndog,b,3,2\n", "line 3: ends at 2 s, before its start at 3 s"),
        ("file,caption\ndog," + "x" * 200_000, "after line 1: field larger than"),
    ],
)
def test_faulty_tables_are_named(tree, text, message):
    (tree / "t.csv").write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=message):
        read_folder(tree)


def test_one_table_or_a_named_one(tree):
    with pytest.raises(DataError, match="holds no CSV or TSV file: name the table of captions with --csv"):
        read_folder(tree)
    for name in ("a.csv", "b.csv"):
        (tree / name).write_text("file,caption\ndog,from " + name, encoding="utf-8")
    with pytest.raises(DataError, match=r"holds 2 tables \(a\.csv, b\.csv\)"):
        read_folder(tree)
    assert read_folder(tree, tree / "b.csv").splits["manifest"][0].captions == ("from b.csv",)
    with pytest.raises(DataError, match="there is no folder"):
        read_folder(tree / "c")
