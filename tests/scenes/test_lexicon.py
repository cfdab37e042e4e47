import pytest

from earwitness.encoders.audioset import audioset_classes
from earwitness.scenes.lexicon import Lexicon


@pytest.fixture(scope="module")
def lexicon():
    return Lexicon.default()


def names(phases):
    return [[m.concept for m in phase] for phase in phases]


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        ("A dog barks followed by a man speaking", [["dog barking"], ["man speaking"]]),
        ("A man speaks before a dog barks", [["man speaking"], ["dog barking"]]),
        ("A dog barks after a bell rings", [["bell"], ["dog barking"]]),
        ("Rain falls while thunder rumbles", [["rain", "thunder"]]),
        ("A man and a woman speaking", [["man speaking", "woman speaking"]]),
        ("A train blows its horn", [["train horn"]]),
        ("A horn honks", [["car horn"]]),
        ("Human male speech", [["man speaking"]]),
    ],
)
def test_order_overlap_and_meaning(lexicon, caption, expected):
    found = names(lexicon.read(caption))
    assert [sorted(phase) for phase in found] == [sorted(phase) for phase in expected]


def test_a_caption_that_names_something_unknown_is_refused(lexicon):
    assert lexicon.read("A zeppelin deflates") is None
    assert lexicon.read("A dog barks at a zeppelin") is None
    assert names(lexicon.read("A dog barks at a zeppelin", tolerance=1)) == [["dog barking"]]


def test_background_is_softer_and_repeats_are_many(lexicon):
    [[dog, wind]] = lexicon.read("A dog barks several times with wind blowing in the background")
    assert (dog.level, dog.many) == (0, True)
    assert wind.level == -1


def test_every_concept_is_reached_by_its_own_words(lexicon):
    """A concept no caption can call is a typing error in the lexicon."""
    import re
    from importlib import resources

    import yaml

    raw = yaml.safe_load(resources.files("earwitness.scenes").joinpath("lexicon.yaml").read_text("utf-8"))
    for name, entry in raw.items():
        called = False
        for alternative in entry["words"]:
            parts = [p.strip() for p in alternative.split("+") if p.strip() != "*"]
            words = [re.sub(r"[@*]", "", p.split("|")[0].strip()) for p in parts]
            found, _ = lexicon._match(words, words)
            called |= name in found
        assert called, name


def test_every_concept_names_classes_of_audioset(lexicon):
    known = set(audioset_classes())
    for concept in lexicon.concepts.values():
        assert concept.classes and set(concept.classes) <= known, concept.name
