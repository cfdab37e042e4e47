"""Manifests: rows checked and named by line, random access, the index beside the file, paths."""

from __future__ import annotations

import json
import os
import pickle
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from earwitness.data.manifest import Manifest, ManifestError, Row, line_offsets, write_manifest

TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(str.strip)
SECONDS = st.floats(0, 1e6)


def write(path, *lines):
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return path


def line(**columns):
    return json.dumps({"id": "a", "audio": "a.wav", "captions": ["a dog"]} | columns)


def test_a_row_is_read_with_absolute_paths(tmp_path):
    text = line(video="v/a.mp4", start=1, end=2.5, labels=["dog"], retrieved=["a cat"])
    row = Manifest.open(write(tmp_path / "m.jsonl", text))[0]
    audio, video = str(tmp_path / "a.wav"), str(tmp_path / "v/a.mp4")
    assert row == Row("a", audio, ("a dog",), video, 1.0, 2.5, ("dog",), ("a cat",))


def test_columns_of_others_are_ignored_and_misspelt_ones_refused(tmp_path):
    extra = line(license="CC0", split="test", url="https://example.org", speakers=2, aux={"a": 1})
    assert (
        Manifest.open(write(tmp_path / "m.jsonl", extra))[0]
        == Manifest.open(write(tmp_path / "n.jsonl", line()))[0]
    )
    for name in ("caption", "label", "audios", "ends", "Start"):
        with pytest.raises(ManifestError, match=f"unknown columns \\['{name}'\\]"):
            Manifest.open(write(tmp_path / "x.jsonl", line(**{name: "x"})))[0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is no JSON"),
        ("", "is no JSON"),
        ("[1]", "is no JSON object"),
        (line(captons=[]), r"unknown columns \['captons'\]; there are id, audio, captions"),
        ('{"id": "a", "captions": []}', "lacks audio"),
        (line(id=7), "id must be text, not 7"),
        (line(audio=" "), "audio must be text"),
        (line(captions="a dog"), "captions must be a list of texts"),
        (line(captions=["x" * 1000, 3]), r"captions must be a list of texts, not \[\"x{98}\.\.\."),
        (line(start=-1), "start must be 0 or more seconds, not -1"),
        (line(start=True), "start must be 0 or more seconds"),
        (line(end=float("nan")), "end must be 0 or more seconds"),
        (line(start=3, end=3), "ends at 3 s, before its start at 3 s"),
        ("[" * 100_000, "line 2"),
    ],
)
def test_a_faulty_row_is_named_by_line_column_and_value(tmp_path, text, message):
    manifest = Manifest.open(write(tmp_path / "m.jsonl", line(), text, line()))
    assert manifest[0].id == manifest[2].id == "a"
    with pytest.raises(ManifestError, match=r"m\.jsonl, line 2: .*" if message == "line 2" else message):
        manifest[1]
    with pytest.raises(ManifestError, match="line 2"):
        list(manifest)


def test_bytes_that_are_no_text_are_named(tmp_path):
    (tmp_path / "m.jsonl").write_bytes(line().encode() + b"\n\xff\xfe\n")
    with pytest.raises(ManifestError, match="line 2: is not UTF-8"):
        Manifest.open(tmp_path / "m.jsonl")[1]


def test_no_manifest(tmp_path):
    with pytest.raises(ManifestError, match="no such manifest"):
        Manifest.open(tmp_path / "m.jsonl")


