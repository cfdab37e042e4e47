import pytest

from earwitness.encoders.tag_families import GENERIC, NO_SOURCE, _families, family


@pytest.mark.parametrize(
    "names",
    [
        ["Dog", "Bark", "Growling", "Bow-wow"],
        ["Rain", "Raindrop", "Rain on surface"],
        ["Speech", "Male speech, man speaking", "Female speech, woman speaking"],
        ["Church bell", "Bell"],
        ["Music", "Guitar", "Scary music"],
        ["Telephone", "Ringtone", "Telephone bell ringing"],
        ["Fixed-wing aircraft, airplane", "Helicopter", "Jet engine"],
    ],
)
def test_classes_of_one_source_share_a_family(names):
    assert len({family(name) for name in names}) == 1


def test_different_sources_and_other_tags_do_not():
    names = [
        "Dog",
        "Cat",
        "Speech",
        "Rain",
        "Thunder",
        "Music",
        "Church bell",
        "Train",
        "dog barking",
        "Tick",
    ]
    assert len({family(name) for name in names}) == len(names)
    assert family("dog barking") == "dog barking"


def test_generic_classes_and_places_are_told_apart():
    assert family("Animal") == family("Vehicle") == GENERIC
    assert family("Inside, small room") == family("Silence") == NO_SOURCE
    assert len(_families()) > 400
