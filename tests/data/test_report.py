"""What is told of a set's clips, and which of them a manifest gets."""

from __future__ import annotations

import json
import shutil

import pytest

from earwitness.data.clips import Found
from earwitness.data.manifest import Manifest, Row
from earwitness.data.report import Bounds, examine, write


@pytest.fixture
def found(tmp_path, write_clip):
    """Two splits with every fault that a clip can have."""
    clips = {
        name: str(write_clip(tmp_path / f"{name}.wav", seconds, seed))
        for seed, (name, seconds) in enumerate(
            {"good": 0.5, "short": 0.05, "long": 2.0, "torn": 0.5, "other": 0.5, "shared": 0.5}.items()
        )
    }
    with open(clips["torn"], "r+b") as file:
        file.truncate(8000)
    (tmp_path / "text.wav").write_text("not sound")
    shutil.copy(clips["good"], tmp_path / "copy.wav")
    shutil.copy(clips["shared"], tmp_path / "shared2.wav")
    rows = [Row(name, clips[name], ("x", "y")) for name in ("good", "short", "long", "torn", "shared")]
    rows += [Row("text", str(tmp_path / "text.wav"), ("x",)), Row("copy", str(tmp_path / "copy.wav"), ("x",))]
    rows += [
        Row("part 1", clips["other"], ("x",), end=0.25),
        Row("part 2", clips["other"], ("x",), start=0.25),
    ]
    test = [Row("good", clips["other"], ("z",)), Row("shared too", str(tmp_path / "shared2.wav"), ("z",))]
    return Found({"train": rows, "test": test}, {"train": ["gone"], "test": []})


def test_every_fault_is_named_and_the_rest_is_kept(found):
    report = examine(found, Bounds(0.1, 1.0))
    train = report.splits["train"]
    assert [r.id for r in train.rows] == ["good", "torn", "shared", "copy", "part 1", "part 2"]
    assert train.missing == ["gone"] and list(train.unreadable) == ["text"]
    assert (train.too_short, train.too_long) == (["short"], ["long"])
    assert train.duplicates == [["good", "copy"]] and not train.damaged
    assert train.seconds == pytest.approx([0.5, 0.25, 0.5, 0.5, 0.25, 0.25], abs=0.01)


def test_leaks_by_id_and_by_sound(found):
    leaks = {(leak.by, tuple(leak.places)) for leak in examine(found, Bounds()).leaks}
    assert leaks == {
        ("id", (("train", "good"), ("test", "good"))),
        ("sound", (("train", "shared"), ("test", "shared too"))),
        ("sound", (("train", "part 1"), ("train", "part 2"), ("test", "good"))),
    }


def test_decoding_finds_damage(found):
    train = examine(found, Bounds(), decode=True).splits["train"]
    assert list(train.damaged) == ["torn"] and train.damaged["torn"] == pytest.approx(0.5, abs=0.02)
    assert "torn" in [r.id for r in train.rows]


def test_another_set_is_looked_at_but_not_written(found, tmp_path):
    others = [Row("torn", str(tmp_path / "nowhere.wav")), Row("twin", str(tmp_path / "long.wav"))] * 2
    report = examine(found, Bounds(), against={"clotho": others})
    against = [leak for leak in report.leaks if any(name == "clotho" for name, _ in leak.places)]
    assert [(leak.by, leak.places[0]) for leak in against] == [
        ("id", ("train", "torn")),
        ("sound", ("train", "long")),
    ]
    assert set(report.splits) == {"train", "test"}
    assert not any("twin" in ids for split in report.splits.values() for ids in split.duplicates)


def test_only_files_of_equal_size_are_read(found, monkeypatch):
    read = []
    digest = examine.__globals__["_digest"]
    monkeypatch.setitem(
        examine.__globals__, "_digest", lambda placed: read.append(placed[1].id) or digest(placed)
    )
    examine(found, Bounds(0.1, 1.0))
    assert "torn" not in read and {"good", "copy", "shared", "shared too"} <= set(read)


def test_what_is_written(found, tmp_path):
    report = examine(found, Bounds(0.1, 1.0))
    write(report, tmp_path / "out")
    assert [r.id for r in Manifest.open(tmp_path / "out" / "test.jsonl")] == ["good", "shared too"]
    data = json.loads((tmp_path / "out" / "report.json").read_text())
    train = data["splits"]["train"]
    assert (train["rows"], train["captions"], train["missing"]) == (6, 9, ["gone"])
    assert train["hours"] * 3600 == pytest.approx(2.25, abs=0.02) and train["seconds"]["longest"] < 0.52
    assert {"by": "id", "places": [["train", "good"], ["test", "good"]]} in data["leaks"]
    text = "\n".join(report.lines())
    assert "1 missing: gone" in text and "1 unreadable: text (" in text
    assert "3 clips are in more than one split" in text and "1 duplicates: good = copy" in text
