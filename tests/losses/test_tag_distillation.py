import pytest
import torch

from earwitness.losses.tag_distillation import channel_error, tag_kl


def test_kl_of_tags_by_hand():
    teacher, student = torch.tensor([[0.0, 2.0]]), torch.tensor([[1.0, 2.0]])
    p = torch.tensor([0.5, 0.5])
    q = torch.tensor([1.0, -1.0]).sigmoid()  # present, absent
    wanted = (p * (p / q).log()).sum()
    assert tag_kl(teacher, student).item() == pytest.approx(wanted.item(), rel=1e-5)
    assert tag_kl(teacher, teacher).abs().max() < 1e-6


def test_kl_of_extreme_logits_is_finite_and_leaves_the_teacher_alone():
    teacher = torch.tensor([[200.0, -200.0]], requires_grad=True)
    student = torch.tensor([[-200.0, 200.0]], requires_grad=True)
    loss = tag_kl(teacher, student).sum()
    loss.backward()
    assert loss.item() == pytest.approx(400) and teacher.grad is None
    assert student.grad.tolist() == [[-1.0, 1.0]]
    with pytest.raises(ValueError, match="one shape"):
        tag_kl(torch.zeros(2, 3), torch.zeros(2, 4))


def test_channels_count_alike_whatever_their_scale():
    torch.manual_seed(0)
    teacher = torch.randn(4, 3, 5, 6)
    student = teacher + 0.1 * torch.randn_like(teacher)
    scale = torch.tensor([1.0, 2.0, 0.7])[None, :, None, None]
    plain = channel_error(student, teacher)
    assert channel_error(student * scale, teacher * scale).item() == pytest.approx(plain.item(), rel=1e-2)
    assert plain.item() == pytest.approx(0.01, rel=0.2)
    assert channel_error(student, teacher, 10 * teacher).item() == pytest.approx(plain.item() / 100, rel=1e-2)
    assert channel_error(student[:, :, 0, 0], teacher[:, :, 0, 0]) > 0


def test_a_channel_that_hardly_moves_counts_by_a_tenth_of_the_mean_variance():
    """LEAST_VARIANCE, 1e-4, is added to each variance first."""
    teacher = torch.tensor([[0.0, 5.0], [2.0, 5.0], [0.0, 5.0], [2.0, 5.0]])  # variances 1 and 0
    student = teacher + torch.tensor([0.5, 0.25])
    mean = (1 + 1e-4 + 1e-4) / 2
    wanted = (0.25 / (1 + 1e-4) + 0.0625 / (0.1 * mean)) / 2
    assert channel_error(student, teacher).item() == pytest.approx(wanted, rel=1e-5)
