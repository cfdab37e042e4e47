"""The optimal-transport loss against LAVCap's own code, Eq. 4 spelled out, and its invariants."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from earwitness.losses.ot_alignment import ot_alignment_loss, ot_alignment_loss_released
from earwitness.optimal_transport import sinkhorn

GOLDEN = {k: torch.from_numpy(v) for k, v in np.load(Path(__file__).parents[1] / "golden" / "ot.npz").items()}


def cosines(audio: Tensor, visual: Tensor) -> Tensor:
    return F.normalize(audio, dim=-1) @ F.normalize(visual, dim=-1).mT


def eq_4(similarity: Tensor, plan: Tensor, temperature: float) -> Tensor:
    """One clip, one side: rows of Q against rows of S, term by term."""
    total = similarity.new_zeros(())
    for i in range(len(plan)):
        dots = torch.stack([plan[i] @ similarity[j] for j in range(len(plan))]) / temperature
        total = total - (dots[i] - dots.exp().sum().log())
    return total


def test_equals_values_computed_beside_the_released_code():
    similarity, log_plan = GOLDEN["sim"].mT, GOLDEN["logQ"].mT  # stored with visual rows
    assert ot_alignment_loss(similarity, log_plan, 0.07).item() == pytest.approx(
        318.48629207062555, rel=1e-12
    )
    assert ot_alignment_loss(similarity, log_plan, 1.0).item() == pytest.approx(325.5481257451429, rel=1e-12)


def test_released_form_equals_the_released_code_with_gradients():
    visual, audio = (GOLDEN[k].clone().requires_grad_() for k in ("vis", "aud"))
    scale = torch.tensor(math.log(1 / 0.07), dtype=torch.float64, requires_grad=True)
    similarity = cosines(audio, visual)
    torch.testing.assert_close(similarity.mT, GOLDEN["sim"])
    loss = ot_alignment_loss_released(similarity, sinkhorn(similarity), scale)
    assert loss.item() == pytest.approx(0.46472494672671555, rel=1e-12)
    loss.backward()
    torch.testing.assert_close(visual.grad, GOLDEN["grad_vis"], rtol=1e-9, atol=1e-14)
    torch.testing.assert_close(audio.grad, GOLDEN["grad_aud"], rtol=1e-9, atol=1e-14)
    torch.testing.assert_close(scale.grad, GOLDEN["grad_logit_scale"], rtol=1e-9, atol=1e-14)


def test_released_scale_is_limited():
    similarity, log_plan = torch.rand(1, 3, 4), torch.rand(1, 3, 4)
    limit = ot_alignment_loss_released(similarity, log_plan, torch.tensor(4.6052))
    assert torch.equal(ot_alignment_loss_released(similarity, log_plan, torch.tensor(9.0)), limit)
    # at the lower limit, 0, all tokens are alike: ln 3 nats for the audio tokens, ln 4 for the visual ones
    lowest = ot_alignment_loss_released(similarity, log_plan, torch.tensor(-2.0))
    assert lowest.item() == pytest.approx(math.log(3) + math.log(4))


def test_is_eq_4_of_the_real_tokens_whatever_the_padding():
    generator = torch.Generator().manual_seed(0)
    similarity = (2 * torch.rand(3, 6, 5, generator=generator).double() - 1).requires_grad_()
    row_mask, column_mask = torch.ones(3, 6, dtype=torch.bool), torch.ones(3, 5, dtype=torch.bool)
    row_mask[0, [1, 4]], column_mask[0, 2:] = False, False
    row_mask[2] = False  # no audio at all: left out of the mean
    log_plan = sinkhorn(similarity, 0.1, 50, row_mask, column_mask)
    expected = similarity.new_zeros(())
    for b in range(2):
        s = similarity[b][row_mask[b]][:, column_mask[b]]
        q = sinkhorn(s[None])[0].exp()
        expected = expected + (eq_4(s, q, 0.2) + eq_4(s.mT, q.mT, 0.2)) / 2
    loss = ot_alignment_loss(similarity, log_plan, 0.2)
    torch.testing.assert_close(loss, expected, rtol=1e-9, atol=0)
    (grad,) = torch.autograd.grad(loss, similarity)
    (expected_grad,) = torch.autograd.grad(expected, similarity)
    torch.testing.assert_close(grad, expected_grad, rtol=1e-8, atol=1e-12)
    garbage = similarity.masked_fill(~(row_mask[:, :, None] & column_mask[:, None, :]), torch.nan)
    torch.testing.assert_close(ot_alignment_loss(garbage, log_plan, 0.2), loss)


def test_chance_level_and_direction():
    uniform = torch.zeros(2, 8, 3)
    chance = ot_alignment_loss(uniform, sinkhorn(uniform), 0.07)
    torch.testing.assert_close(chance, torch.tensor(8 * math.log(8) + 3 * math.log(3)))
    matching, log_plan = torch.eye(5)[None], sinkhorn(torch.eye(5)[None], 0.05)
    assert ot_alignment_loss(matching, log_plan) < ot_alignment_loss(-matching, log_plan)


def test_symmetric_in_the_two_modalities_and_blind_to_gradient_of_the_plan():
    similarity = torch.rand(2, 6, 4, generator=torch.Generator().manual_seed(1))
    log_plan = sinkhorn(similarity).requires_grad_()
    loss = ot_alignment_loss(similarity, log_plan)
    torch.testing.assert_close(loss, ot_alignment_loss(similarity.mT, log_plan.mT))
    assert not loss.requires_grad


def test_refuses_what_does_not_fit():
    with pytest.raises(ValueError, match=r"both be \[B, N_a, N_v\], not \(2, 3, 4\) and \(2, 4, 3\)"):
        ot_alignment_loss(torch.rand(2, 3, 4), torch.rand(2, 4, 3))
    with pytest.raises(ValueError, match="knows no padding"):
        ot_alignment_loss_released(torch.rand(1, 2, 2), torch.full((1, 2, 2), -math.inf), torch.ones(()))
