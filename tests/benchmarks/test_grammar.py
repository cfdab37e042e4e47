"""The checker of sentences: what it must find, and what it must let pass."""

from __future__ import annotations

import pytest
from benchmarks.grammar import broken


@pytest.mark.parametrize(
    "caption, fault",
    [
        ("a cash register chimes and a phone", "no verb: a phone"),
        ("a telephone rings followed by a cash register chimes and a phone", "no verb: a phone"),
        ("a man speaks as a crowd", "no verb: a crowd"),
        ("a man speaking then a bell", "no verb: a bell"),
        ("a dog barks while", "ends with 'while'"),
        ("rain falls and then", "ends with 'then'"),
        ("rain falls followed by a", "ends with 'a'"),
        ("explosions and explosions", "doubled: explosions and explosions"),
        ("a bell and a bell ring", "doubled: bell and bell"),
        ("a woman speaks speaks", "doubled: speaks speaks"),
        ("a bell rings and a bell rings", "said twice: a bell rings"),
        ("a crowd of a woman speaks", "group of one: crowd of a woman"),
        ("a group of man speaks", "group of one: group of man speaks"),
        ("people speaks while music plays", "agreement: people speaks"),
        ("birds is chirping", "agreement: birds is chirping"),
        ("a man speak while music plays", "agreement: a man speak"),
        ("a dog are barking", "agreement: a dog are"),
        ("a engine idles", "article: a engine"),
        ("an dog barks", "article: an dog"),
        ("", "empty"),
    ],
)
def test_broken_sentences_are_found(caption, fault):
    assert fault in broken(caption)


@pytest.mark.parametrize(
    "caption",
    [
        "a dog barks and growls",
        "rain falls on a roof while thunder rumbles in the distance",
        "a car horn honking followed by a vehicle passing by",
        "birds are chirping and singing while a goat bleats in the background",
        "a man speaks followed by a loud bang",
        "a group of people talk and laugh",
        "a crowd of people cheers and applauds",
        "wind blows and a phone rings followed by a gunshot",
        "a series of light horn beeps is followed by a loud steam whistle",
        "an engine idles and then revs",
        "footsteps on snow",
        "waves crash over and over",
        "a helicopter is flying overhead",
        "seagulls calling as waves crash against the shore",
        "a man gives a speech as well as music plays",
        "glass breaks",
        "a bus passes by",
        "silence",
    ],
)
def test_sentences_pass(caption):
    assert broken(caption) == []
