import pytest
import torch

from earwitness.losses import self_critical_loss


def drawn() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Log-probabilities [2, 3, 4], mask and rewards of three captions of each of two clips."""
    generator = torch.Generator().manual_seed(0)
    log_probs = -torch.rand(2, 3, 4, generator=generator, dtype=torch.float64)
    mask = torch.arange(4) < torch.tensor([[4, 2, 3], [1, 4, 2]])[..., None]
    return log_probs, mask, torch.randn(2, 3, generator=generator, dtype=torch.float64)


def test_equals_a_loop_over_captions() -> None:
    log_probs, mask, rewards = drawn()
    total = 0.0
    for clip in range(2):
        for k in range(3):
            others = [rewards[clip, j].item() for j in range(3) if j != k]
            advantage = rewards[clip, k].item() - sum(others) / 2
            total -= advantage * sum(log_probs[clip, k][mask[clip, k]].tolist())
    assert self_critical_loss(log_probs, mask, rewards).item() == pytest.approx(total / 16, abs=1e-12)


def test_what_earns_more_than_its_clips_other_captions_becomes_likelier() -> None:
    log_probs, mask, rewards = drawn()
    log_probs.requires_grad_()
    self_critical_loss(log_probs, mask, rewards).backward()
    assert log_probs.grad is not None
    above = rewards > rewards.mean(1, keepdim=True)
    assert bool((log_probs.grad[above][mask[above]] < 0).all())
    assert bool((log_probs.grad[~above][mask[~above]] > 0).all())
    assert not log_probs.grad[~mask].any()


def test_what_every_caption_of_a_clip_earns_says_nothing() -> None:
    log_probs, mask, rewards = drawn()
    more = rewards + torch.tensor([[5.0], [-3.0]])
    torch.testing.assert_close(
        self_critical_loss(log_probs, mask, more), self_critical_loss(log_probs, mask, rewards)
    )
    assert self_critical_loss(log_probs, mask, torch.ones(2, 3)) == 0


def test_padding_may_hold_anything() -> None:
    log_probs, mask, rewards = drawn()
    odd = log_probs.masked_fill(~mask, float("-inf"))
    assert self_critical_loss(odd, mask, rewards) == self_critical_loss(log_probs, mask, rewards)


@pytest.mark.parametrize("shape", [(2, 1), (3, 3), (2,)])
def test_rewards_that_do_not_fit_are_named(shape: tuple[int, ...]) -> None:
    log_probs, mask, _ = drawn()
    with pytest.raises(ValueError, match="do not fit"):
        self_critical_loss(log_probs, mask, torch.zeros(shape))
