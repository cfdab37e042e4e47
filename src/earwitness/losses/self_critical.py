"""Self-critical sequence training (Rennie et al. 2017): captions with high reward become more probable."""

from __future__ import annotations

from torch import Tensor


def self_critical_loss(log_probs: Tensor, mask: Tensor, rewards: Tensor) -> Tensor:
    """Policy gradient over the captions that a model drew for each clip, K > 1 of them.

    log_probs: of the drawn tokens, [B, K, L]. mask: bool [B, K, L], padding counts nothing. rewards: [B, K],
    any unit. A caption's baseline is the mean reward of the clip's other ones (Luo 2020), so the loss says
    nothing where all earn alike. Returns the mean over all real tokens of the batch.
    """
    if rewards.shape != log_probs.shape[:2] or log_probs.shape != mask.shape or rewards.shape[1] < 2:
        raise ValueError(
            f"log_probs and mask [B, K, L] and rewards [B, K > 1] do not fit: "
            f"{tuple(log_probs.shape)}, {tuple(mask.shape)}, {tuple(rewards.shape)}"
        )
    count = rewards.shape[1]
    advantage = (rewards - rewards.mean(1, keepdim=True)).detach() * count / (count - 1)
    gained = advantage[..., None] * log_probs.masked_fill(~mask, 0.0)
    return -gained.sum() / mask.sum().clamp(min=1)
