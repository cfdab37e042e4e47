"""Subtitles and tables, read back by independent readers."""

from __future__ import annotations

import csv
import html
import json
import re
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from earwitness.subtitles import COLUMNS, to_srt, to_vtt, write_csv, write_jsonl, write_srt, write_vtt


@dataclass
class Heard:
    text: str
    start: float = 0.0
    end: float = 10.0
    score: float = 0.5
    tags: list[tuple[str, float]] = field(default_factory=list)
    source: str = "film.mp4"
    uncorrected: str | None = None


TIMES = r"(\d{2,}):([0-5]\d):([0-5]\d)[,.](\d{3})"


def seconds(parts: tuple[str, ...]) -> float:
    hours, minutes, secs, millis = map(int, parts)
    return hours * 3600 + minutes * 60 + secs + millis / 1000


def parse(document: str, arrow_blocks: list[str]) -> list[tuple[float, float, str]]:
    cues = []
    for block in arrow_blocks:
        lines = block.split("\n")
        found = re.fullmatch(f"{TIMES} --> {TIMES}", lines[0])
        assert found, block
        assert document.count(lines[0]) >= 1
        cues.append((seconds(found.groups()[:4]), seconds(found.groups()[4:]), "\n".join(lines[1:])))
    return cues


def parse_srt(document: str) -> list[tuple[float, float, str]]:
    blocks = [block for block in document.split("\n\n") if block]
    for number, block in enumerate(blocks, start=1):
        assert block.split("\n")[0] == str(number)
    return parse(document, [block.split("\n", 1)[1] for block in blocks])


def parse_vtt(document: str) -> list[tuple[float, float, str]]:
    header, *blocks = document.removesuffix("\n").split("\n\n")
    assert header == "WEBVTT"
    return [(start, end, html.unescape(text)) for start, end, text in parse(document, blocks)]


def test_srt_as_players_expect_it():
    captions = [Heard("A dog barks", 0.0, 10.0), Heard("Rain falls", 65.25, 75.2504)]
    assert to_srt(captions) == (
        "1\n00:00:00,000 --> 00:00:10,000\nA dog barks\n\n2\n00:01:05,250 --> 00:01:15,250\nRain falls\n\n"
    )


def test_vtt_as_browsers_expect_it():
    assert to_vtt([Heard("Tom & <Jerry>", 3600.0, 3610.0)]) == (
        "WEBVTT\n\n01:00:00.000 --> 01:00:10.000\nTom &amp; &lt;Jerry&gt;\n"
    )
    assert to_vtt([]) == "WEBVTT\n" and to_srt([]) == ""


@given(
    st.lists(
        st.tuples(
            st.text(max_size=30) | st.text(alphabet="-> \n\r\v\x85\u2028<&1:,0", max_size=30),
            st.floats(0, 2e6),
            st.floats(0, 1e5),
        ),
        max_size=6,
    )
)
@settings(deadline=None)
def test_any_text_and_time_comes_back(rows):
    captions = [Heard(text, start, start + length) for text, start, length in rows]
    expected = []
    for caption in captions:
        start = round(caption.start * 1000)
        if text := " ".join(caption.text.split()):
            expected.append((start, max(round(caption.end * 1000), start + 1), text))
    expected.sort(key=lambda cue: cue[:2])
    for found, arrow in ((parse_srt(to_srt(captions)), "→"), (parse_vtt(to_vtt(captions)), "-->")):
        assert [text for _, _, text in found] == [text.replace("-->", arrow) for _, _, text in expected]
        for cue, (start, end, _) in zip(found, expected):
            assert cue[:2] == pytest.approx((start / 1000, end / 1000), abs=1e-6)


def test_arrows_and_blank_lines_cannot_end_a_cue():
    evil = "a\n\n2\n00:00:00,000 --> 00:00:09,000\nb"
    assert to_srt([Heard(evil)]).count("-->") == 1
    assert to_vtt([Heard(evil)]).count("-->") == 1
    assert len(parse_srt(to_srt([Heard(evil)]))) == 1
    assert parse_vtt(to_vtt([Heard(evil)]))[0][2] == "a 2 00:00:00,000 --> 00:00:09,000 b"