@given(
    rows=st.lists(
        st.builds(
            Row,
            id=TEXT,
            audio=st.just("/tmp/x/a.wav"),
            captions=st.lists(TEXT).map(tuple),
            video=st.none() | st.just("/tmp/v.mp4"),
            start=SECONDS,
            end=st.none() | SECONDS.map(lambda s: s + 2e6),
            labels=st.lists(TEXT).map(tuple),
            retrieved=st.none() | st.lists(TEXT).map(tuple),
        )
    )
)
def test_what_is_written_is_read(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("m") / "manifest.jsonl"
    assert write_manifest(path, rows) == len(rows)
    manifest = Manifest.open(path)
    read = [manifest[i] for i in range(len(manifest))]
    assert read == list(manifest) == manifest[:]
    normal = [os.path.normpath(row.audio) for row in read]
    assert normal == [row.audio for row in rows]
    assert [row.to_json() | {"audio": "", "video": ""} for row in read] == [
        row.to_json() | {"audio": "", "video": ""} for row in rows
    ]


def test_written_paths_move_with_the_folder_and_lead_through_links(tmp_path):
    (tmp_path / "disk" / "sets").mkdir(parents=True)
    (tmp_path / "disk" / "a.wav").write_bytes(b"sound")
    (tmp_path / "link").symlink_to(tmp_path / "disk" / "sets")
    write_manifest(tmp_path / "link" / "m.jsonl", [Row("a", str(tmp_path / "disk" / "a.wav"))])
    assert json.loads((tmp_path / "link" / "m.jsonl").read_text())["audio"] == "../a.wav"
    (tmp_path / "disk").rename(tmp_path / "moved")
    (row,) = Manifest.open(tmp_path / "moved" / "sets" / "m.jsonl")
    with open(row.audio, "rb") as file:
        assert file.read() == b"sound"


def test_a_name_that_is_no_text_survives(tmp_path):
    audio = os.fsdecode(os.fsencode(tmp_path) + b"/\xff.wav")
    write_manifest(tmp_path / "m.jsonl", [Row("a", audio)])
    assert Manifest.open(tmp_path / "m.jsonl")[0].audio == audio


def test_a_failed_write_leaves_the_old_manifest_alone(tmp_path):
    path = write(tmp_path / "m.jsonl", line())

    def rows():
        yield Row("b", "/b.wav")
        raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        write_manifest(path, rows())
    assert [p.name for p in tmp_path.iterdir()] == ["m.jsonl"] and Manifest.open(path)[0].id == "a"


@given(lines=st.lists(st.binary(max_size=20).filter(lambda b: b"\n" not in b)), end=st.booleans())
def test_lines_are_found_as_a_plain_split_finds_them(tmp_path_factory, lines, end):
    path = tmp_path_factory.mktemp("m") / "m.jsonl"
    path.write_bytes(b"\n".join(lines) + (b"\n" if end else b""))
    offsets, data = line_offsets(path).tolist(), path.read_bytes()
    found = [data[a:b] for a, b in pairwise(offsets)]
    assert b"".join(found) == data
    plain = data.removesuffix(b"\n").split(b"\n") if data else []
    assert [part.removesuffix(b"\n") for part in found] == plain


def test_blocks_meet_within_lines(tmp_path, monkeypatch):
    monkeypatch.setattr("earwitness.data.manifest.BLOCK", 7)
    path = write(tmp_path / "m.jsonl", *[line(id=f"{i}") for i in range(20)])
    assert [row.id for row in Manifest.open(path)[:]] == [f"{i}" for i in range(20)]


def test_the_index_is_used_and_renewed(tmp_path, monkeypatch):
    path = write(tmp_path / "m.jsonl", line(id="a"), line(id="b"))
    assert len(Manifest.open(path)) == 2
    monkeypatch.setattr(
        "earwitness.data.manifest._line_ends", lambda *_: pytest.fail("looked for lines again")
    )
    manifest = Manifest.open(path)
    assert manifest[-1].id == "b" and isinstance(manifest.offsets, np.memmap)
    monkeypatch.undo()
    write(path, line(id="c"), line(id="d"), line(id="e"))
    assert [row.id for row in Manifest.open(path)[:]] == ["c", "d", "e"]
    with pytest.raises(ManifestError, match="changed after it was opened"):
        manifest[0]


@pytest.mark.parametrize("content", [b"", b"nonsense", b"\x93NUMPY\x01\x00\xff\xff{"])
def test_a_damaged_index_is_built_anew(tmp_path, content):
    path = write(tmp_path / "m.jsonl", line(id="a"), line(id="b"))
    (tmp_path / "m.jsonl.index").write_bytes(content)
    assert [row.id for row in Manifest.open(path)] == ["a", "b"]
    assert (tmp_path / "m.jsonl.index").read_bytes() != content


def test_an_index_that_cannot_be_written_is_held_in_memory(tmp_path, monkeypatch):
    path = write(tmp_path / "m.jsonl", line(id="a"))

    def refuse(_):
        raise PermissionError("read-only")

    monkeypatch.setattr("earwitness.data.manifest.atomic_write", refuse)
    assert Manifest.open(path)[0].id == "a" and not (tmp_path / "m.jsonl.index").exists()


def test_a_manifest_travels_to_other_processes_without_its_offsets(tmp_path):
    path = write(tmp_path / "m.jsonl", *[line(id=f"{i}") for i in range(1000)])
    sent = pickle.dumps(Manifest.open(path))
    assert len(sent) < 1000 and pickle.loads(sent)[999].id == "999"


def test_positions_are_those_of_a_sequence(tmp_path):
    manifest = Manifest.open(write(tmp_path / "m.jsonl", line(id="a"), line(id="b")))
    assert manifest[-2].id == "a" and [r.id for r in manifest[::-1]] == ["b", "a"]
    with pytest.raises(IndexError):
        manifest[2]
    assert len(Manifest.open(write(tmp_path / "empty.jsonl"))) == 0
