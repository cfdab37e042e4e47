"""Similarities of made-up tokens and the plan that assigns them to each other."""

import matplotlib.pyplot as plt
import torch

from earwitness.embeds import Embeds
from earwitness.fusion import OtAttention


def tokens(count, events, noise):
    """Tokens [1, count, D] of events that come one after the other."""
    index = torch.arange(count) * len(events) // count
    return Embeds.full((events[index] + noise * torch.randn(count, events.shape[1]))[None])


@torch.inference_mode()
def draw():
    events = torch.randn(3, 64)
    match = OtAttention(dim=64).match(tokens(64, events, 2.0), tokens(20, events, 2.0))
    figure, axes = plt.subplots(1, 2, figsize=(6, 3.6), sharey=True)
    panels = {"cosine S": match.similarity[0], "plan Q x N_a: rows sum to 1": 64 * match.log_plan[0].exp()}
    for axis, (title, values) in zip(axes, panels.items()):
        figure.colorbar(axis.imshow(values, aspect="auto", cmap="magma"), ax=axis)
        axis.set_title(title)
        axis.set_xlabel("visual token")
    axes[0].set_ylabel("audio token")
    return figure
