"""Self-critical training: captions that the model draws itself, by what they are worth."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from earwitness.embeds import Embeds
from earwitness.losses.gathered import share
from earwitness.losses.self_critical import self_critical_loss
from earwitness.training.reward import RetrievalReward

MAX_DRAWN_TOKENS = 28  # of a caption that is drawn to be rewarded; those of people seldom have more


def self_critical(
    language_model: Any, reward: RetrievalReward, prefix: Embeds, ids: Tensor, *, training: bool
) -> Tensor:
    """The loss of captions drawn for each clip; in evaluation, minus the reward of the most probable ones.

    prefix: [B, P, D_llm]. ids: of the clips' own captions, [B, L].
    """
    count = reward.samples if training else 1
    references = [language_model.decode(row) for row in ids.tolist()]
    drawing = {"do_sample": True, "top_k": 0, "num_return_sequences": count} if training else {}
    drawn, _ = language_model.generate(
        Embeds(prefix.values.detach(), prefix.mask), beams=1, max_new_tokens=MAX_DRAWN_TOKENS, **drawing
    )
    rewards = reward(drawn, references)  # [B, K]
    if not training:
        return -rewards.mean()
    ids, mask = (x.view(len(references), count, -1) for x in language_model.encode_captions(drawn))
    logits = language_model.logits_of_several(prefix, ids, mask).float()  # [B, K, L, V]
    log_probs = logits.log_softmax(-1).gather(3, ids[..., None])[..., 0]
    return share(mask.sum()) * self_critical_loss(log_probs, mask, rewards)
