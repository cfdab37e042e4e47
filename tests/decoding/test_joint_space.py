"""The joint space: unit vectors, padding and order of words without effect, a pairing that is learnt."""

import pytest
import torch
import torch.nn.functional as F

from earwitness.decoding.joint_space import JointSpace
from earwitness.embeds import Embeds, length_mask
from earwitness.losses import info_nce


@pytest.fixture
def space() -> JointSpace:
    torch.manual_seed(0)
    return JointSpace(6, 8, dim=5, hidden=12, dropout=0.3).eval()


def test_vectors_are_of_length_one(space) -> None:
    for vectors in (
        space.embed_audio(Embeds.full(torch.randn(3, 7, 6))),
        space.embed_text(Embeds.full(torch.randn(3, 4, 8))),
    ):
        assert vectors.shape == (3, 5)
        assert torch.allclose(vectors.norm(dim=1), torch.ones(3))


def test_padding_says_nothing(space) -> None:
    lengths = [3, 7, 1]
    for method, dim in ((space.embed_audio, 6), (space.embed_text, 8)):
        values = torch.randn(3, 7, dim)
        together = method(Embeds(100 * values, length_mask(torch.tensor(lengths), 7)))
        alone = [method(Embeds.full(100 * values[i : i + 1, :n])) for i, n in enumerate(lengths)]
        assert torch.allclose(together, torch.cat(alone), atol=1e-6)


def test_hear_is_its_formula(space) -> None:
    h = torch.randn(1, 7, 6)
    x = F.gelu(h @ space.audio_in.weight.T + space.audio_in.bias)[0]
    y = space.audio_out.weight @ torch.cat([x.mean(0), x.max(0).values]) + space.audio_out.bias
    assert torch.allclose(space.embed_audio(Embeds.full(h))[0], y / y.norm(), atol=1e-6)


def test_the_order_of_words_does_not_count_but_the_words_do(space) -> None:
    z = torch.randn(1, 4, 8)
    assert torch.allclose(
        space.embed_text(Embeds.full(z)), space.embed_text(Embeds.full(z.flip(1))), atol=1e-6
    )
    assert not torch.allclose(
        space.embed_text(Embeds.full(z)), space.embed_text(Embeds.full(z[:, :3])), atol=1e-2
    )


def test_info_nce_brings_pairs_together(space) -> None:
    """A short sound among others, and the word for it: only its own pairing is learnt."""
    torch.manual_seed(1)
    sounds, words = torch.randn(16, 6), torch.randn(16, 8)
    h_a = torch.zeros(16, 9, 6)
    h_a[:, 4] = 3 * sounds  # one token of nine
    z_t = torch.randn(16, 5, 8) * 0.1
    z_t[:, 2] = words
    pairs = Embeds.full(h_a), Embeds.full(z_t)
    before = info_nce(space.embed_audio(pairs[0]), space.embed_text(pairs[1])).item()
    optimizer = torch.optim.Adam(space.parameters(), 1e-2)
    for _ in range(60):
        loss = info_nce(space.embed_audio(pairs[0]), space.embed_text(pairs[1]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.2 < 1.5 < before
    similarity = space.embed_audio(pairs[0]) @ space.embed_text(pairs[1]).T
    assert similarity.argmax(1).tolist() == list(range(16))
