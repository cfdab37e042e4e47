"""Shards: each clip once over ranks and workers, places to go on from, damage, writing that can be killed."""

from __future__ import annotations

import io
import json
import multiprocessing
import os
import re
import signal
import tarfile
import time
from collections import Counter
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from earwitness.data import shard_writing
from earwitness.data.manifest import Manifest, Row, write_manifest
from earwitness.data.shard_writing import Sharding, encode_opus, write_shards
from earwitness.data.shards import INDEX, Place, ShardError, ShardStream, read_index, share
from earwitness.media.reading import load_audio

CLIPS = 23


@pytest.fixture(scope="module")
def manifest(tmp_path_factory, write_clip) -> Manifest:
    folder = tmp_path_factory.mktemp("clips")
    files = [write_clip(folder / f"x.{i}.{'wav' if i % 2 else 'flac'}", 0.02, i) for i in range(CLIPS)]
    rows = [Row(f"c/{i}", str(f), (f"caption {i}", "ünï"), labels=("dog",)) for i, f in enumerate(files)]
    write_manifest(folder / "manifest.jsonl", rows)
    return Manifest.open(folder / "manifest.jsonl")


@pytest.fixture(scope="module")
def shards(manifest, tmp_path_factory) -> Path:
    """Five of them, the last with three clips."""
    folder = tmp_path_factory.mktemp("shards")
    write_shards(manifest, folder, Sharding(rows=5), workers=2)
    return folder


def ids(samples):
    return [sample.row.id for sample in samples]


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted(folder.iterdir())}


@given(items=st.integers(1, 20), readers=st.integers(1, 30), rows=st.lists(st.integers(0, 9), min_size=20))
def test_every_sample_has_one_reader(items, readers, rows):
    seen = Counter(
        (item, row)
        for reader in range(readers)
        for item, first, step in share(range(items), reader, readers)
        for row in range(first, rows[item], step)
    )
    assert seen == Counter((item, row) for item in range(items) for row in range(rows[item]))


@settings(max_examples=20)
@given(world=st.integers(1, 4), workers=st.integers(1, 4), seed=st.integers(0, 9))
def test_every_clip_is_read_once_an_epoch_by_ranks_and_workers(shards, world, workers, seed):
    readers = world * workers
    seen = Counter(
        (sample.place.epoch, sample.row.id)
        for reader in range(readers)
        for sample in ShardStream(str(shards), seed=seed, epochs=2).read(reader, readers)
    )
    assert seen == Counter((epoch, f"c/{i}") for epoch in range(2) for i in range(CLIPS))


def test_a_loaders_workers_share_a_ranks_clips(shards):
    streams = [ShardStream(str(shards), epochs=1, rank=rank, world_size=2) for rank in range(2)]
    seen = [s for stream in streams for s in DataLoader(stream, batch_size=None, num_workers=2)]
    assert sorted(ids(seen)) == sorted(f"c/{i}" for i in range(CLIPS))
    assert {sample.reader for sample in seen} == {0, 1, 2, 3} and streams[0].rows == CLIPS


def test_a_sample_is_the_files_bytes_and_its_row(shards, manifest):
    for sample in ShardStream(str(shards), epochs=1):
        row = manifest[int(sample.row.id[2:])]
        assert sample.sound == Path(row.audio).read_bytes()
        assert (sample.row.captions, sample.row.labels) == (row.captions, row.labels)
        assert sample.row.audio.endswith(Path(row.audio).suffix)
        assert load_audio(sample.sound).duration == pytest.approx(0.02)


def test_orders_differ_by_epoch_and_seed_and_are_repeated(shards):
    def order(seed, shuffle=True):
        return ids(ShardStream(str(shards), seed=seed, shuffle=shuffle, epochs=2))

    assert order(0) == order(0) != order(1)
    assert order(0)[:CLIPS] != order(0)[CLIPS:]
    plain = order(0, shuffle=False)
    assert plain[:CLIPS] == plain[CLIPS:]


@pytest.mark.parametrize(("reader", "readers"), [(0, 1), (1, 3), (6, 7)])
@pytest.mark.parametrize("block", [2, 256])
def test_a_reader_goes_on_from_any_place(shards, monkeypatch, reader, readers, block):
    monkeypatch.setattr("earwitness.data.shards.BLOCK", block)
    whole = list(ShardStream(str(shards), epochs=3).read(reader, readers))
    for k, sample in enumerate(whole):
        rest = ShardStream(str(shards), epochs=3, starts={reader: sample.place}).read(reader, readers)
        assert ids(rest) == ids(whole[k + 1 :])


def test_without_an_end_epochs_go_on(shards):
    samples = list(islice(ShardStream(str(shards)), 3 * CLIPS))
    assert samples[-1].place == Place(2, 4, samples[-1].place.position)
    assert Counter(ids(samples)) == {f"c/{i}": 3 for i in range(CLIPS)}


