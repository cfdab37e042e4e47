import pytest
import torch

from earwitness.losses import tagging_loss


def test_against_a_slow_twin() -> None:
    logits, targets = torch.randn(3, 4, dtype=torch.float64), torch.rand(3, 4, dtype=torch.float64)
    p = logits.sigmoid()
    each = -(targets * p.log() + (1 - targets) * (1 - p).log())
    torch.testing.assert_close(tagging_loss(logits, targets), each.mean())
    known = torch.tensor([[1, 0, 1, 1], [0, 0, 0, 0], [1, 1, 0, 0]]).bool()
    torch.testing.assert_close(tagging_loss(logits, targets, known), each[known].mean())
    rows = torch.tensor([True, False, True])
    torch.testing.assert_close(tagging_loss(logits, targets, rows), each[rows].mean())


def test_label_smoothing_moves_targets_towards_one_half() -> None:
    logits, targets = torch.randn(3, 4), torch.randint(2, (3, 4))
    smoothed = torch.where(targets == 1, 0.95, 0.05)
    torch.testing.assert_close(
        tagging_loss(logits, targets, label_smoothing=0.1), tagging_loss(logits, smoothed)
    )


def test_unknown_labels_get_no_gradient_and_a_batch_without_labels_gives_zero() -> None:
    logits = torch.randn(2, 3, requires_grad=True)
    known = torch.tensor([[True, False, True], [False, False, True]])
    tagging_loss(logits, torch.ones(2, 3), known).backward()
    assert logits.grad is not None and torch.equal(logits.grad != 0, known)
    assert tagging_loss(logits, torch.ones(2, 3), known & False) == 0


def test_faults_are_named() -> None:
    with pytest.raises(ValueError, match=r"\[B, C\] of one shape"):
        tagging_loss(torch.randn(2, 3), torch.randn(2, 4))
