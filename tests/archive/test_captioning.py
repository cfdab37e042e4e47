"""An archive is captioned once, whole, whatever is killed, whoever shares the work, and whatever Ray does."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from functools import partial
from importlib.util import find_spec

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from earwitness.archive import sharded_table
from earwitness.archive.captioning import caption_files, caption_on_ray
from earwitness.archive.sharded_table import ShardedTable, Share
from earwitness.captioner import Captioner
from earwitness.captions import Caption
from earwitness.media.containers import MediaError
from earwitness.tables import FORMATS, read_rows

RATE = 16_000


def said(path: str, count: int = 1) -> list[Caption]:
    return [Caption(f"sound {i}", 0.5, float(i), i + 1.0, (("dog", 0.9),), path) for i in range(count)]


def paths_in(out) -> list[str]:
    return [row["path"] for row in read_rows(out)]


@pytest.fixture(scope="module")
def captioner(tiny_checkpoint):
    return Captioner.from_pretrained(tiny_checkpoint, device="cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Forty short sounds, and one file that is none."""
    folder = tmp_path_factory.mktemp("archive")
    rng = np.random.default_rng(0)
    for number in range(40):
        soundfile.write(folder / f"{number:02}.wav", 0.1 * rng.normal(size=RATE // 4), RATE)
    (folder / "bad.wav").write_bytes(b"RIFF but nothing of the kind")
    return folder


@given(st.lists(st.text(min_size=1), max_size=30, unique=True), st.integers(1, 7))
def test_each_file_is_one_share(files, world):
    shares = [Share(rank, world) for rank in range(world)]
    assert all(sum(share.has(file) for share in shares) == 1 for file in files)


def test_shares_are_about_equal():
    files = [f"/archive/{number:06}.flac" for number in range(20_000)]
    counts = [sum(Share(rank, 8).has(file) for file in files) for rank in range(8)]
    assert max(abs(count - 2500) for count in counts) < 250


@pytest.mark.parametrize(
    ("environment", "share"),
    [
        ({}, Share(0, 1)),
        ({"RANK": "2", "WORLD_SIZE": "4"}, Share(2, 4)),
        ({"SLURM_PROCID": "5", "SLURM_STEP_NUM_TASKS": "8"}, Share(5, 8)),
        ({"SLURM_ARRAY_TASK_ID": "7", "SLURM_ARRAY_TASK_COUNT": "4", "SLURM_ARRAY_TASK_MIN": "1"}
         | {"SLURM_ARRAY_TASK_STEP": "2"}, Share(3, 4)),
    ],
)  # fmt: skip
def test_share_of_torchrun_and_slurm(monkeypatch, environment, share):
    for name in list(os.environ):
        if name.startswith(("SLURM_", "RANK", "WORLD_SIZE")):
            monkeypatch.delenv(name)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert Share.from_environment() == share


@settings(max_examples=30)
@given(st.lists(st.lists(st.integers(0, 9), max_size=8), min_size=1, max_size=5), st.integers(1, 3))
def test_runs_that_are_killed_leave_each_file_once(tmp_path_factory, runs, shard_files):
    """Each run writes some files and vanishes; the last writes what is missing and closes."""
    out = tmp_path_factory.mktemp("table") / "all.jsonl"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sharded_table, "SHARD_FILES", shard_files)
        for run in [*runs, range(10)]:
            table = ShardedTable(out, "tiny", resume=True)
            for number in run:
                if table.has(str(number)):
                    continue
                if number % 4 == 3:
                    table.fail(str(number), "is not a media file")
                else:
                    table.write(str(number), said(str(number), number % 4))
        table.close()
    wanted = Counter({str(n): n % 4 for n in range(10) if n % 4 in (1, 2)})
    assert Counter(paths_in(out)) == wanted
    failed = [json.loads(line) for line in out.with_name("all.jsonl.failed.jsonl").open()]
    assert sorted(each["path"] for each in failed) == ["3", "7"]
    assert {each["error"] for each in failed} == {"is not a media file"}
    assert {path.name for path in out.parent.iterdir()} == {"all.jsonl", "all.jsonl.failed.jsonl"}


@pytest.mark.parametrize("suffix", FORMATS)
def test_the_last_of_those_that_share_writes_the_table(tmp_path, suffix):
    out, files = tmp_path / f"all{suffix}", [f"{number}.wav" for number in range(50)]
    tables = [ShardedTable(out, "tiny", share=Share(rank, 3)) for rank in range(3)]
    for rank in (2, 0, 1):
        assert not out.exists()
        for file in files:
            if not tables[rank].has(file):
                tables[rank].write(file, said(file))
        tables[rank].close()
    assert sorted(paths_in(out)) == sorted(files)
    again = ShardedTable(out, "tiny", resume=True)
    assert all(again.has(file) for file in files)
    again.write("new.wav", said("new.wav"))
    again.close()
    assert sorted(paths_in(out)) == sorted([*files, "new.wav"])


def test_what_failed_is_tried_again_and_leaves_the_list(tmp_path):
    out = tmp_path / "all.jsonl"
    table = ShardedTable(out, "tiny")
    table.fail("a.wav", "cannot be read")
    table.close()
    assert (tmp_path / "all.jsonl.failed.jsonl").exists()
    table = ShardedTable(out, "tiny", resume=True)
    assert not table.has("a.wav")
    table.write("a.wav", said("a.wav"))
    table.close()
    assert paths_in(out) == ["a.wav"] and [p.name for p in tmp_path.iterdir()] == ["all.jsonl"]


def test_files_with_reports_bad_ones_and_progress(captioner, folder):
    files, told = [str(folder / name) for name in ("00.wav", "bad.wav", "01.wav")], []
    found = dict(caption_files(captioner, files, progress=lambda *what: told.append(what), batch_size=2))
    assert list(found) == files and isinstance(found[files[1]], MediaError)
    (caption,) = found[files[0]]
    assert (caption.text, caption.source, caption.end) == (captioner(files[0]).text, files[0], 0.25)
    assert [done for done, _ in told] == [1, 2, 3]
    assert sum(heard for _, heard in told) == pytest.approx(0.5)


def test_timelines_report_progress_within_a_file(captioner, folder):
    told: list[tuple[float, float]] = []
    files = [str(folder / "00.wav"), str(folder / "bad.wav"), str(folder / "01.wav")]
    found = dict(
        caption_files(captioner, files, timeline=True, window=0.2, progress=lambda *w: told.append(w))
    )
    assert isinstance(found[files[1]], MediaError) and found[files[2]][-1].end == 0.25
    assert [done for done, _ in told] == sorted(done for done, _ in told) and told[-1][0] == 3
    assert sum(heard for _, heard in told) == pytest.approx(0.5)


def test_kill_dash_nine_and_resume(folder, tiny_checkpoint, tmp_path):
    """Three real processes are killed at different moments; the fourth ends the job."""
    out = tmp_path / "all.jsonl"
    program = (
        "from earwitness import cli; from earwitness.archive import sharded_table; "
        "sharded_table.SHARD_FILES = 3; cli.main()"
    )
    command = [sys.executable, "-c", program, "caption", str(folder), "--model", str(tiny_checkpoint)]
    command += ["--out", str(out), "--resume", "--device", "cpu", "--batch-size", "1", "--beams", "1"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    shards = tmp_path / "all.jsonl.shards"
    for killed in range(3):
        process = subprocess.Popen(command, **quiet)
        while process.poll() is None and len(list(shards.glob("*.jsonl"))) < 2 * killed + 1:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert not out.exists() and list(shards.iterdir())
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1 and "bad.wav: is not a media file" in done.stderr
    assert "of 41 files were captioned before" in done.stderr
    assert sorted(paths_in(out)) == [str(folder / f"{number:02}.wav") for number in range(40)]


@pytest.mark.exhaustive
@pytest.mark.skipif(find_spec("ray") is None, reason="needs ray[data]")
def test_actors_of_ray_say_the_same(folder, tiny_checkpoint, captioner):
    files = sorted(map(str, folder.glob("*.wav")))
    load = partial(Captioner.from_pretrained, str(tiny_checkpoint), device="cpu")
    found = dict(caption_on_ray(load, files, workers=2, batch_size=4))
    assert set(found) == set(files)
    for file, outcome in found.items():
        if file.endswith("bad.wav"):
            assert isinstance(outcome, MediaError) and outcome.path == file
        else:
            (caption,) = outcome
            expected = captioner(file)
            assert (caption.text, caption.source, caption.end) == (expected.text, file, expected.end)
            assert caption.score == pytest.approx(expected.score, abs=1e-5)


@pytest.mark.parametrize("suffix", FORMATS)
def test_resuming_with_names_that_are_no_unicode_adds_nothing(tmp_path, suffix):
    names = [os.fsdecode(name) for name in (b"latin\xe9.wav", rb"latin\xe9.wav", b"line\nbreak.wav")]
    for _ in range(3):
        table = ShardedTable(tmp_path / f"o{suffix}", "tiny", resume=True)
        for name in names:
            if not table.has(name):
                table.write(name, said(name))
        table.close()
    assert paths_in(tmp_path / f"o{suffix}") == names


@pytest.mark.parametrize("where", ["write_lines", "write_rows"])
def test_a_full_disk_is_named_at_once_and_resumed_from(tmp_path, monkeypatch, where):
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(sharded_table, "SHARD_FILES", 1)
    table = ShardedTable(tmp_path / "o.jsonl", "tiny")
    table.write("a.wav", said("a.wav"))
    with monkeypatch.context() as patched:
        patched.setattr(sharded_table, where, full)
        with pytest.raises(
            OSError, match=r"o\.jsonl: no space is left.*kept in .*o\.jsonl\.shards.*--resume"
        ):
            table.write("b.wav", said("b.wav"))
            table.close()
    table = ShardedTable(tmp_path / "o.jsonl", "tiny", resume=True)
    assert table.has("a.wav")
    table.close()
    assert "a.wav" in paths_in(tmp_path / "o.jsonl")
