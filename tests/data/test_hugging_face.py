"""Datasets whose sounds are stored as bytes: Parquet shards and `save_to_disk`."""

from __future__ import annotations

from pathlib import Path

import pytest

from earwitness.data.clips import DataError
from earwitness.data.hugging_face import is_hugging_face, read_hugging_face
from earwitness.media.reading import load_audio

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

AUDIO = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


@pytest.fixture
def sounds(tmp_path_factory, write_clip):
    folder = tmp_path_factory.mktemp("sounds")
    names = ("one.flac", "two.wav", "three.mp3")
    return {name: write_clip(folder / name, seed=i).read_bytes() for i, name in enumerate(names)}


def parquet(path: Path, **columns):
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path)


def test_parquet_shards_by_split(tmp_path, sounds):
    audio = [{"bytes": data, "path": name} for name, data in sounds.items()]
    again = [audio[0], {"bytes": None, "path": "gone.wav"}]
    for n, rows in enumerate([audio[:2], audio[2:] + again]):
        parquet(
            tmp_path / "data" / f"train-{n:05d}-of-00002.parquet",
            youtube_id=[f"{n}{i}" for i in range(len(rows))],
            start_time=list(range(len(rows))),
            audio=pa.array(rows, AUDIO),
            caption=[f"caption {n} {i}" for i in range(len(rows))],
        )
    parquet(
        tmp_path / "data" / "test-00000-of-00001.parquet",
        audio=pa.array(audio[1:2], AUDIO),
        captions=[["first", "second", ""]],
    )
    assert is_hugging_face(tmp_path)
    found = read_hugging_face(tmp_path, tmp_path / "out")
    train, (test,) = found.splits["train"], found.splits["test"]
    assert [(r.id, r.captions) for r in train] == [
        ("00", ("caption 0 0", "caption 1 1")),
        ("01", ("caption 0 1",)),
        ("10", ("caption 1 0",)),
    ]
    assert [Path(r.audio).read_bytes() for r in train] == list(sounds.values())
    assert [Path(r.audio).suffix for r in train] == [".flac", ".wav", ".mp3"]
    assert (test.id, test.captions) == ("two.wav", ("first", "second"))
    assert found.missing["train"] == ["gone.wav"]
    assert all(Path(r.audio).is_relative_to(tmp_path / "out" / "audio") for r in [*train, test])
    assert load_audio(train[2].audio).duration > 0.09


def test_bytes_are_written_once_and_mended(tmp_path, sounds):
    audio = pa.array(list(sounds.values()), pa.binary())
    parquet(tmp_path / "set.parquet", sound=audio, caption=["a", "b", "c"])
    first, second, third = read_hugging_face(tmp_path, tmp_path / "out").splits["set"]
    assert first.audio.endswith(".flac")  # nothing but the bytes tells
    Path(first.audio).write_bytes(b"torn")
    before = Path(second.audio).stat().st_mtime_ns
    read_hugging_face(tmp_path, tmp_path / "out")
    assert Path(first.audio).read_bytes() == sounds["one.flac"]
    assert Path(second.audio).stat().st_mtime_ns == before and third.captions == ("c",)


@pytest.mark.parametrize("splits", [["train", "test"], []])
def test_what_save_to_disk_writes(tmp_path, sounds, splits):
    table = pa.table(
        {"audio": pa.array([{"bytes": sounds["one.flac"], "path": None}], AUDIO), "caption": ["a"]}
    )
    for split in splits or [""]:
        (tmp_path / split).mkdir(exist_ok=True)
        file = str(tmp_path / split / "data-00000-of-00001.arrow")
        with pa.OSFile(file, "wb") as target, pa.ipc.new_stream(target, table.schema) as writer:
            writer.write_table(table)
    if splits:
        (tmp_path / "dataset_dict.json").write_text("{}")
    found = read_hugging_face(tmp_path, tmp_path / "out")
    assert {name: [r.captions for r in rows] for name, rows in found.splits.items()} == {
        name: [("a",)] for name in splits or ["manifest"]
    }


def test_paths_in_the_data_lead_nowhere(tmp_path, sounds):
    rows = [{"bytes": sounds["one.flac"], "path": "../../../evil.sh"}]
    parquet(tmp_path / "in" / "x.parquet", audio=pa.array(rows, AUDIO), caption=["a"])
    (row,) = read_hugging_face(tmp_path / "in", tmp_path / "out").splits["x"]
    assert row.id == "evil.sh" and Path(row.audio).parent == tmp_path / "out" / "audio" / "x"
    assert Path(row.audio).suffix == ".flac"


def test_faulty_files_are_named(tmp_path, sounds):
    parquet(tmp_path / "x.parquet", audio=["a.wav"], caption=["a"])
    with pytest.raises(DataError, match="needs a column of sounds stored as bytes.* it has audio, caption"):
        read_hugging_face(tmp_path, tmp_path / "out")
    (tmp_path / "x.parquet").write_bytes(b"PAR1 and nothing more")
    with pytest.raises(DataError, match=r"x\.parquet cannot be read"):
        read_hugging_face(tmp_path, tmp_path / "out")
