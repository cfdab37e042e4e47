"""Synthetic recordings in mel bands."""

import matplotlib.pyplot as plt
import torch

from earwitness.features import log_mel
from earwitness.scenes.synthesis import synthesise

SHOWN = {
    "motorcycle engine": 5,
    "car passing by": 1,
    "siren wailing": 7,
    "telephone ringing": 3,
    "water dripping": 4,
    "bicycle bell": 0,
    "crickets chirping": 9,
    "wind blowing": 8,
}


def draw():
    figure, axes = plt.subplots(2, 4, figsize=(8, 3.4), sharey=True)
    for (label, number), axis in zip(SHOWN.items(), axes.flat):
        made = torch.from_numpy(synthesise(label, number))[None, : 4 * 16_000]
        mel = log_mel(made)[0]
        seconds = made.shape[1] / 16_000
        axis.imshow(
            mel, origin="lower", aspect="auto", extent=(0, seconds, 0, 64), vmin=mel.max() - 60, cmap="magma"
        )
        axis.set_title(label)
    figure.supxlabel("time (s)", fontsize=9)
    figure.supylabel("mel bin", fontsize=9)
    return figure
