"""The divergence of two clouds of 32 points in 256 dimensions as one moves away, for several bandwidths."""

import matplotlib.pyplot as plt
import torch

from earwitness.losses import cauchy_schwarz_divergence


def draw():
    dim, points = 256, 32
    x, y = torch.randn(points, dim), torch.randn(points, dim)
    direction = torch.nn.functional.normalize(torch.randn(dim), dim=0)
    shifts = torch.linspace(0, 40, 81)
    figure, axis = plt.subplots(figsize=(5.5, 3))
    for sigma in (4.0, 16.0, 64.0, "median"):
        values = [cauchy_schwarz_divergence(x, y + shift * direction, sigma).item() for shift in shifts]
        axis.plot(shifts, values, label=f"sigma {sigma}", linewidth=2.5 if sigma == "median" else 1)
    axis.set_yscale("log")
    axis.set(xlabel="distance of the means (a cloud's radius is 16)", ylabel="divergence")
    axis.legend(frameon=False)
    return figure
