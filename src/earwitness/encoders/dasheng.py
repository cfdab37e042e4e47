"""Dasheng, a masked autoencoder's encoder for general sound.

Dinkel et al. 2024, "Scaling up masked audio encoder learning for general audio classification", Interspeech.
"""

from __future__ import annotations

from pathlib import Path

from earwitness.encoders.checkpoints import (
    convert,
    find_weights,
    infer_sizes,
    load_exactly,
    read_config,
    read_state,
)
from earwitness.encoders.spectrogram import SpectrogramEncoder

SIZES: dict[str, dict[str, int]] = {
    "base": {"dim": 768, "depth": 12, "heads": 12},
    "0.6B": {"dim": 1280, "depth": 32, "heads": 16},
    "1.2B": {"dim": 1536, "depth": 40, "heads": 24},
}
HUB_NAME = "mispeech/dasheng-{}"
CHUNK_FRAMES = 1008  # 10.08 s
PATCH = (64, 4)  # all mel bins, 4 frames: 25 tokens a second


class DashengEncoder(SpectrogramEncoder):
    """Waveforms [B, S] -> Embeds with 25 tokens a second, in time order (10 s: 250).

    dim, depth, heads: see SIZES. A clip of more than 1008 frames is encoded chunk by chunk, the last one at
    its own length. Equals the authors' own package; their Hugging Face port lets a long clip's last chunk
    attend to zero padding.
    """

    def __init__(
        self,
        *,
        dim: int,
        depth: int,
        heads: int,
        mlp_ratio: float = 4.0,
        dropout: float = 0.0,
        chunk_frames: int = CHUNK_FRAMES,
        front_end: str = "log_mel",
    ) -> None:
        super().__init__(
            dim=dim,
            depth=depth,
            heads=heads,
            patch=PATCH,
            chunk_frames=chunk_frames,
            mlp_ratio=mlp_ratio,
            dropout=dropout,
            front_end=front_end,
            token_order="time",
        )


def load_dasheng(
    path_or_name: str | Path, *, heads: int | None = None, front_end: str = "log_mel"
) -> DashengEncoder:
    """A DashengEncoder with published weights, in evaluation mode; both published layouts are understood.

    path_or_name: a weight file, a folder, a hub name ("mispeech/dasheng-base") or a key of SIZES ("base").
    heads: default as in the published size of that width, else dim / 64.
    Raises FileNotFoundError, or ValueError naming every tensor that does not fit.
    """
    weights = find_weights(HUB_NAME.format(path_or_name) if path_or_name in SIZES else path_or_name)
    state = convert(read_state(weights))
    sizes = infer_sizes(state)
    published = {size["dim"]: size["heads"] for size in SIZES.values()}
    guess = published.get(sizes["dim"], max(1, sizes["dim"] // 64))
    encoder = DashengEncoder(
        **sizes, heads=heads or read_config(weights).get("num_heads") or guess, front_end=front_end
    )
    load_exactly(encoder, state, weights)
    return encoder.eval()
