"""Which packets of a file are passed over before a start, and where what is decoded lies."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from earwitness.media.timestamps import GAP, MAX_GAP, PREROLL, Clock

TICK = 0.001  # s


def clock(skip_to: float = 0.0, start: int | None = 0, video_from: float | None = None) -> Clock:
    """Of a stream whose time stamps begin at `start` ticks, beside pictures from `video_from` seconds."""
    container = SimpleNamespace(start_time=None if video_from is None else round(video_from * 1_000_000))
    stream = SimpleNamespace(time_base=TICK, start_time=start)
    return Clock(container, stream, video_from is not None, skip_to)


def packet(pts: int | None, duration: int, size: int = 100) -> SimpleNamespace:
    return SimpleNamespace(pts=pts, duration=duration, size=size)


@given(st.integers(0, 100_000), st.integers(0, 500), st.integers(1, 100), st.sampled_from([None, 0.0, 3.0]))
def test_packets_that_end_before_the_preroll_are_skipped(pts, duration, start, video_from):
    own = clock(float(start), start=500, video_from=video_from)
    zero = 500 if video_from is None else round(1000 * video_from)  # ticks
    end = pts - zero + (duration or round(1000 * PREROLL))
    wanted = round(1000 * (start - PREROLL))
    assert own.skipping == (wanted > 0)
    if end != wanted:  # at equality rounding decides
        assert own.skips(packet(pts, duration)) == (end < wanted)
        assert own.skipped == own.jumped_in == (end < wanted)


@pytest.mark.parametrize("what", [packet(None, 20), packet(0, 20, size=0)])
def test_packets_without_time_or_content_are_not_skipped(what):
    assert not clock(50.0).skips(what)
    assert not clock(50.0, start=None).skips(packet(0, 20))


def frame(seconds: float | None) -> SimpleNamespace:
    return SimpleNamespace(pts=None if seconds is None else round(seconds / TICK))


def test_what_is_decoded_after_a_jump_lies_at_its_time_stamp_but_not_after_the_start():
    own = clock(10.0, start=0)
    assert own.skips(packet(0, 20)) and own.jumped_in
    assert own.hole_before(frame(8.0), 0.02) == 0.0
    assert own.position == pytest.approx(8.0) and own.now == pytest.approx(8.02) and not own.jumped_in
    late = clock(10.0, start=0)
    late.skips(packet(0, 20))
    assert late.hole_before(frame(10.5), 0.02) == pytest.approx(0.5)
    assert late.position == pytest.approx(10.0) and late.now == pytest.approx(10.52)


@pytest.mark.parametrize(
    "gap", [0.0, 0.9 * GAP, -0.9 * GAP, 1.1 * GAP, 0.5, MAX_GAP / 2, 1.1 * MAX_GAP, -5.0]
)
def test_a_jump_of_the_clock_is_a_hole_a_rounding_or_a_new_clock(gap):
    own = clock()
    for k in range(50):
        assert own.hole_before(frame(k * 1.0), 1.0) == 0.0
    hole = own.hole_before(frame(50.0 + gap), 1.0)
    is_hole = GAP < gap <= MAX_GAP
    assert hole == (pytest.approx(gap) if is_hole else 0.0)
    assert own.filled == (pytest.approx(gap) if is_hole else 0.0)
    assert own.now == pytest.approx(51.0 + (gap if is_hole else 0.0))
    # what follows in step is no hole, whichever of the three it was
    assert own.hole_before(frame(51.0 + gap), 1.0) == 0.0


def test_sound_that_begins_after_the_pictures_is_preceded_by_silence_that_is_not_lost():
    own = clock(video_from=0.0)
    assert own.hole_before(frame(2.0), 1.0) == pytest.approx(2.0)
    assert own.filled == 0.0 and own.now == pytest.approx(3.0)
    alone = clock(start=2000)
    assert alone.hole_before(frame(2.0), 1.0) == 0.0 and alone.now == 1.0


def test_frames_without_time_stamps_follow_each_other():
    own = clock()
    own.hole_before(frame(0.0), 1.0)
    assert own.hole_before(frame(None), 1.0) == 0.0 and own.now == 2.0