def test_hours_beyond_a_hundred():
    (cue,) = parse_srt(to_srt([Heard("Wind", 360_000.0, 363_661.5)]))
    assert cue == (360_000.0, 363_661.5, "Wind")
    assert "100:00:00,000 --> 101:01:01,500" in to_srt([Heard("Wind", 360_000.0, 363_661.5)])


def test_rounding_never_gives_sixty_seconds():
    assert "00:00:59,999 --> 00:01:00,000" in to_srt([Heard("x", 59.9994, 59.9996)])


def test_cues_are_in_order_and_never_empty():
    found = parse_vtt(to_vtt([Heard("b", 5.0, 6.0), Heard("  ", 1.0, 2.0), Heard("a", 5.0, 5.0)]))
    assert found == [(5.0, 5.001, "a"), (5.0, 6.0, "b")]


@pytest.mark.parametrize("start, end", [(-1.0, 2.0), (3.0, 2.0), (0.0, float("inf")), (float("nan"), 1.0)])
@pytest.mark.parametrize("write", [to_srt, to_vtt])
def test_impossible_times(write, start, end):
    with pytest.raises(ValueError, match="cannot last from"):
        write([Heard("x", start, end)])


CAPTIONS = [
    Heard(
        'A "dog", barks\nloudly', 0.0, 10.00049, 0.87654321, [("dog", 0.98765), ("rain", 0.31)], "d/a b.wav"
    ),
    Heard("雨が降る; =1+1", 10.0, 12.5, 1.0, [], "d/雨.flac"),
]


def test_jsonl_comes_back(tmp_path):
    path = tmp_path / "new" / "captions.jsonl"
    write_jsonl(iter(CAPTIONS), path, model="mini")
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    assert [list(row) for row in rows] == [list(COLUMNS)] * 2
    assert rows[0] == {
        "id": "a b",
        "path": "d/a b.wav",
        "start": 0.0,
        "end": 10.0,
        "caption": 'A "dog", barks\nloudly',
        "score": 0.8765,
        "tags": [["dog", 0.9877], ["rain", 0.31]],
        "model": "mini",
    }
    assert "雨が降る" in path.read_text("utf-8")


def test_csv_comes_back(tmp_path):
    path = tmp_path / "captions.csv"
    write_csv(CAPTIONS, path)
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [tuple(row) for row in rows] == [COLUMNS] * 2
    assert rows[0]["caption"] == 'A "dog", barks\nloudly'
    assert rows[0]["tags"] == "dog 0.9877; rain 0.3100" and rows[1]["tags"] == ""
    assert (rows[1]["id"], rows[1]["start"], rows[1]["end"]) == ("雨", "10.0", "12.5")


def test_names_that_are_no_unicode(tmp_path):
    name = b"caf\xe9.wav".decode("utf-8", "surrogateescape")
    write_jsonl([Heard("x", source=name)], tmp_path / "o.jsonl")
    assert json.loads((tmp_path / "o.jsonl").read_text("utf-8"))["path"] == name
    write_csv([Heard("x", source=name)], tmp_path / "o.csv")
    assert r"caf\udce9.wav" in (tmp_path / "o.csv").read_text("utf-8")


@pytest.mark.parametrize("write", [write_jsonl, write_csv, write_srt, write_vtt])
def test_files_appear_whole_or_not_at_all(tmp_path, write):
    def breaking():
        yield CAPTIONS[0]
        raise RuntimeError("the model died")

    path = tmp_path / "out.txt"
    path.write_text("before")
    with pytest.raises(RuntimeError, match="the model died"):
        write(breaking(), path)
    assert path.read_text() == "before"
    write(CAPTIONS, path)
    assert path.read_text("utf-8") != "before"
    assert [p.name for p in tmp_path.iterdir()] == ["out.txt"]


def test_subtitle_files_hold_the_text(tmp_path):
    write_srt(CAPTIONS, tmp_path / "a.srt")
    write_vtt(CAPTIONS, tmp_path / "a.vtt")
    assert (tmp_path / "a.srt").read_bytes().decode("utf-8") == to_srt(CAPTIONS)
    assert (tmp_path / "a.vtt").read_bytes().decode("utf-8") == to_vtt(CAPTIONS)
