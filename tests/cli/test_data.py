"""`earwitness data` from the command line, over trees like the published ones."""

from __future__ import annotations

import json
import shlex

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from earwitness.cli.data import app
from earwitness.data.manifest import Manifest
from earwitness.data.shards import ShardStream


def run(*arguments):
    return CliRunner().invoke(app, [str(a) for a in arguments])


def clip(path, seconds=0.2, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    sound = 0.1 * np.random.default_rng(seed).standard_normal(round(16_000 * seconds))
    soundfile.write(path, sound, 16_000)
    return path


def test_audiocaps(tmp_path, monkeypatch):
    rows = [("1", "r1nicOVtvkQ", "130", "water pours"), ("2", "-AheI8Epim4", "0", "a man speaks")]
    header = "audiocap_id,youtube_id,start_time,caption"
    (tmp_path / "train.csv").write_text("\n".join([header, *map(",".join, rows)]))
    clip(tmp_path / "Yr1nicOVtvkQ.wav")
    monkeypatch.chdir(tmp_path)
    done = run("audiocaps", tmp_path, "--commands", "fetch.sh")
    assert done.exit_code == 0, done.output
    assert "train: 1 clips, 1 captions" in done.stdout and "1 missing: -AheI8Epim4_0" in done.stdout
    assert [r.id for r in Manifest.open("audiocaps/train.jsonl")] == ["r1nicOVtvkQ"]
    assert json.loads((tmp_path / "audiocaps/report.json").read_text())["splits"]["train"]["missing"]
    assert shlex.split((tmp_path / "fetch.sh").read_text())[-1].endswith("watch?v=-AheI8Epim4")


def test_clotho_tells_of_leaks(tmp_path):
    header = "file_name," + ",".join(f"caption_{i}" for i in range(1, 6))
    for split in ("development", "evaluation"):
        (tmp_path / f"clotho_captions_{split}.csv").write_text(f"{header}\n{split}.wav,a,b,c,d,e\n")
        clip(tmp_path / split / f"{split}.wav")
    done = run("clotho", tmp_path, "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    assert "development:development.wav/evaluation:evaluation.wav" in done.stdout
    (row,) = Manifest.open(tmp_path / "out" / "evaluation.jsonl")
    assert row.captions == ("a", "b", "c", "d", "e")


def test_wavcaps_with_forbidden_ids_against_another_set(tmp_path):
    folder = tmp_path / "WavCaps"
    (folder / "json_files" / "FreeSound").mkdir(parents=True)
    entries = [{"id": str(i), "caption": f"sound {i}", "duration": 1.0} for i in range(3)]
    (folder / "json_files/FreeSound/fsd_final.json").write_text(json.dumps({"data": entries}))
    for i in range(3):
        clip(folder / "FreeSound_flac" / f"{i}.flac", seed=i)
    (tmp_path / "ids.txt").write_text("1\n")
    clip(tmp_path / "other" / "test clip.flac", seed=2)
    (tmp_path / "other" / "t.csv").write_text("file,caption\ntest clip.flac,a test\n")
    assert run("folder", tmp_path / "other").exit_code == 0
    against = tmp_path / "other" / "manifest.jsonl"
    done = run(
        *("wavcaps", folder, "--forbid", tmp_path / "ids.txt", "--against", against),
        *("--out", tmp_path / "wavcaps"),
    )
    assert done.exit_code == 0, done.output
    assert [r.id for r in Manifest.open(tmp_path / "wavcaps" / "train.jsonl")] == [
        "FreeSound_0",
        "FreeSound_2",
    ]
    assert "left out, FreeSound: id in ids.txt: 1" in done.stdout
    assert f"train:FreeSound_2/{against}:test clip.flac" in done.stdout


def test_macs(tmp_path):
    (tmp_path / "MACS.yaml").write_text(
        "files: [{filename: a.wav, annotations: [{annotator_id: 1, sentence: birds sing, tags: [birds]}]}]\n"
    )
    (tmp_path / "MACS_competence.csv").write_text("annotator_id\tcompetence\n1\t0.5\n")
    clip(tmp_path / "audio" / "a.wav")
    done = run("macs", tmp_path, "--out", tmp_path)
    assert done.exit_code == 0, done.output
    assert Manifest.open(tmp_path / "train.jsonl")[0].labels == ("birds",)


def test_folder_and_its_shards(tmp_path):
    for i in range(5):
        clip(tmp_path / "in" / f"{i}.wav", 0.1 * (i + 1), seed=i)
    table = "file_name,caption\n" + "".join(f"{i}.wav,clip {i}\n" for i in range(5))
    (tmp_path / "in" / "metadata.csv").write_text(table)
    done = run("folder", tmp_path / "in", "--shortest", 0.15, "--longest", 0.45)
    assert done.exit_code == 0, done.output
    assert "1 too short: 0.wav" in done.stdout and "1 too long: 4.wav" in done.stdout
    manifest, out = tmp_path / "in" / "manifest.jsonl", tmp_path / "shards"
    done = run("shard", manifest, "-o", out, "--rows", 2, "--encode", "opus", "--workers", 1)
    assert done.exit_code == 0, done.output
    assert f"3 clips in 2 shards in {out}" in done.stdout
    assert {s.row.captions for s in ShardStream(str(out), epochs=1)} == {(f"clip {i}",) for i in (1, 2, 3)}
    assert run("shard", manifest, "-o", out, "--rows", 2, "--encode", "opus").exit_code == 0


def test_a_clip_that_is_gone_makes_sharding_fail_after_the_others(tmp_path):
    rows = [{"id": i, "audio": f"{i}.wav", "captions": []} for i in ("here", "gone")]
    (tmp_path / "m.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    clip(tmp_path / "here.wav")
    done = run("shard", tmp_path / "m.jsonl", "-o", tmp_path / "s")
    assert done.exit_code == 1 and "1 clips in 1 shards" in done.stdout
    assert "skipped: row 2" in done.stderr and "gone.wav" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["audiocaps", "{}"], "holds none of train.csv"),
        (["clotho", "{}/none"], "there is no folder"),
        (["wavcaps", "{}"], "holds no json_files"),
        (["macs", "{}"], "holds no MACS.yaml"),
        (["folder", "{}"], "holds no CSV"),
        (["shard", "{}/m.jsonl", "-o", "{}/s"], "there is no such manifest"),
        (["shard", "{}/m.jsonl", "-o", "{}/s", "--encode", "mp3"], "choose flac or opus"),
    ],
)
def test_what_can_be_mended_is_said(tmp_path, arguments, message):
    done = run(*[a.format(tmp_path) for a in arguments])
    assert done.exit_code == 2 and message in done.stderr


def test_a_split_without_any_clip_is_a_failure(tmp_path):
    (tmp_path / "t.csv").write_text("file,caption\na.wav,x\n")
    done = run("folder", tmp_path)
    assert done.exit_code == 2 and "no clip of manifest was found" in done.stderr
