"""Tag probabilities over time of two made-up clips, and whether words of order are allowed in them."""

import matplotlib.pyplot as plt
import torch

from earwitness.decoding.order_guide import in_order

TAGS = ("dog", "rain")
TOKENS = 50  # 160 ms each
CLIPS = {"both at once": ((5, 45), (8, 42)), "one after the other": ((3, 22), (26, 47))}


def draw():
    figure, axes = plt.subplots(1, 2, figsize=(7, 2.4), sharey=True)
    time = 0.16 * torch.arange(TOKENS)
    for axis, (name, spans) in zip(axes, CLIPS.items()):
        tokens = torch.full((1, TOKENS, 2), 0.03)
        for tag, (first, last) in enumerate(spans):
            ramp = torch.minimum(torch.arange(TOKENS) - first, last - torch.arange(TOKENS))
            tokens[0, :, tag] += 0.8 * (ramp / 4).clamp(0, 1)
        mask, distinct = torch.ones(1, TOKENS, dtype=torch.bool), ~torch.eye(2, dtype=torch.bool)
        allowed = in_order(tokens.amax(1), tokens, mask, distinct)[0]
        axis.plot(time, tokens[0], label=TAGS)
        axis.set(title=f"{name}: {'allowed' if allowed else 'forbidden'}", xlabel="s", ylim=(0, 1))
    axes[0].set_ylabel("probability")
    axes[0].legend(frameon=False)
    return figure
