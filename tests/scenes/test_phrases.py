"""Template captions say what can be heard."""

import pytest

from earwitness.scenes.phrases import plain_phrases


@pytest.mark.parametrize(
    ("label", "hints", "phrases"),
    [
        ("baby crying", ["a baby boy cries (hungry)"] * 2, ["a baby boy cries"] * 2),
        ("dog barking", ["a dog barks"] * 3 + ["charlie"], ["a dog barks"] * 3),
        (
            "person speaking",
            ["a person says the word 'hen'", "a person says the word 'owl'"],
            ["person speaking"],
        ),
        ("oboe", ["an oboe plays a note very loudly", "an oboe plays a phrase"], ["an oboe plays"] * 2),
        ("man speaking", ["a man speaks in catalan", "a man speaks"], ["a man speaks"] * 2),
        ("wasp buzzing", ["a wasp buzzes"], ["a wasp buzzes"]),
        ("thunder", ["thunder"] * 20 + ["a storm"] * 2, ["thunder"] * 20),
    ],
)
def test_what_recordings_agree_on_is_kept(label, hints, phrases):
    assert plain_phrases(label, hints) == phrases