def test_more_readers_than_clips_is_told(tmp_path, manifest):
    write_shards(manifest, tmp_path, Sharding(rows=50))
    stream = ShardStream(str(tmp_path))
    assert len(list(islice(stream.read(3, 30), 5))) == 5
    with pytest.raises(ShardError, match="23 clips are too few for 30 readers"):
        next(stream.read(29, 30))


def test_any_address(shards):
    fsspec = pytest.importorskip("fsspec")
    fsspec.filesystem("memory").put(str(shards), "/bucket/set", recursive=True)
    assert ids(ShardStream("memory://bucket/set/", epochs=1)) == ids(ShardStream(str(shards), epochs=1))
    with pytest.raises(ShardError, match=r"there is no memory://bucket/none/index\.json"):
        ShardStream("memory://bucket/none")


@pytest.mark.parametrize(
    "text",
    ["[", "[]", "{}", '{"shards": {}}', '{"shards": {"../a.tar": 3}}', '{"shards": {"a.tar": "many"}}'],
)
def test_an_index_of_something_else(tmp_path, text):
    (tmp_path / INDEX).write_text(text)
    with pytest.raises(ShardError, match=r"index\.json is no index of shards"):
        read_index(str(tmp_path))


@pytest.fixture
def copy(shards, tmp_path):
    for name, data in contents(shards).items():
        (tmp_path / name).write_bytes(data)
    return tmp_path


def spoil(copy: Path, change) -> list[str]:
    """Changes the first shard; returns the ids that it held."""
    path = copy / "clips-000000.tar"
    with tarfile.open(path) as tar:
        members = tar.getmembers()
        rows = [json.load(tar.extractfile(m))["id"] for m in members if m.name.endswith(".json")]
    data = bytearray(path.read_bytes())
    path.write_bytes(change(data, members))
    return rows


def overwrite(data, position, new):
    data[position : position + len(new)] = new
    return data


@pytest.mark.parametrize(
    ("change", "lost", "named"),
    [
        (
            lambda d, m: overwrite(d, m[2].offset, b"\xff" * 512),
            {1},
            "holds json in place of a sound and its row",
        ),
        (lambda d, m: overwrite(d, m[3].offset + 3, b"\xff"), {1}, "in place of a sound and its row"),
        (lambda d, m: overwrite(d, m[5].offset_data, b"\xff"), {2}, "can't decode byte"),
        (lambda d, m: overwrite(d, m[5].offset_data, b"["), {2}, "Expecting|delimiter"),
        (lambda d, m: overwrite(d, m[2].offset, b"\0" * (m[4].offset - m[2].offset)), {1}, "1 of 5 clips"),
        (lambda d, m: d[: m[6].offset_data + 5], {3, 4}, "unexpected end of data"),
        (lambda d, m: d[:100], {0, 1, 2, 3, 4}, "5 of 5 clips"),
        (lambda d, m: bytearray(), {0, 1, 2, 3, 4}, "5 of 5 clips"),
        (lambda d, m: bytearray(np.random.default_rng(0).bytes(9999)), {0, 1, 2, 3, 4}, "5 of 5 clips"),
    ],
)
def test_damage_costs_what_is_damaged_and_is_named(copy, caplog, change, lost, named):
    rows = spoil(copy, change)
    found = ids(ShardStream(str(copy), epochs=1))
    assert {f"c/{i}" for i in range(CLIPS)} - set(found) == {rows[k] for k in lost}
    assert len(found) == len(set(found)) and f"{len(lost)} of 5 clips are damaged" in caplog.text
    assert re.search(named, caplog.text)


def test_a_shard_that_is_gone_stops_the_stream(copy):
    (copy / "clips-000003.tar").unlink()
    with pytest.raises(FileNotFoundError, match="clips-000003"):
        list(ShardStream(str(copy), epochs=1))


def test_rows_are_dealt_at_random_and_the_last_shard_is_smaller(shards, tmp_path, manifest):
    assert dict(read_index(str(shards))) == {f"clips-{k:06d}.tar": 5 if k < 4 else 3 for k in range(5)}
    write_shards(manifest, tmp_path, Sharding(rows=5, seed=None))
    in_order = ids(ShardStream(str(tmp_path), shuffle=False, epochs=1))
    assert in_order == [f"c/{i}" for i in range(CLIPS)]
    assert in_order != ids(ShardStream(str(shards), shuffle=False, epochs=1))


