"""`earwitness caption`: subtitles with sound cues, labels, documents, pictures, Parquet, what was covered."""

from __future__ import annotations

import json

import numpy as np
import pytest
import soundfile

from earwitness.captioner import Captioner
from earwitness.captions import Caption
from earwitness.tables import read_rows

RATE = 16_000
DIALOGUE = (
    b"\xef\xbb\xbf1\r\n00:00:00,500 --> 00:00:02,000\r\n<i>Who is there?</i>\r\n\r\n"
    b"7\r\n00:00:09,0 --> 0:0:10,5\r\nNobody.\r\n"
)


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    path = tmp_path_factory.mktemp("film") / "film.wav"
    soundfile.write(path, np.random.default_rng(0).normal(size=round(12.34 * RATE)) * 0.05, RATE)
    return path


@pytest.fixture
def heard(monkeypatch):
    """What the model hears, told in advance."""
    said = [
        ("people talk", 0.0, 3.0, (("person speaking", 0.9),)),
        ("a door is slammed", 3.0, 4.0, (("door slams", 0.9),)),
        ("a dog barks", 4.0, 8.0, (("dog barking", 0.8), ("rain falling", 0.3))),
        ("a dog barks", 8.0, 12.0, (("dog barking", 0.7),)),
        ("silence", 12.0, 12.34, (("silence", 1.0),)),
    ]

    def timeline(self, source, window=10.0, hop=None, *, progress=None, **options):
        for text, start, end, tags in said:
            yield Caption(text, 0.5, start, end, tags, str(source))

    monkeypatch.setattr(Captioner, "timeline", timeline)


def test_merged_cues_stand_between_the_lines_and_change_none(run, film, heard, tmp_path):
    (tmp_path / "dialogue.srt").write_bytes(DIALOGUE)
    out = tmp_path / "film.sdh.srt"
    result = run(film, "--merge", tmp_path / "dialogue.srt", "--out", out)
    assert f"{out}: 2 sound cues." in result.stderr
    cues = (
        b"8\r\n00:00:03,000 --> 00:00:04,000\r\n[door slams]\r\n\r\n"
        b"9\r\n00:00:04,080 --> 00:00:08,080\r\n[dog barking]\r\n\r\n"
    )
    assert out.read_bytes() == DIALOGUE.replace(b"7\r\n", cues + b"7\r\n")


def test_short_cues_in_place_of_sentences(run, film, heard, tmp_path):
    run(film, "--sdh", "--out", tmp_path / "film.vtt", "--line-length", 12, "--least-seconds", 2)
    assert (tmp_path / "film.vtt").read_text() == (
        "WEBVTT\n\n00:00:03.000 --> 00:00:05.000\n[door slams]\n"
        "\n00:00:05.080 --> 00:00:09.080\n[dog\nbarking]\n\n"
    )


def test_speech_and_silence_are_marked_and_what_was_heard_is_told(run, film, heard, tmp_path):
    result = run(film, "--out", tmp_path / "film.json")
    assert f"{film}: 12.34 s captioned." in result.stderr
    found = json.loads((tmp_path / "film.json").read_text())
    assert found["speech"] == [[0.0, 3.0]] and found["duration"] == 12.34
    kinds = ["speech", "sound", "sound", "silence"]  # the two that say the same are one
    assert [caption["kind"] for caption in found["captions"]] == kinds
    run(film, "--out", tmp_path / "film.txt")
    labels = [line.split("\t") for line in (tmp_path / "film.txt").read_text().splitlines()]
    assert labels[2] == ["4.000000", "12.000000", "a dog barks"]


def test_picture_and_table_at_once(run, film, heard, tmp_path):
    run(film, "--plot", tmp_path / "film.png", "--out", tmp_path / "film.parquet")
    assert (tmp_path / "film.png").read_bytes()[:4] == b"\x89PNG"
    rows = list(read_rows(tmp_path / "film.parquet"))
    assert [row["caption"] for row in rows] == ["people talk", "a door is slammed", "a dog barks", "silence"]
    assert rows[1]["tags"] == [["door slams", 0.9]]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--plot", "film.gif"], "--plot film.gif: choose a name that ends in .png, .svg, .pdf"),
        (["--merge", "gone.srt", "-o", "x.srt"], "--merge gone.srt: No such file"),
        (["--merge", "dialogue.ass", "-o", "x.ass"], "sound cues go into .srt or .vtt"),
        (["--merge", "dialogue.srt", "-o", "x.vtt"], "needs --out with a name that ends in .srt"),
        (["--merge", "dialogue.srt"], "needs --out with a name that ends in .srt"),
        (["--sdh", "-o", "x.srt", "--least-seconds", "0"], "the limits of cues must be positive"),
    ],
)
def test_what_cannot_be_is_said_before_a_model_is_loaded(run, film, monkeypatch, arguments, message):
    monkeypatch.setattr(Captioner, "from_pretrained", None)
    assert message in run(film, *arguments, status=2).stderr


def test_a_picture_is_of_one_file(run, film, tmp_path):
    other = tmp_path / "other.wav"
    other.write_bytes(film.read_bytes())
    assert "can hold one file's captions" in run(film, other, "--plot", "x.png", status=2).stderr


@pytest.mark.parametrize("name", ["o.jsonl", "o.srt", "o.json", "o.csv"])
def test_a_file_that_is_there_is_replaced_only_if_asked(run, film, heard, tmp_path, name):
    out = tmp_path / name
    out.write_text("made by hand")
    assert f"--out {out} exists: --overwrite replaces it" in run(film, "-o", out, status=2).stderr
    assert out.read_text() == "made by hand"
    run(film, "-o", out, "--overwrite")
    assert out.read_text() != "made by hand"


def test_merging_a_file_into_itself_needs_overwrite_and_twice_changes_nothing(run, film, heard, tmp_path):
    dialogue = tmp_path / "d.srt"
    dialogue.write_text("1\n00:00:00,000 --> 00:00:02,000\nHello.\n")
    assert "exists: --overwrite" in run(film, "--merge", dialogue, "-o", dialogue, status=2).stderr
    run(film, "--merge", dialogue, "-o", dialogue, "--overwrite")
    first = dialogue.read_text()
    assert "Hello." in first and "[dog barking]" in first
    result = run(film, "--merge", dialogue, "-o", dialogue, "--overwrite")
    assert dialogue.read_text() == first and "described in the dialogue" in result.stderr


def test_a_dialogue_without_a_cue_is_refused(run, film, tmp_path):
    (tmp_path / "d.srt").write_text("Who is there?\n")
    result = run(film, "--merge", tmp_path / "d.srt", "-o", tmp_path / "o.srt", status=2)
    assert "d.srt: holds no subtitle cue" in result.stderr
