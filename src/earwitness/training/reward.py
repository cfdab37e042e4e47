"""What a caption that a model drew is worth: how well it finds the clip's own caption among others."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from earwitness.config.stages import RewardConfig
from earwitness.losses.gathered import gather_batch
from earwitness.metrics.sentence_encoder import SentenceEncoder

Embed = Callable[[Sequence[str]], np.ndarray]


class RetrievalReward:
    """Log-probability by which a caption chooses its own reference among those of the batch, in nats.

    "a man speaks" fits half of all clips: it earns less than a caption specific to this clip. Closeness
    is the cosine of a sentence encoder's vectors, divided by the temperature. embed: N texts -> unit vectors
    [N, D]. samples: captions to draw for each clip. device: where rewards are wanted.
    """

    def __init__(self, embed: Embed, *, samples: int, temperature: float, device: str = "cpu") -> None:
        self.embed, self.samples, self.temperature, self.device = embed, samples, temperature, device

    @classmethod
    def of(cls, config: RewardConfig, device: str = "cpu") -> RetrievalReward:
        """Raises MissingData where the sentence encoder cannot be loaded."""
        embed = SentenceEncoder(config.sentence_encoder, device, "a stage's reward")
        return cls(embed, samples=config.samples, temperature=config.temperature, device=device)

    def __call__(self, captions: Sequence[str], references: Sequence[str]) -> Tensor:
        """captions: those of a clip side by side, B K in all. references: B. Returns [B, K].

        The references of all processes are chosen among; each must hold as many.
        """
        clips = len(references)
        vectors = torch.from_numpy(self.embed([*references, *captions])).float().to(self.device)
        own, said = vectors.split([clips, len(captions)])
        others = gather_batch(own)
        place = torch.arange(clips, device=own.device)
        choice = (said @ others.T / self.temperature).log_softmax(-1).view(clips, -1, len(others))
        return choice[place, :, place + (dist.get_rank() * clips if len(others) > clips else 0)]
