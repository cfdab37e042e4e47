"""Which of CED's 4 x 62 patches each window of the Q-Former reads."""

import matplotlib.pyplot as plt
import torch

from earwitness.adapters.qformer import time_windows, token_windows
from earwitness.embeds import Embeds

BANDS, STEPS = 4, 62  # of 10 s


def windows_of(values, mask):
    """Token -> the window that reads it; nan where none does."""
    owner = torch.full((BANDS * STEPS,), torch.nan)
    for window, (tokens, real) in enumerate(zip(values[0, ..., 0].long(), mask[0])):
        owner[tokens[real]] = window
    return owner


def draw():
    numbered = Embeds.full(torch.arange(BANDS * STEPS).float()[None, :, None])
    paper = windows_of(*time_windows(numbered, 17, BANDS)).view(STEPS, BANDS).T
    released = windows_of(*token_windows(numbered, 17)).view(BANDS, STEPS)
    panels = {
        "paper: windows over time, all bands": paper,
        "released: 17 tokens in frequency-major order": released,
    }
    figure, axes = plt.subplots(2, 1, figsize=(6.5, 2.8), sharex=True)
    for axis, (title, owner) in zip(axes, panels.items()):
        colours = plt.get_cmap("tab20").with_extremes(bad="black")
        axis.imshow(owner, aspect="auto", origin="lower", cmap=colours, extent=(0, 9.92, 0, BANDS))
        axis.set(title=title, ylabel="band")
    axes[1].set_xlabel("time (s)")
    return figure
