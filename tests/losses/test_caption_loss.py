import math
from pathlib import Path

import numpy as np
import pytest
import torch

from earwitness.embeds import length_mask
from earwitness.losses import caption_cross_entropy

GOLDEN = np.load(Path(__file__).parents[1] / "golden" / "lamb.npz")


@pytest.mark.parametrize(
    ("logits", "values"), [("tg/guided", "tg/ce_guided"), ("tg/logits", "tg/ce_original")]
)
def test_equals_golden(logits: str, values: str) -> None:
    labels = torch.from_numpy(GOLDEN["tg/labels"])
    mask = labels >= 0
    loss = caption_cross_entropy(torch.from_numpy(GOLDEN[logits]), labels.clamp(min=0), mask)
    assert loss.item() == pytest.approx(GOLDEN[values][0], abs=1e-10)


def test_mean_over_tokens_against_a_slow_twin() -> None:
    logits, ids = torch.randn(3, 5, 7, dtype=torch.float64), torch.randint(7, (3, 5))
    lengths = torch.tensor([5, 2, 0])
    each = [
        [-math.log(logits[b, i].exp()[ids[b, i]] / logits[b, i].exp().sum()) for i in range(lengths[b])]
        for b in range(3)
    ]
    mask = length_mask(lengths, 5)
    assert caption_cross_entropy(logits, ids, mask).item() == pytest.approx(sum(map(sum, each)) / 7)


def test_padding_changes_nothing_and_gets_no_gradient() -> None:
    logits, ids = torch.randn(2, 4, 7, requires_grad=True), torch.randint(7, (2, 4))
    mask = length_mask(torch.tensor([4, 2]), 4)
    loss = caption_cross_entropy(logits, ids, mask, label_smoothing=0.1)
    loss.backward()
    assert logits.grad is not None and not logits.grad[~mask].any()
    wider = torch.cat([logits, torch.randn(2, 3, 7)], 1)
    ids = torch.cat([ids, torch.randint(7, (2, 3))], 1)
    mask = torch.cat([mask, torch.zeros(2, 3, dtype=torch.bool)], 1)
    torch.testing.assert_close(caption_cross_entropy(wider, ids, mask, label_smoothing=0.1), loss)


def test_label_smoothing_mixes_in_the_uniform_distribution() -> None:
    logits, ids, mask = torch.randn(2, 3, 7), torch.randint(7, (2, 3)), torch.ones(2, 3, dtype=torch.bool)
    uniform = -logits.log_softmax(-1).mean()
    expected = 0.8 * caption_cross_entropy(logits, ids, mask) + 0.2 * uniform
    torch.testing.assert_close(caption_cross_entropy(logits, ids, mask, label_smoothing=0.2), expected)


def test_bf16_logits_are_summed_in_fp32() -> None:
    logits, ids, mask = (
        torch.randn(2, 3, 7).bfloat16(),
        torch.randint(7, (2, 3)),
        torch.ones(2, 3, dtype=torch.bool),
    )
    loss = caption_cross_entropy(logits, ids, mask)
    torch.testing.assert_close(loss, caption_cross_entropy(logits.float(), ids, mask))


def test_faults_are_named() -> None:
    mask = torch.ones(2, 3, dtype=torch.bool)
    with pytest.raises(ValueError, match="do not fit"):
        caption_cross_entropy(torch.randn(2, 4, 7), torch.zeros(2, 3, dtype=torch.long), mask)
