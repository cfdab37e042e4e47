"""Dasheng, a masked autoencoder's encoder for general sound.

Dinkel et al. 2024, "Scaling up masked audio encoder learning for general audio classification", Interspeech.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from earwitness.config import sizes
from earwitness.encoders.checkpoints import read_published
from earwitness.encoders.spectrogram import SpectrogramEncoder
from earwitness.weights.copying import copy_weights

SIZES = sizes.SIZES["dasheng"]
HUB_NAME = "mispeech/dasheng-{}"
CHUNK_FRAMES = 1008  # 10.08 s
PATCH = (64, 4)  # all mel bins, 4 frames: 25 tokens a second


class DashengEncoder(SpectrogramEncoder):
    """Waveforms [B, S] -> Embeds with 25 tokens a second, in time order (10 s: 250).

    body: dim, depth, heads (see SIZES) and the others of SpectrogramEncoder. A clip of more than 1008 frames
    is encoded chunk by chunk, the last one at its own length. Equals the authors' own package; their Hugging
    Face port lets a long clip's last chunk attend to zero padding.
    """

    def __init__(self, *, chunk_frames: int = CHUNK_FRAMES, **body: Any) -> None:
        super().__init__(patch=PATCH, chunk_frames=chunk_frames, token_order="time", **body)


def load_dasheng(
    path_or_name: str | Path, *, heads: int | None = None, front_end: str = "log_mel"
) -> DashengEncoder:
    """A DashengEncoder with published weights, in evaluation mode; both published layouts are understood.

    path_or_name: a weight file, a folder, a hub name ("mispeech/dasheng-base") or a key of SIZES ("base").
    heads: default as in the published size of that width, else dim / 64.
    Raises FileNotFoundError, or ValueError naming the tensors that do not fit.
    """
    weights, state, sizes = read_published(path_or_name, HUB_NAME, SIZES)
    encoder = DashengEncoder(**sizes | ({"heads": heads} if heads else {}), front_end=front_end)
    copy_weights(state, encoder.state_dict(), weights)
    return encoder.eval()
