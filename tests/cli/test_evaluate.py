"""`earwitness evaluate` on a tiny model: captions of a manifest, scored as `score` scores them."""

from __future__ import annotations

import json

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from earwitness import score
from earwitness.captioner import Captioner
from earwitness.cli import app

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
    assert "2 of 6 clips could not be heard; scores leave them out" in result.stderr
    assert "  broken: " in result.stderr and "  cut: " in result.stderr
    assert "1 of 6 clips have no captions to judge by" in result.stderr
    assert "b.wav#t=0.5,1.5" in (tmp_path / "out" / "worst.html").read_text("utf-8")
    assert {path.name for path in (tmp_path / "out").iterdir()} >= {"report.csv", "report.tex"}


def test_a_stopped_run_goes_on(run, split, tmp_path, monkeypatch):
    run(split, status=1)
    captions = tmp_path / "out" / "captions.jsonl"
    whole = rows_of(captions)
    lines = captions.read_text("utf-8").splitlines(keepends=True)
    captions.write_text(lines[0].replace(whole["one"]["caption"], "kept") + lines[1][:20], "utf-8")
    heard = []
    load = Captioner.stream
    monkeypatch.setattr(
        Captioner, "stream", lambda self, s, **o: load(self, (heard.append(x) or x for x in s), **o)
    )
    run(split, status=1)
    assert rows_of(captions) == {**whole, "one": {**whole["one"], "caption": "kept"}}
    assert str(tmp_path / "a.wav") not in heard[:1] and len(heard) == 4  # all but "one" and "cut"


def test_other_settings_want_another_folder(run, split):
    run(split, status=1)
    result = run(split, "--beams", "1", status=2)
    assert "beams None, now 1" in result.stderr and "name another --out" in result.stderr


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"id": "x", "audio": "a.wav", "captions": []}], "no row has captions to judge by"),
        (
            [{"id": "x", "audio": "a.wav", "captions": ["a"]}] * 2,
            "1 ids stand in several rows, the first is 'x'",
        ),
        ([{"id": "x", "audio": "no.wav", "captions": ["a"]}], "there is nothing to score"),
        ([{"id": "x"}], "line 1: lacks audio, captions"),
    ],
)
def test_mistakes_are_said_without_a_traceback(run, tmp_path, rows, message):
    result = run(write(tmp_path / "odd.jsonl", rows), status=2)
    assert message in result.stderr and "Traceback" not in result.output
