"""A language model that talks is noticed; captions of people are not."""

from __future__ import annotations

import pytest

from earwitness.metrics.habits import Habits

PEOPLE = """
a dog barks while a man speaks
rain falls on a tin roof
two women laugh and talk
an engine idles
birds sing as wind blows
a dog barks while rain falls
a bell rings in the distance
a crowd cheers
water drips into a metal sink
someone types on a keyboard
a train passes by slowly
a door creaks
""".strip().splitlines()


def test_captions_of_people_pass():
    habits = Habits.of(PEOPLE)
    assert (habits.opening, habits.share, habits.distinct) == ("a dog barks", pytest.approx(2 / 12), 12)
    assert habits.words == pytest.approx(sum(len(c.split()) for c in PEOPLE) / 12)
    assert not list(habits.warnings())


@pytest.mark.parametrize(
    ("captions", "warning"),
    [
        ([f"The sound is made by {c}" for c in PEOPLE], '100% of the captions begin with "the sound is"'),
        ([f"Sure, here is {c}" if i % 2 else c for i, c in enumerate(PEOPLE)], 'begin with "sure, here is"'),
        (["a man speaks and a dog barks"] * 11 + ["rain falls down"], "only 2 of 12 captions are distinct"),
        ([c + " and the recording goes on" * 6 for c in PEOPLE], "captions have 3"),
        ([c.split()[1] for c in PEOPLE], "captions have 1.0 words on average"),
    ],
)
def test_talk_is_warned_about(captions, warning):
    assert any(warning in line for line in Habits.of(captions).warnings())


def test_a_handful_says_nothing():
    assert not list(Habits.of(["the sound is rain"] * 5).warnings())
    assert str(Habits.of([])).startswith("0 of 0 captions are distinct")
