"""`earwitness evaluate` on a tiny model: captions of a manifest, scored as `score` scores them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from earwitness import score
from earwitness.captioner import Captioner
from earwitness.cli import app
from earwitness.cli.evaluate import default_folder

RATE = 16_000
CAPTIONS = ["a dog barks", "rain falls on a roof", "a man speaks", "wind blows"]


@pytest.fixture
def split(tmp_path):
    """Four rows: two whole files, a stretch of the second, and a file that is no sound."""
    for seed, name in enumerate(("a.wav", "b.wav")):
        noise = np.random.default_rng(seed).normal(size=2 * RATE) * 0.05
        soundfile.write(tmp_path / name, noise, RATE)
    (tmp_path / "bad.wav").write_bytes(b"no sound")
    rows = [
        {"id": "one", "audio": "a.wav", "captions": CAPTIONS[:2]},
        {"id": "broken", "audio": "bad.wav", "captions": CAPTIONS[2:3]},
        {"id": "part", "audio": "b.wav", "captions": CAPTIONS[1:3], "start": 0.5, "end": 1.5},
        {"id": "cut", "audio": "bad.wav", "captions": CAPTIONS[2:3], "start": 0.5},
        {"id": "two", "audio": "b.wav", "captions": CAPTIONS[3:]},
        {"id": "mute", "audio": "a.wav", "captions": []},
    ]
    return write(tmp_path / "test.jsonl", rows)


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture
def run(tiny_checkpoint, tmp_path):
    def run(data, *more: object, status: int = 0):
        command = ["evaluate", "--model", tiny_checkpoint, "--data", data, "--out", tmp_path / "out"]
        command += ["--device", "cpu", "--metrics", "bleu,rouge_l,cider_d,clap_score", *more]
        result = CliRunner().invoke(app, [str(part) for part in command])
        assert result.exit_code == status, (result.output, result.exception)
        return result

    return run


def rows_of(path):
    return {row["id"]: row for row in map(json.loads, path.read_text("utf-8").splitlines())}


def test_what_is_heard_is_captioned_and_scored(run, split, tiny_checkpoint, tmp_path):
    result = run(split, status=1)
    said = rows_of(tmp_path / "out" / "captions.jsonl")
    captioner = Captioner.from_pretrained(tiny_checkpoint, device="cpu")
    whole, _ = soundfile.read(tmp_path / "b.wav", dtype="float32")
    wanted = [captioner(str(tmp_path / "a.wav")), captioner(whole[RATE // 2 : RATE * 3 // 2])]
    assert [said["one"]["caption"], said["part"]["caption"]] == [caption.text for caption in wanted]
    assert (said["part"]["start"], said["part"]["end"]) == (0.5, 1.5)
    assert said["part"]["path"] == str(tmp_path / "b.wav")
    judged = score(
        [said[name]["caption"] for name in ("one", "part", "two")],
        [CAPTIONS[:2], CAPTIONS[1:3], CAPTIONS[3:]],
        "bleu,rouge_l,cider_d",
    )
    report = json.loads((tmp_path / "out" / "report.json").read_text("utf-8"))
    assert report["corpus"] == judged.corpus
    assert "clap_score needs the model" in report["missing"]["clap_score"]
    assert "2 of 6 clips could not be read; scores exclude them" in result.stderr
    assert "  broken: " in result.stderr and "  cut: " in result.stderr
    assert "1 of 6 clips have no references" in result.stderr
    assert "b.wav#t=0.5,1.5" in (tmp_path / "out" / "worst.html").read_text("utf-8")
    assert {path.name for path in (tmp_path / "out").iterdir()} >= {"report.csv", "report.tex"}


def test_a_stopped_run_is_resumed(run, split, tmp_path, monkeypatch):
    run(split, status=1)
    captions = tmp_path / "out" / "captions.jsonl"
    whole = rows_of(captions)
    lines = captions.read_text("utf-8").splitlines(keepends=True)
    captions.write_text(lines[0].replace(whole["one"]["caption"], "kept") + lines[1][:20], "utf-8")
    captioned = []
    caption_clips = Captioner.caption_clips

    def counted(self, clips, **options):
        return caption_clips(self, (captioned.append(clip) or clip for clip in clips), **options)

    monkeypatch.setattr(Captioner, "caption_clips", counted)
    run(split, status=1)
    assert rows_of(captions) == {**whole, "one": {**whole["one"], "caption": "kept"}}
    assert len(captioned) == 3  # "part", "two" and "mute"
    timing = json.loads((tmp_path / "out" / "timing.json").read_text("utf-8"))
    assert timing["clips"] == 7 and timing["seconds_per_clip"] > 0  # 4 of the first run, 3 of this one
    assert json.loads((tmp_path / "out" / "report.json").read_text("utf-8"))["timing"] == timing


def test_clips_that_were_cut_are_counted_in_the_signature(run, tmp_path):
    noise = np.random.default_rng(0).normal(size=12 * RATE) * 0.05
    soundfile.write(tmp_path / "long.wav", noise, RATE)
    rows = [{"id": "long", "audio": "long.wav", "captions": CAPTIONS[:1]}]
    result = run(write(tmp_path / "long.jsonl", rows))
    report = json.loads((tmp_path / "out" / "report.json").read_text("utf-8"))
    assert report["signature"].endswith("|cut:1")
    assert "1 of 1 clips are longer than the model takes at once" in result.stderr
    row = rows_of(tmp_path / "out" / "captions.jsonl")["long"]
    assert row["cut_from"] == 12.0 and row["end"] - row["start"] == 10.0


@pytest.mark.parametrize(
    "options", [["--beams", "2", "--length-penalty", "-3"], ["--max-new-tokens", "3"], ["--top-p", "0.9"]]
)
def test_decoding_is_the_one_asked_for(run, split, tiny_checkpoint, tmp_path, options):
    run(split, *options, status=1)
    said = rows_of(tmp_path / "out" / "captions.jsonl")
    settings = json.loads((tmp_path / "out" / "settings.json").read_text("utf-8"))["decoding"]
    captioner = Captioner.from_pretrained(tiny_checkpoint, device="cpu")
    if settings.get("do_sample"):
        again = (tmp_path / "out").rename(tmp_path / "first")
        run(split, *options, status=1)
        assert rows_of(tmp_path / "out" / "captions.jsonl") == rows_of(again / "captions.jsonl")  # the seed
        return
    assert said["one"]["caption"] == captioner(str(tmp_path / "a.wav"), **settings).text


def test_folders_of_different_runs_and_settings_differ() -> None:
    data = str(Path("audiocaps/test.jsonl").absolute())
    plain = {"model": "/runs/lamb/model", "data": data, "decoding": {}}
    folders = {
        default_folder(settings)
        for settings in (
            plain,
            plain | {"model": "/runs/other/model"},
            plain | {"decoding": {"beams": 1}},
            plain | {"data": data.replace("audiocaps", "clotho")},
        )
    }
    assert len(folders) == 4 and default_folder(plain) in folders
    assert str(default_folder(plain)).startswith("evaluations/lamb-audiocaps-test-")


def test_other_settings_want_another_folder(run, split):
    run(split, status=1)
    result = run(split, "--beams", "1", status=2)
    assert "decoding {}, now {'beams': 1}" in result.stderr and "name another --out" in result.stderr


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"id": "x", "audio": "a.wav", "captions": []}], "no row has captions to judge by"),
        (
            [{"id": "x", "audio": "a.wav", "captions": ["a"]}] * 2,
            "1 ids are in several rows, the first is 'x'",
        ),
        ([{"id": "x", "audio": "no.wav", "captions": ["a"]}], "there is nothing to score"),
        ([{"id": "x"}], "line 1: lacks audio, captions"),
    ],
)
def test_mistakes_are_said_without_a_traceback(run, tmp_path, rows, message):
    result = run(write(tmp_path / "odd.jsonl", rows), status=2)
    assert message in result.stderr and "Traceback" not in result.output


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (["--metrics", "cidre_d"], "did you mean 'cider_d'"),
        (["--neural-text", "words"], "neural_text is raw or ptb, not 'words'"),
    ],
)
def test_what_cannot_be_measured_is_said_before_a_clip_is_captioned(run, split, tmp_path, option, message):
    assert message in run(split, *option, status=2).stderr
    assert not (tmp_path / "out").exists()


def test_captions_of_a_manifest_meet_its_ids(split, tiny_checkpoint, tmp_path):
    rows = [
        {"id": "clip.one", "audio": "a.wav", "captions": []},
        {"id": "two", "audio": "b.wav", "captions": []},
    ]
    data = write(tmp_path / "whole.jsonl", rows)
    command = ["caption", data, "--model", tiny_checkpoint, "--device", "cpu", "--out", tmp_path / "c.jsonl"]
    result = CliRunner().invoke(app, [str(part) for part in command])
    assert result.exit_code == 0, result.output
    assert list(rows_of(tmp_path / "c.jsonl")) == ["clip.one", "two"]
    result = CliRunner().invoke(app, [str(part) for part in [command[0], split, *command[2:]]])
    assert result.exit_code == 2 and "part is a segment of a file" in result.stderr
