"""What three forms of the FFT adapter make of one channel, with W the identity and b one half."""

import matplotlib.pyplot as plt
import torch

from earwitness.adapters import FftAdapter
from earwitness.adapters.fft import SpectralAdapter
from earwitness.embeds import Embeds

FRAMES = 62


@torch.inference_mode()
def draw():
    time = torch.arange(FRAMES)
    x = torch.exp(-(((time - 18) / 4.0) ** 2)) + 0.15 * torch.randn(FRAMES)
    spectral = SpectralAdapter(dim=1)
    spectral.gain[8:] = 0.0  # what a learnt filter may be: nothing above an eighth of the frame rate
    forms = {
        "paper: W x[t] + b at the first token": FftAdapter(dim=1),
        "released: time runs backwards": FftAdapter(dim=1, fidelity="released"),
        "spectral (ours): a filter": spectral,
    }
    figure, axes = plt.subplots(len(forms), 1, figsize=(5.5, 4.2), sharex=True, sharey=True)
    for axis, (title, adapter) in zip(axes, forms.items()):
        adapter.linear.weight.fill_(1.0)
        adapter.linear.bias.fill_(0.0 if adapter is spectral else 0.5)
        axis.plot(time, x, color="0.7", label="in")
        axis.plot(time, adapter(Embeds.full(x[None, :, None])).values[0, :, 0], label="out")
        axis.set_title(title)
    axes[0].legend(frameon=False)
    axes[-1].set_xlabel("token")
    return figure
