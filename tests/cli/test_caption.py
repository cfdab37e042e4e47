"""`earwitness caption` on a tiny model: what it writes parses and holds what the captioner says."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from earwitness.captioner import Captioner
from earwitness.captions import merge_neighbours
from earwitness.cli import app

RATE = 16_000
COLUMNS = ["id", "path", "start", "end", "caption", "score", "logprob", "tags", "model"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """a.wav (1 s), b.flac (2.5 s), a file that is no sound, a text file, and c.wav in a folder within."""
    folder = tmp_path_factory.mktemp("sounds")
    (folder / "inner").mkdir()
    for seed, (name, seconds) in enumerate({"a.wav": 1.0, "b.flac": 2.5, "inner/c.wav": 0.5}.items()):
        noise = np.random.default_rng(seed).normal(size=round(seconds * RATE)) * 0.05
        soundfile.write(folder / name, noise, RATE)
    (folder / "bad.wav").write_bytes(b"RIFF but nothing of the kind")
    (folder / "notes.txt").write_text("not media")
    return folder


@pytest.fixture(scope="module")
def captioner(tiny_checkpoint):
    return Captioner.from_pretrained(tiny_checkpoint, device="cpu")


def rows(path) -> list[dict]:
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text().splitlines()]
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_table_says_what_was_heard(run, folder, captioner):
    result = run(folder / "a.wav")
    caption = captioner(str(folder / "a.wav"))
    assert Counter(caption.text.split()) <= Counter(result.stdout.split())  # it may fill several lines
    assert f"{caption.score:.2f}" in result.stdout and caption.tags[0][0] in result.stdout
    assert "0:00.0–0:01.0" in result.stdout


def test_folder_goes_on_past_a_bad_file_and_reports_it(run, folder, tmp_path, captioner):
    out = tmp_path / "all.jsonl"
    result = run(folder, "--out", out, status=1)
    assert "1 could not be captioned" in result.stderr and "bad.wav: is not a media file" in result.stderr
    found = rows(out)
    assert [list(row) for row in found] == [COLUMNS] * 2
    assert [row["path"] for row in found] == [str(folder / "a.wav"), str(folder / "b.flac")]
    for row in found:
        caption = captioner(row["path"])
        assert (row["caption"], row["start"], row["end"]) == (caption.text, 0.0, caption.end)
        assert row["score"] == pytest.approx(caption.score, abs=1e-4)
        assert [name for name, _ in row["tags"]] == [name for name, _ in caption.tags]
    assert found[0]["id"] == "a" and found[0]["model"] == "checkpoint"


def test_recursive_and_a_path_that_is_not_there(run, folder, tmp_path):
    out = tmp_path / "all.csv"
    result = run(folder / "inner", folder / "nowhere.wav", folder, "-r", "-o", out, status=1)
    assert "nowhere.wav: no such file" in result.stderr
    found = rows(out)
    assert list(found[0]) == COLUMNS
    assert [row["id"] for row in found] == ["inner/c", "a", "b"]  # c only once


@pytest.mark.parametrize("suffix", ["jsonl", "csv"])
def test_timeline_rows_cover_each_file_and_merge_neighbours(run, folder, tmp_path, captioner, suffix):
    out = tmp_path / f"windows.{suffix}"
    run(folder / "b.flac", "--window", 1, "--out", out)
    expected = list(merge_neighbours(captioner.timeline(str(folder / "b.flac"), window=1.0)))
    found = rows(out)
    assert [(float(r["start"]), float(r["end"]), r["caption"]) for r in found] == [
        (c.start, c.end, c.text) for c in expected
    ]
    assert float(found[-1]["end"]) == 2.5


@pytest.mark.parametrize("suffix", ["jsonl", "csv"])
def test_resume_captions_every_file_exactly_once(run, folder, tmp_path, suffix):
    out, whole = tmp_path / f"part.{suffix}", tmp_path / f"whole.{suffix}"
    files = [folder / "a.wav", folder / "b.flac", folder / "inner" / "c.wav"]
    run(*files, "--window", 1, "-o", whole)
    run(files[0], "--window", 1, "-o", out)
    run(*files, "--window", 1, "-o", out, "--resume")
    assert out.read_text() == whole.read_text()
    before = out.stat().st_mtime_ns, out.read_text()
    result = run(*files, "-o", out, "--resume")
    assert "3 of 3 files were captioned before" in result.stderr
    assert out.read_text() == before[1]


def test_resume_refuses_a_file_of_something_else(run, folder, tmp_path):
    out = tmp_path / "other.jsonl"
    out.write_text('{"precious": 1}\n')
    result = run(folder / "a.wav", "-o", out, "--resume", status=2)
    assert "is no table of captions (its columns are others)" in result.stderr
    assert out.read_text() == '{"precious": 1}\n'


@pytest.mark.parametrize("kind", ["srt", "vtt"])
def test_subtitles_beside_the_file_never_replace_what_is_there(run, folder, tmp_path, kind):
    file = tmp_path / "film.flac"
    file.write_bytes((folder / "b.flac").read_bytes())
    subtitles = tmp_path / f"film.{kind}"
    run(file, f"--{kind}")
    text = subtitles.read_text()
    assert "00:00:00" in text and "-->" in text and (kind == "srt" or text.startswith("WEBVTT"))
    subtitles.write_text("made by hand")
    result = run(file, f"--{kind}", status=1)
    assert "--overwrite replaces it" in result.stderr
    assert run(file, f"--{kind}", "--resume").exit_code == 0
    assert subtitles.read_text() == "made by hand"
    run(file, f"--{kind}", "--overwrite")
    assert subtitles.read_text() == text
    run(file, "--out", tmp_path / f"named.{kind}")
    assert (tmp_path / f"named.{kind}").read_text() == text


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["-o", "out.xls"], "choose a name that ends in .jsonl"),
        (["--merge", "talk.ass", "-o", "x.ass"], "sound cues go into .srt or .vtt"),
        (["--merge", "talk.srt", "-o", "x.vtt"], "with a name that ends in .srt"),
        (["--merge", "talk.srt", "-o", "x.srt"], "--merge talk.srt: No such file"),
        (["--line-length", "50", "--least-seconds", "9"], "cues cannot last at least 9"),
        (["--window", "60"], "at most 10 s at once"),
        (["--window", "2", "--hop", "5"], "hop must be at most the window"),
        (["--dtype", "int8"], "unknown dtype 'int8'"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(run, folder, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    result = run(folder / "a.wav", *arguments, status=2)
    assert message in result.stderr and "Traceback" not in result.output


def test_subtitles_of_two_files_in_one_are_refused(run, folder, tmp_path):
    result = run(folder / "a.wav", folder / "b.flac", "-o", tmp_path / "x.srt", status=2)
    assert "--srt" in result.stderr


def test_a_checkpoint_that_is_none(folder, tmp_path):
    result = CliRunner().invoke(app, ["caption", str(folder / "a.wav"), "--model", str(tmp_path)])
    assert result.exit_code == 2 and "has no config.json" in result.stderr


def test_help_teaches_and_is_fast():
    code = "import atexit, sys; atexit.register(lambda: print('torch' in sys.modules))\n"
    code += "from earwitness.cli import main; main()"
    command = [sys.executable, "-c", code, "caption", "--help"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert shown.splitlines()[-1] == "False"
    for word in ["--timeline", "--resume", "earwitness caption film.mp4 --srt"]:
        assert word in shown


def test_standard_input_is_captioned(tiny_checkpoint, folder, tmp_path):
    out = tmp_path / "o.jsonl"
    command = ["caption", "-", "-o", str(out), "--model", str(tiny_checkpoint), "--device", "cpu"]
    result = CliRunner().invoke(app, command, input=(folder / "b.flac").read_bytes())
    assert result.exit_code == 0, result.output
    (found,) = rows(out)
    assert (found["path"], found["id"], found["end"]) == ("-", "-", 2.5)
    result = CliRunner().invoke(app, ["caption", "-", "--srt", "--model", str(tiny_checkpoint)], input=b"")
    assert result.exit_code == 1 and "standard input has no folder" in result.stderr


def test_a_track_is_chosen_and_one_that_is_not_there_is_named(run, folder, captioner):
    caption = captioner(str(folder / "a.wav"))
    assert Counter(caption.text.split()) <= Counter(run(folder / "a.wav", "--track", 1).stdout.split())
    result = run(folder / "a.wav", "--track", 2, status=1)
    assert "a.wav: has one audio track; there is no track 2" in result.stderr


def test_a_folder_without_media_is_a_failure(run, tmp_path):
    assert "No audio or video files found" in run(tmp_path, status=1).stderr
