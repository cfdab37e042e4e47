"""Cues for sounds in a dialogue's subtitles: the dialogue is untouched, the cues can be read."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import combinations

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from earwitness.captions import Caption
from earwitness.subtitles.merging import LINE, has_cues, merge_cues, parse_cues
from earwitness.subtitles.sound_cues import CueLimits, SoundEvent, sound_events

DIALOGUE = "1\n00:00:01,000 --> 00:00:03,000\nWho is there?\n\n2\n00:00:10,000 --> 00:00:12,500\nNobody.\n"


def event(name="door slams", start=5.0, end=6.0, probability=0.9) -> SoundEvent:
    return SoundEvent(name, start, end, probability)


def merged(text: str, *events: SoundEvent, format: str = ".srt", **limits) -> str:
    return merge_cues(text.encode(), events, format, CueLimits(**limits)).data.decode()


def test_a_sound_in_a_gap_is_a_cue_of_its_own():
    assert merged(DIALOGUE, event()) == (
        "1\n00:00:01,000 --> 00:00:03,000\nWho is there?\n\n"
        "3\n00:00:05,000 --> 00:00:06,000\n[door slams]\n\n"
        "2\n00:00:10,000 --> 00:00:12,500\nNobody.\n"
    )


def test_a_sound_while_somebody_talks_is_a_line_more():
    assert merged(DIALOGUE, event(start=10.5, end=11.0)).endswith("12,500\n[door slams]\nNobody.\n")


def test_a_line_more_must_leave_time_to_read_both():
    text = merged(DIALOGUE, event("a very long name of a sound", 1.2, 1.5), reading_speed=15.0)
    assert "[a very" not in text  # 42 characters want 2.8 s
    long = event("a very long name of a sound", 1.2, 5.0)
    assert "00:00:03,080 --> 00:00:05,014\n[a very" in merged(DIALOGUE, long, reading_speed=15.0)
    result = merge_cues(DIALOGUE.encode(), [event(start=10.5, end=11.0)], ".srt", CueLimits(lines=1))
    assert result.data == DIALOGUE.encode() and result.left_out == [event(start=10.5, end=11.0)]


def test_the_salient_sound_takes_the_place():
    sounds = event("rain", 4.0, 5.0, 0.5), event("explosion", 4.5, 5.0, 0.9)
    crowded = merge_cues(DIALOGUE.encode(), sounds, ".srt", CueLimits(lines=1, delay=0.0))
    assert [e.name for e in crowded.placed] == ["explosion"] and b"[explosion]" in crowded.data
    assert merged(DIALOGUE, *sounds).count("[") == 2


def test_vtt_escapes_keeps_notes_and_settings():
    vtt = "WEBVTT - film\n\nNOTE no\ncue\n\nintro\n00:01.000 --> 00:03.000 line:0\n<v Ann>Who?\n"
    assert merged(vtt, event("R&B <music>"), event(start=0.0, end=9.0), format=".vtt") == (
        "WEBVTT - film\n\nNOTE no\ncue\n\n"
        "intro\n00:01.000 --> 00:03.000 line:0\n[door slams]\n<v Ann>Who?\n"
        "\n00:00:05.000 --> 00:00:06.000\n[R&amp;B &lt;music&gt;]\n\n"
    )


def test_without_dialogue_all_cues_are_ours():
    assert merged("", event(start=0.0, end=60.0)) == "1\n00:00:00,000 --> 00:00:04,000\n[door slams]\n\n"
    assert merged("", event(), format=".vtt").startswith("WEBVTT\n\n00:00:05.000 -->")


def test_a_last_line_of_blanks_stays_a_line():
    assert merged("\t", event(start=0.0, end=60.0)).startswith("\t\n1\n00:00:00,000 -->")


def test_long_names_are_wrapped_or_left_out():
    text = merged("", event("ice cracking under heavy boots on a frozen lake at night"))
    assert "\n[ice cracking under heavy boots on a\nfrozen lake at night]\n" in text
    assert merged("", event("x" * 41)) == ""


@pytest.mark.parametrize("start", [0.0, 0.7, 0.8, 3.0, 6.0, 6.9])
def test_no_sound_is_shown_long_before_it_happens(start):
    """A gunshot at 6 s does not appear at 0 s because somebody talks from 0 to 7 s."""
    dialogue = "1\n00:00:00,000 --> 00:00:07,000\nListen to me.\n"
    result = merge_cues(dialogue.encode(), [event("gunshot", start, start + 0.5)], ".srt")
    cues = parse_cues(LINE.findall(result.data.decode()), vtt=False)
    (shown,) = [cue.start for cue in cues if "[gunshot]" in cue.lines] or [None]
    assert (shown is None) == bool(result.left_out)
    assert shown is None or start - 0.7 <= shown <= start + 1.0
    assert (shown is not None) == (start <= 0.7 or start == 6.9)


@pytest.mark.parametrize(
    "described",
    ["[door slams]", "(DOOR SLAMMING)", "[A door slams, far away]", "[door slammed]\nWho is there?"],
)
@pytest.mark.parametrize("at", [3.5, 5.0, 7.5])
def test_what_a_near_cue_describes_is_not_added_again(described, at):
    times = f"00:00:0{at:.3f}".replace(".", ",")
    dialogue = f"1\n{times} --> 00:00:09,000\n{described}\n"
    result = merge_cues(dialogue.encode(), [event(), event("rain", 30.0, 40.0)], ".srt")
    assert result.known == [event()] and [e.name for e in result.placed] == ["rain"]
    assert result.data.decode().count("[rain]") == 1


@pytest.mark.parametrize("line", ["The door slams.", "[door]", "[window slams]", "[door slams] an hour ago"])
def test_what_no_near_cue_describes_is_added(line):
    seconds = 40 if "hour" in line else 4
    dialogue = f"1\n00:00:{seconds:02},000 --> 00:00:{seconds + 5:02},000\n{line}\n"
    assert not merge_cues(dialogue.encode(), [event()], ".srt").known


def test_negative_times_are_cues():
    lines = LINE.findall("1\n-00:00:01,500 --> 00:00:02,000\nBefore the film.\n")
    (cue,) = parse_cues(lines, vtt=False)
    assert (cue.start, cue.end, cue.lines) == (-1.5, 2.0, ["Before the film."])


def test_a_file_without_cues_is_told_from_one_with_cues():
    assert has_cues(DIALOGUE.encode("utf-16"), ".srt") and has_cues(b"00:01.000 --> 00:02.000\nHi\n", ".vtt")
    assert not has_cues(b"", ".srt") and not has_cues(b"1\nWho is there?\n", ".srt")


def test_impossible_limits():
    with pytest.raises(ValueError, match="cannot last at least 5"):
        CueLimits(shortest=5.0)
    with pytest.raises(ValueError, match="must be positive"):
        CueLimits(line_length=0)


@pytest.mark.parametrize("codec", ["utf-8", "utf-8-sig", "cp1252", "utf-16", "utf-16-be"])
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_encodings_and_line_ends_are_kept(codec, newline):
    text = DIALOGUE.replace("Nobody", "Señor {\\an8}<i>Ñ</i>").replace("\n", newline)
    data = text.encode(codec)
    if codec == "utf-16-be":
        data = b"\xfe\xff" + data
    out = merge_cues(data, [event(), event("thunder", 0.0, 0.5)], ".srt").data
    assert len(out) > len(data) and is_within(data, out, 2 if "16" in codec else 1)
    assert out.startswith(data[:2]) or codec in ("utf-8", "cp1252")
    if codec != "cp1252":
        back = out.decode("utf-16" if "16" in codec else codec)
        assert f"{newline}[door slams]{newline}" in back
        assert next(c.lines for c in parse_cues(LINE.findall(back), vtt=False)) == [
            "[thunder]",
            "Who is there?",
        ]


def is_within(part: bytes, whole: bytes, unit: int = 1) -> bool:
    """Whether `part` is `whole` with whole stretches left out."""
    rest = iter([whole[i : i + unit] for i in range(0, len(whole), unit)])
    return all(part[i : i + unit] in rest for i in range(0, len(part), unit))


odd_lines = st.sampled_from(
    "|1|17|00:00:02,000 --> 00:00:04,000|00:00:01.5 --> 00:00:09,000 X1:4|0:00:20,000-->0:00:21,000|x"
    "|01:00 --> 01:02.500 align:start|NOTE hm|WEBVTT|STYLE|<i>a</i> {\\an8}|00:00:05,000 --> 00:00:03,000"
    "|--> |  |\t|-->00:00:01,000|100:00:00,000 --> 100:00:01,000|caf\udce9|雨".split("|")
)
documents = st.lists(st.tuples(odd_lines, st.sampled_from(["\n", "\r\n", "\n\n", "\r", ""])), max_size=24)
events_lists = st.lists(
    st.builds(
        lambda name, start, length, p: SoundEvent(name, start, start + length, p),
        st.sampled_from(["dog", "rain falling", "glass breaking", "ab cd " * 9 + "e"]),
        st.floats(0, 30),
        st.floats(0.1, 20),
        st.floats(0, 1),
    ),
    max_size=8,
)


@given(documents, events_lists, st.sampled_from([".srt", ".vtt"]), st.binary(max_size=3))
@example([], [SoundEvent("dog", 0.0, 1.0, 0.0)], ".srt", b"\xef\xbb\xbf")
@example([], [SoundEvent("dog", 0.0, 1.0, 0.0)], ".srt", b"\t")
def test_whatever_the_file_its_lines_come_back_byte_for_byte(pieces, events, format, tail):
    text = "".join(line + end for line, end in pieces)
    data = text.encode("utf-8", "surrogateescape") + tail
    assume(not data.startswith((b"\xff\xfe", b"\xfe\xff")))  # UTF-16 is read otherwise here
    result = merge_cues(data, events, format)
    result_of_first = result.data
    ours = [e.text for e in events]
    assert is_within(data, result.data)
    if data.startswith(b"\xef\xbb\xbf"):  # a byte order mark is of the file and no part of its first line
        assert result.data.startswith(b"\xef\xbb\xbf")
        data, result = data[3:], result._replace(data=result.data[3:])
    rest = remove_cues(result.data.decode("utf-8", "surrogateescape"), ours)
    left = iter(rest)
    for line in LINE.findall(data.decode("utf-8", "surrogateescape")):
        wanted = line.rstrip("\r\n")
        assert any(found == wanted for found in left)  # whole lines, in order
    accounted = [*result.placed, *result.left_out, *result.known]
    assert sorted(map(id, accounted)) == sorted(map(id, events))
    again = merge_cues(result_of_first, events, format)
    assert again.data == result_of_first and not again.placed


def remove_cues(text: str, ours: list[str]) -> list[str]:
    """The lines that no cue of ours wrote, as far as they can be told apart."""
    return [line.rstrip("\r\n") for line in LINE.findall(text) if line.strip() not in ours]


@given(
    st.lists(st.tuples(st.floats(0, 60), st.floats(0.2, 6), st.integers(1, 60)), max_size=12),
    events_lists,
    st.builds(
        CueLimits,
        line_length=st.integers(16, 50),
        lines=st.integers(1, 3),
        shortest=st.floats(0.5, 2),
        reading_speed=st.floats(8, 30),
    ),
)
def test_cues_never_cover_dialogue_and_can_be_read(dialogue, events, limits):
    text = ""
    for number, (start, length, characters) in enumerate(dialogue, 1):
        times = " --> ".join(f"00:{s // 60:02.0f}:{s % 60:06.3f}" for s in (start, start + length))
        times = re.sub(r":60\.000", ":59.999", times).replace(".", ",")
        text += f"{number}\n{times}\n{'w' * characters}\n\n"
    result = merge_cues(text.encode(), events, ".srt", limits)
    cues = parse_cues(LINE.findall(result.data.decode()), vtt=False)
    theirs = [c for c in cues if c.lines[-1].startswith("w")]
    ours = [c for c in cues if c not in theirs]
    before = parse_cues(LINE.findall(text), vtt=False)
    assert [(c.start, c.end, c.lines[-1]) for c in theirs] == [(c.start, c.end, c.lines[-1]) for c in before]
    for a in ours:
        assert all(a.end < b.start or b.end < a.start for b in theirs)
        assert a.end - a.start >= limits.shortest - 1e-9
    for a, b in combinations(ours, 2):
        assert a.end < b.start or b.end < a.start
    for cue in cues:
        added = cue.lines if cue in ours else cue.lines[:-1]
        assert all(len(line) <= limits.line_length for line in added)
        if added:
            assert len(cue.lines) <= limits.lines
            seconds = sum(map(len, cue.lines)) / limits.reading_speed
            assert cue.end - cue.start >= seconds - 2e-3
    shown = sum(len(c.lines) if c in ours else len(c.lines) - 1 for c in cues)
    assert shown == sum(len(limits.wrapped(e.text)) for e in result.placed)


def caption(start: float, end: float, *tags: tuple[str, float]) -> Caption:
    return Caption("something", 0.5, start, end, tags)


def test_events_go_on_over_captions_and_short_pauses():
    captions = [
        caption(0, 4, ("rain falling", 0.8)),
        caption(4, 6, ("dog barking", 0.9), ("rain falling", 0.7)),
        caption(6, 9, ("rain falling", 0.9)),
        caption(9, 10, ("dog barking", 0.6)),
        caption(10, 30, ("silence", 1.0)),
        caption(30, 31, ("dog barking", 0.7)),
    ]
    assert sound_events(captions) == [
        SoundEvent("rain falling", 0, 9, 0.9),
        SoundEvent("dog barking", 4, 10, 0.9),
        SoundEvent("dog barking", 30, 31, 0.7),
    ]
    assert len(sound_events(captions, pause=60.0)) == 2


def test_speech_weak_and_general_tags_are_no_events():
    tags = (
        ("man speaking", 0.9),
        ("Vehicle horn, car horn, honking", 0.8),
        ("engine", 0.7),
        ("car engine running", 0.6),
        ("wind", 0.1),
    )
    assert [e.name for e in sound_events([caption(0, 1, *tags)])] == ["vehicle horn", "car engine running"]
    assert [e.name for e in sound_events([caption(0, 1, *tags)], most=1)] == ["vehicle horn"]
    assert replace(caption(0, 1, *tags), tags=tags[1:]).kind == "sound"
    assert caption(0, 1, *tags).kind == "speech" and caption(0, 1, ("silence", 1.0)).kind == "silence"


@pytest.mark.parametrize(
    "tags, cues",
    [
        ([("rain falling", 0.8), ("frying", 0.7), ("stream", 0.6)], ["rain falling"]),
        ([("frying", 0.8), ("rain falling", 0.7)], ["frying"]),
        ([("man speaking", 0.9), ("people talking", 0.9), ("crowd speech", 0.8), ("dog", 0.6)], ["dog"]),
        ([("Speech", 0.9), ("Male speech, man speaking", 0.8), ("Conversation", 0.8)], []),
        ([("bell", 0.9), ("church bell ringing", 0.8), ("wind", 0.7)], ["church bell ringing", "wind"]),
        ([("church bell", 0.9), ("bell ringing", 0.8)], ["church bell"]),
        ([("Bark", 0.9), ("Dog", 0.8), ("Rain", 0.7)], ["bark", "rain"]),
        ([("dog", 0.9), ("rain", 0.8), ("horse", 0.7)], ["dog", "rain"]),
        ([("Animal", 0.9), ("Dog", 0.8), ("Inside, small room", 0.7), ("Rain", 0.5)], ["dog", "rain"]),
        ([("Vehicle", 0.9), ("Inside, small room", 0.8)], ["vehicle"]),
        ([("rain falling", 0.9), ("thunder", 0.8)], ["rain falling", "thunder"]),
    ],
)
def test_cues_of_one_moment_are_two_of_different_sources(tags, cues):
    assert [e.name for e in sound_events([caption(0, 1, *tags)])] == cues
