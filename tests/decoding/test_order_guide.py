"""Words of order are forbidden exactly where no two probable tags follow each other."""

import torch

from earwitness.decoding.guides import Encoded
from earwitness.decoding.order_guide import OrderGuide, in_order
from earwitness.decoding.words import ORDER_WORDS
from earwitness.embeds import Embeds

FULL = torch.ones(1, 8, dtype=torch.bool)
TWO = torch.tensor([[False, True], [True, False]])  # two tags, two sources


def times(*activities: str) -> torch.Tensor:
    """A row of digits a tag, tenths of a probability at each token -> [1, N, tags]."""
    return torch.tensor([[[int(digit) / 10 for digit in moment] for moment in zip(*activities)]])


def test_one_after_the_other_is_an_order_and_both_at_once_is_none():
    tags = torch.tensor([[0.8, 0.6]])
    assert in_order(tags, times("88880000", "00008888"), FULL, TWO).tolist() == [True]
    assert in_order(tags, times("88880000", "88880000"), FULL, TWO).tolist() == [False]
    assert in_order(tags, times("88888888", "00880000"), FULL, TWO).tolist() == [False]  # within the other


def test_a_quarter_of_the_shorter_may_overlap():
    tags = torch.tensor([[0.8, 0.6]])
    assert in_order(tags, times("88880000", "00088880"), FULL, TWO).tolist() == [True]
    assert in_order(tags, times("88880000", "00888800"), FULL, TWO).tolist() == [False]


def test_improbable_tags_and_padding_show_no_order():
    one_after_the_other = times("88880000", "00008888")
    assert in_order(torch.tensor([[0.8, 0.1]]), one_after_the_other, FULL, TWO).tolist() == [False]
    mask = torch.arange(8)[None] < 4
    assert in_order(torch.tensor([[0.8, 0.6]]), one_after_the_other, mask, TWO).tolist() == [False]


class Tokenizer:
    def get_vocab(self) -> dict[str, int]:
        return {f"Ġ{word}": i for i, word in enumerate([*ORDER_WORDS, "dog", "barks", "while"])}


def test_only_words_of_order_are_forbidden_and_only_in_clips_without_one():
    guide = OrderGuide(["dog", "rain"], Tokenizer(), len(ORDER_WORDS) + 3)  # type: ignore[arg-type]
    tokens = torch.cat([times("88880000", "00008888"), times("88880000", "88880000")])
    encoded = Encoded(
        Embeds.full(torch.zeros(2, 8, 4)), Embeds.full(torch.zeros(2, 1, 4)), tokens.amax(1), tokens
    )
    scores = torch.zeros(4, len(ORDER_WORDS) + 3)  # two beams a clip
    out = guide.processor(encoded, torch.zeros(1))(torch.zeros(4, 0, dtype=torch.long), scores)
    assert torch.equal(out[:2], scores[:2])
    assert out[2:, : len(ORDER_WORDS)].isneginf().all() and (out[2:, len(ORDER_WORDS) :] == 0).all()


def test_two_tags_of_one_source_or_of_none_show_no_order():
    one_after_the_other = times("88880000", "00008888")
    tags = torch.tensor([[0.8, 0.6]])
    for sources in (["dog", "dog"], ["dog", None], [None, None]):
        distinct = OrderGuide(sources, Tokenizer(), len(ORDER_WORDS) + 3).distinct  # type: ignore[arg-type]
        assert in_order(tags, one_after_the_other, FULL, distinct).tolist() == [False]
