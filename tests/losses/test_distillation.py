"""Distillation against DistillCaps' own code (tests/golden/distill_kl.npz) and its invariants."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from earwitness.losses.distillation import distillation_kl, distillation_kl_released

GOLDEN = {
    k: torch.from_numpy(v)
    for k, v in np.load(Path(__file__).parents[1] / "golden" / "distill_kl.npz").items()
}
TEACHER, STUDENT, LABELS = GOLDEN["teacher_logits"], GOLDEN["student_logits"], GOLDEN["labels"]
WITH, WITHOUT = int(GOLDEN["P_rag"]), int(GOLDEN["P_norag"])  # prompt lengths


@pytest.mark.parametrize(("temperature", "expected"), [(1.0, 3.4916114288261326), (2.0, 4.033085180819071)])
def test_aligned_masked_mean(temperature, expected):
    """The logits one position before a token predict it, so that the first one is distilled too."""
    teacher, student = TEACHER[:, WITH - 1 : WITH + 5], STUDENT[:, WITHOUT - 1 : WITHOUT + 5]
    mask = LABELS != -100
    assert distillation_kl(teacher, student, mask, temperature).item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("temperature", "expected"), [(1.0, 3.2147610143591105), (2.0, 3.5931901911170416)])
def test_released_form_equals_the_released_code(temperature, expected):
    teacher, student = TEACHER[:, WITH : WITH + 6], STUDENT[:, WITHOUT : WITHOUT + 6]
    assert distillation_kl_released(teacher, student, temperature).item() == pytest.approx(
        expected, rel=1e-12
    )


def test_zero_on_itself_positive_elsewhere_and_not_symmetric():
    mask = torch.ones(3, 13, dtype=torch.bool)
    assert distillation_kl(STUDENT, STUDENT, mask).item() == 0
    assert distillation_kl(STUDENT, STUDENT + 5.0, mask).item() == pytest.approx(0, abs=1e-12)
    forward, reverse = (distillation_kl(*pair, mask[:, :9]) for pair in
                        ((TEACHER[:, :9], STUDENT[:, :9]), (STUDENT[:, :9], TEACHER[:, :9])))  # fmt: skip
    assert forward > 0 and reverse > 0 and abs(forward - reverse) > 1e-3


def test_direction_is_teacher_to_student():
    teacher, student = torch.tensor([[[0.9, 0.1]]]).log(), torch.tensor([[[0.4, 0.6]]]).log()
    expected = 0.9 * np.log(0.9 / 0.4) + 0.1 * np.log(0.1 / 0.6)
    value = distillation_kl(teacher, student, torch.ones(1, 1, dtype=torch.bool))
    assert value.item() == pytest.approx(expected, rel=1e-6)


def test_padding_counts_nothing_even_if_it_is_nan():
    mask = LABELS != -100
    teacher, student = TEACHER[:, :6].clone(), STUDENT[:, :6].clone().requires_grad_()
    expected = distillation_kl(teacher, student, mask)
    padded_teacher = F.pad(teacher.masked_fill(~mask[..., None], torch.nan), (0, 0, 0, 3), value=torch.nan)
    padded_student = F.pad(student, (0, 0, 0, 3), value=7.0)
    padded = distillation_kl(padded_teacher, padded_student, F.pad(mask, (0, 3)))
    torch.testing.assert_close(padded, expected)
    (grad,) = torch.autograd.grad(padded, student)
    assert grad.isfinite().all() and (grad[~mask] == 0).all() and (grad[mask] != 0).any()
    assert distillation_kl(teacher, student, mask & False).item() == 0


def test_gradient_reaches_the_student_alone_and_is_the_difference_of_the_probabilities():
    teacher = TEACHER[:, :6].clone().requires_grad_()
    student = STUDENT[:, :6].clone().requires_grad_()
    mask = torch.ones(3, 6, dtype=torch.bool)
    distillation_kl(teacher, student, mask).backward()
    assert teacher.grad is None
    torch.testing.assert_close(student.grad, (student.softmax(-1) - teacher.softmax(-1)).detach() / 18)


def test_large_gaps_and_half_precision_stay_finite():
    teacher, student = torch.tensor([[[200.0, 0.0]]]), torch.tensor([[[0.0, 0.0]]])
    mask = torch.ones(1, 1, dtype=torch.bool)
    assert distillation_kl(teacher, student, mask).item() == pytest.approx(0.6931472)
    assert distillation_kl(student, teacher, mask).item() == pytest.approx(100 - 0.6931472, rel=1e-6)
    half = distillation_kl(teacher.bfloat16(), student.bfloat16(), mask)
    assert half.dtype == torch.float32 and half.item() == pytest.approx(0.6931472)


def test_refuses_what_does_not_fit():
    with pytest.raises(ValueError, match=r"do not fit: \(1, 2, 3\), \(1, 3, 3\), \(1, 2\)"):
        distillation_kl(torch.rand(1, 2, 3), torch.rand(1, 3, 3), torch.ones(1, 2, dtype=torch.bool))
