from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import LogitsProcessor

from earwitness.decoding import CausalLanguageModel, TokenGuide, TokenGuideParameters
from earwitness.decoding.guides import Encoded
from earwitness.decoding.token_guide import DISTANCES, cosine, guided_logits, l1, squared_l2
from earwitness.embeds import Embeds

GOLDEN = np.load(Path(__file__).parents[1] / "golden" / "lamb.npz")
LOGITS, ZBAR, TABLE = (torch.from_numpy(GOLDEN[f"tg/{name}"]) for name in ("logits", "zbar", "V"))
BETA = float(GOLDEN["tg/beta"])


def test_distances_and_guided_logits_equal_golden() -> None:
    torch.testing.assert_close(
        squared_l2(ZBAR, TABLE), torch.from_numpy(GOLDEN["tg/sqdist"]), atol=1e-10, rtol=0
    )
    guided = guided_logits(LOGITS, ZBAR, TABLE, BETA)
    torch.testing.assert_close(guided, torch.from_numpy(GOLDEN["tg/guided"]), atol=1e-10, rtol=0)


@pytest.mark.parametrize(
    ("distance", "twin"),
    [
        (squared_l2, lambda z, v: (z - v).square().sum(-1)),
        (l1, lambda z, v: (z - v).abs().sum(-1)),
        (cosine, lambda z, v: 1 - torch.cosine_similarity(z, v, -1)),
    ],
)
def test_distances_and_their_gradients_against_a_slow_twin(distance, twin) -> None:  # type: ignore[no-untyped-def]
    zbar = torch.randn(3, 8, dtype=torch.float64, requires_grad=True)
    table = torch.randn(9000, 8, dtype=torch.float64, requires_grad=True)  # more than two chunks of l1
    fast, slow = distance(zbar, table), twin(zbar[:, None], table[None])
    torch.testing.assert_close(fast, slow)
    weight = torch.randn_like(slow)
    for got, expected in zip(
        torch.autograd.grad((fast * weight).sum(), [zbar, table]),
        torch.autograd.grad((slow * weight).sum(), [zbar, table]),
    ):
        torch.testing.assert_close(got, expected)
    torch.testing.assert_close(distance(zbar.detach(), table.detach()), slow.detach())


@pytest.mark.parametrize("distance", DISTANCES.values())
def test_half_precision_tables_give_fp32_distances(distance) -> None:  # type: ignore[no-untyped-def]
    zbar, table = torch.randn(2, 64), torch.randn(50, 64).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        measured = distance(zbar, table)
    assert measured.dtype == torch.float32
    torch.testing.assert_close(measured, distance(zbar, table.float()), rtol=0.02, atol=0.02)


def test_the_processor_equals_the_training_form_with_beams_side_by_side() -> None:
    guide = TokenGuide(ZBAR, TABLE, BETA)
    assert isinstance(guide, LogitsProcessor)
    expected = guided_logits(LOGITS, ZBAR, TABLE, BETA)  # the 4 positions stand in for 4 beams
    rows = guide(torch.zeros(12, 1, dtype=torch.long), LOGITS.flatten(0, 1))
    torch.testing.assert_close(rows, expected.flatten(0, 1), atol=1e-12, rtol=0)
    torch.testing.assert_close(guide(torch.zeros(3, 1), LOGITS[:, 0]), expected[:, 0], atol=1e-12, rtol=0)
    with pytest.raises(ValueError, match="3 clips, 11 tokens got scores"):
        guide(torch.zeros(4, 1), LOGITS[0])


def test_zero_beta_leaves_logits_bit_equal() -> None:
    logits = torch.randn(3, 4, 11)
    logits[0, 0, 0] = -torch.inf
    assert torch.equal(guided_logits(logits, ZBAR.float(), TABLE.float(), 0.0), logits)
    rows = TokenGuide(ZBAR.float(), TABLE.float(), 0.0)(torch.zeros(12, 1), logits.flatten(0, 1))
    assert torch.equal(rows, logits.flatten(0, 1))


def test_a_positive_beta_raises_the_nearest_token() -> None:
    zbar = TABLE[4:5] + 0.01
    probability = guided_logits(torch.zeros(1, 1, 11).double(), zbar, TABLE, 5.0).softmax(-1)
    assert probability.argmax() == 4 and probability.max() > 1 / 11


def test_beta_zbar_and_table_learn() -> None:
    guide = TokenGuideParameters(beta=BETA)
    zbar, table = ZBAR.clone().requires_grad_(), TABLE.clone().requires_grad_()
    loss = guide(LOGITS, zbar, table).logsumexp(-1).sum()
    loss.backward()
    expected = -(LOGITS - BETA * squared_l2(ZBAR, TABLE)[:, None]).softmax(-1).sum(1) * squared_l2(
        ZBAR, TABLE
    )
    assert guide.beta.grad is not None
    assert guide.beta.grad.item() == pytest.approx(expected.sum().item(), rel=1e-5)
    assert zbar.grad is not None and zbar.grad.any() and table.grad is not None and table.grad.any()
    z_a = Embeds(ZBAR[:, None], torch.ones(len(ZBAR), 1, dtype=torch.bool))
    processor = guide.processor(Encoded(z_a, z_a), TABLE)
    assert not processor.change.requires_grad
    torch.testing.assert_close(processor.change, -BETA * squared_l2(ZBAR, TABLE), rtol=1e-6, atol=0)


def test_remembered_norms_follow_the_table() -> None:
    table = torch.nn.Parameter(torch.randn(11, 8, dtype=torch.float64))
    with torch.no_grad():
        squared_l2(ZBAR, table)
        table.mul_(2.0)
        torch.testing.assert_close(squared_l2(ZBAR, table), (ZBAR[:, None] - table).square().sum(-1))
    table.data = table.data + 1.0
    with torch.no_grad():
        torch.testing.assert_close(squared_l2(ZBAR, table), (ZBAR[:, None] - table).square().sum(-1))
    with torch.inference_mode():
        torch.testing.assert_close(squared_l2(ZBAR, table * 1.0), (ZBAR[:, None] - table).square().sum(-1))


@pytest.mark.parametrize("beams", [1, 3])
def test_guided_captions_do_not_depend_on_batch_mates(causal: CausalLanguageModel, beams: int) -> None:
    torch.manual_seed(0)
    z = Embeds.full(torch.randn(4, 5, 16, dtype=torch.float64))
    guide = TokenGuideParameters(beta=2.0)

    def captions(part: Embeds) -> tuple[list[str], torch.Tensor]:
        processor = guide.processor(Encoded(part, part), causal.token_table)
        return causal.generate(part, beams=beams, max_new_tokens=8, logits_processors=[processor])

    texts, scores = captions(z)
    assert texts != causal.generate(z, beams=beams, max_new_tokens=8)[0]
    for i in range(4):
        text, score = captions(Embeds(z.values[i : i + 1], z.mask[i : i + 1]))
        assert text == [texts[i]]
        torch.testing.assert_close(score[0], scores[i], atol=1e-5, rtol=0)
