import base64
import io
import re
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from earwitness.captions import Caption, merge_neighbours, top_tags


@st.composite
def timelines(draw) -> list[Caption]:
    """Captions of few words, each where the last one ended or a gap later, of one or two sources."""
    captions, now = [], 0.0
    for _ in range(draw(st.integers(0, 12))):
        now += draw(st.sampled_from([0.0, 0.0, 1.5]))
        end = now + draw(st.sampled_from([0.5, 2.0]))
        text, source = draw(st.sampled_from(["rain", "a dog barks"])), draw(st.sampled_from(["a", "a", "b"]))
        tags = (("rain", draw(st.floats(0, 1))),)
        captions.append(Caption(text, draw(st.floats(0, 1)), now, end, tags, source))
        now = end
    return captions


def key(c: Caption) -> tuple[str, str]:
    return c.source, c.text


@given(timelines())
def test_merging_keeps_all_time_and_leaves_no_equal_neighbours(captions):
    merged = list(merge_neighbours(iter(captions)))
    for a, b in pairwise(merged):
        assert key(a) != key(b) or b.start > a.end
    for which in {key(c) for c in captions}:
        before, after = ([c for c in cs if key(c) == which] for cs in (captions, merged))
        assert sum(c.end - c.start for c in after) == pytest.approx(sum(c.end - c.start for c in before))
        area = sum(c.score * (c.end - c.start) for c in before)
        assert sum(c.score * (c.end - c.start) for c in after) == pytest.approx(area)
        assert max(c.tags[0][1] for c in after) == max(c.tags[0][1] for c in before)


def test_merging_overlapping_windows():
    windows = [Caption("rain", 0.5, t, t + 2.0, source="a") for t in (0.0, 1.0, 2.0)]
    assert list(merge_neighbours(windows)) == [Caption("rain", 0.5, 0.0, 4.0, source="a")]


def test_top_tags():
    tags = [("a", 0.1), ("b", 0.9), ("c", 0.2), ("d", 0.19)]
    assert top_tags(tags) == (("b", 0.9), ("c", 0.2))
    assert top_tags([("a", 0.1), ("b", 0.01)]) == (("a", 0.1),)
    assert len(top_tags((str(i), 0.5) for i in range(9))) == 5
    assert top_tags([]) == ()


def test_html_carries_the_stretch_of_sound_and_escapes_what_it_shows(tmp_path):
    ramp = np.linspace(-0.5, 0.5, 32_000, dtype=np.float32)
    soundfile.write(tmp_path / "a&b.wav", ramp, 16_000, subtype="FLOAT")
    caption = Caption("<i>rain</i>", 0.5, 0.5, 1.5, (("<tag>", 0.25),), str(tmp_path / "a&b.wav"))
    page = caption._repr_html_()
    assert "&lt;i&gt;rain&lt;/i&gt;" in page and "&lt;tag&gt; 0.25" in page and "a&amp;b.wav" in page
    data = re.search(r"base64,([^']+)'", page)
    heard, rate = soundfile.read(io.BytesIO(base64.b64decode(data[1])))
    assert rate == 16_000
    assert np.abs(heard - ramp[8000:24_000]).max() < 1e-4
    assert "<audio" not in replace(caption, source="<array>")._repr_html_()
