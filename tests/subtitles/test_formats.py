"""Subtitles and tables, read back by independent readers."""

from __future__ import annotations

import html
import json
import re
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from earwitness.captions import Caption
from earwitness.subtitles.formats import WRITERS, to_json, to_labels, to_srt, to_vtt, write_subtitles


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


def caption(text: str, start: float, end: float, *tags: tuple[str, float]) -> Caption:
    return Caption(text, 0.5, start, end, tags, "d/a b.wav")


CAPTIONS = [
    caption("a dog barks", 0.0, 1.25, ("dog", 0.9)),
    caption("a man speaks", 1.25, 3.0, ("man speaking", 0.8)),
    caption("a woman speaks", 3.0, 4.0, ("woman speaking", 0.7)),
    caption("silence", 4.0, 5.0, ("silence", 1.0)),
    caption("people talk", 5.0, 10.00049, ("people talking", 0.6)),
]


def test_labels_as_audacity_reads_them():
    assert to_labels(CAPTIONS[:2]) == "0.000000\t1.250000\ta dog barks\n1.250000\t3.000000\ta man speaks\n"
    (line,) = to_labels([Heard("tab\there\nand line", 1.0, 2.0)]).splitlines()
    assert line.split("\t") == ["1.000000", "2.000000", "tab here and line"]


def test_json_says_what_is_covered_and_where_somebody_speaks():
    found = json.loads(to_json(iter(CAPTIONS)))
    assert (found["path"], found["duration"]) == ("d/a b.wav", 10.0)
    assert found["speech"] == [[1.25, 4.0], [5.0, 10.0]]
    assert [c["kind"] for c in found["captions"]] == ["sound", "speech", "speech", "silence", "speech"]
    assert found["captions"][0] == {
        "start": 0.0,
        "end": 1.25,
        "caption": "a dog barks",
        "score": 0.5,
        "logprob": None,
        "tags": [["dog", 0.9]],
        "kind": "sound",
    }
    assert json.loads(to_json([])) == {"path": "", "duration": 0.0, "speech": [], "captions": []}


@pytest.mark.parametrize("suffix", WRITERS)
def test_files_appear_whole_or_not_at_all(tmp_path, suffix):
    def breaking():
        yield CAPTIONS[0]
        raise RuntimeError("the model died")

    path = tmp_path / f"out{suffix}"
    path.write_text("before")
    with pytest.raises(RuntimeError, match="the model died"):
        write_subtitles(breaking(), path)
    assert path.read_text() == "before"
    write_subtitles(CAPTIONS, path)
    assert path.read_bytes().decode("utf-8") == WRITERS[suffix](CAPTIONS)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", [".srt", ".vtt"])
def test_ffmpeg_reads_what_it_would_burn(tmp_path, suffix):
    """Its own readers find every cue, with its times and its words."""
    import av

    odd = [
        caption('a "dog" & <b>, é, {\\an8} -> 5 % {', 61.5, 62.25),
        *CAPTIONS,
        caption("x" * 300, 3601.0, 3700.0),
    ]
    write_subtitles(odd, tmp_path / f"film{suffix}")
    found = []
    with av.open(str(tmp_path / f"film{suffix}")) as file:
        for packet in file.demux():
            if packet.size:
                start = float(packet.pts * packet.time_base)
                found.append(
                    (start, start + float(packet.duration * packet.time_base), bytes(packet).decode())
                )
    expected = sorted((round(c.start, 3), round(c.end, 3), c.text) for c in odd)
    assert [cue[:2] for cue in found] == [pytest.approx(cue[:2], abs=1e-9) for cue in expected]
    read = [html.unescape(cue[2]) if suffix == ".vtt" else cue[2] for cue in found]
    assert read == [cue[2] for cue in expected]