@pytest.mark.parametrize(("encode", "error"), [("flac", 1e-4), ("opus", 0.7)])
def test_encoding_cuts_the_clip_out(tmp_path, write_clip, encode, error):
    clip = write_clip(tmp_path / "long.wav", 2.0)
    write_manifest(tmp_path / "m.jsonl", [Row("a", str(clip), ("x",), start=0.5, end=1.5)])
    write_shards(Manifest.open(tmp_path / "m.jsonl"), tmp_path / "s", Sharding(encode=encode))
    (sample,) = ShardStream(str(tmp_path / "s"), epochs=1)
    assert (sample.row.start, sample.row.end) == (0.0, None) and sample.row.audio.endswith(encode)
    # of white noise, the hardest for a codec; the same noise a sample later is off by 1.4
    got, wanted = load_audio(sample.sound).waveform, load_audio(clip, start=0.5, end=1.5).waveform
    assert len(got) == pytest.approx(16_000, abs=1)
    assert np.sqrt(np.mean((got[:15_999] - wanted[:15_999]) ** 2)) < error * np.sqrt(np.mean(wanted**2))


def test_opus_is_written_with_its_transform_codec_alone():
    """Its codec for speech, which libopus would take for this sound, is slower to decode."""
    import av

    hum = sum(np.sin(2 * np.pi * 120 * k * np.arange(16_000) / 16_000) / k for k in range(1, 20))
    with av.open(io.BytesIO(encode_opus((0.1 * hum).astype(np.float32)))) as container:
        codecs = [bytes(packet)[0] >> 3 for packet in container.demux() if packet.size]
    assert codecs and min(codecs) >= 16  # RFC 6716, table 2: below are speech and hybrid


def test_clips_that_cannot_be_read_are_left_out_and_named_each_time(tmp_path, write_clip):
    good = write_clip(tmp_path / "good.wav")
    (tmp_path / "bad.wav").write_text("no sound")
    rows = [
        Row("gone", str(tmp_path / "gone.wav")),
        Row("good", str(good)),
        Row("bad", str(tmp_path / "bad.wav")),
    ]
    write_manifest(tmp_path / "m.jsonl", rows)
    manifest = Manifest.open(tmp_path / "m.jsonl")
    (shard,) = write_shards(manifest, tmp_path / "s", Sharding(encode="flac", seed=None))
    assert shard.rows == 1
    assert [r.partition(":")[0] for r in shard.left_out] == [
        "row 1",
        "row 3",
    ] and "gone.wav" in shard.left_out[0]
    (shard,) = write_shards(manifest, tmp_path / "s", Sharding(encode="flac", seed=None))
    assert shard.left_out == ["row 1: left out by an earlier run", "row 3: left out by an earlier run"]
    assert ids(ShardStream(str(tmp_path / "s"), epochs=1)) == ["good"]


def test_other_shards_are_not_mixed_in(shards, manifest, tmp_path):
    with pytest.raises(ShardError, match="holds shards of another rows: choose another folder"):
        write_shards(manifest, shards, Sharding(rows=6))
    write_manifest(tmp_path / "m.jsonl", [Row("a", "/a.wav")])
    with pytest.raises(ShardError, match="of another manifest"):
        write_shards(Manifest.open(tmp_path / "m.jsonl"), shards, Sharding(rows=5))


def test_a_damaged_shard_is_named_when_writing_goes_on(copy, manifest):
    (copy / "clips-000001.tar").write_bytes(b"x" * 2000)
    with pytest.raises(ShardError, match=r"clips-000001\.tar is damaged .*: remove it"):
        write_shards(manifest, copy, Sharding(rows=5))


def test_a_full_disk_stops_and_leaves_no_torn_shard(manifest, tmp_path, monkeypatch):
    def full(self, member, content):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tarfile.TarFile, "addfile", full)
    with pytest.raises(OSError, match="No space left"):
        write_shards(manifest, tmp_path, Sharding(rows=5))
    assert [file.name for file in tmp_path.iterdir()] == ["plan.json"]


def _write_slowly(manifest: Manifest, out: Path) -> None:
    content = shard_writing._content

    def slow(row, encode):
        time.sleep(0.02)
        return content(row, encode)

    shard_writing._content = slow
    write_shards(manifest, out, Sharding(rows=5))


def test_killed_writing_goes_on_to_the_same_bytes(shards, manifest, tmp_path):
    process = multiprocessing.get_context("fork").Process(target=_write_slowly, args=(manifest, tmp_path))
    process.start()
    while not (tmp_path / "clips-000001.tar").is_file():
        time.sleep(0.005)
    time.sleep(0.05)  # into the third
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert not (tmp_path / INDEX).exists() and any(f.name.endswith(".part") for f in tmp_path.iterdir())
    before = {file.name: file.stat().st_mtime_ns for file in tmp_path.glob("*.tar")}
    write_shards(manifest, tmp_path, Sharding(rows=5))
    assert contents(tmp_path) == contents(shards)
    assert before == {name: (tmp_path / name).stat().st_mtime_ns for name in before}
