"""CED, a vision transformer for sound with a tagging head, as CED's Hugging Face port and LOAE use it.

Dinkel et al. 2024, "CED: Consistent ensemble distillation for audio tagging", ICASSP.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from earwitness import features
from earwitness.config import sizes
from earwitness.embeds import Embeds
from earwitness.encoders.audioset import CLASSES, audioset_classes
from earwitness.encoders.checkpoints import read_published, resize_time_positions
from earwitness.encoders.spectrogram import SpectrogramEncoder
from earwitness.weights.copying import copy_weights

SIZES = sizes.SIZES["ced"]
HUB_NAME = "mispeech/ced-{}"
CHUNK_FRAMES = 1012  # 10.11 s
PATCH = (16, 16)  # mel bins, frames: 4 bands, 6.25 steps a second


class CedEncoder(SpectrogramEncoder):
    """Waveforms [B, S] -> Embeds with 4 x 6.25 tokens a second (10 s: 248), and AudioSet tags.

    body: dim, depth, heads (see SIZES) and the others of SpectrogramEncoder. chunk_frames: frames attended to
    at once. A chunk of 1012 frames has 63 steps, which leave its last 4 frames unheard; a multiple of 16
    (1008) leaves none. classes: of the tagging head; AudioSet's have names, in `tag_names`. fidelity: "paper"
    masks padding and encodes every chunk; "released" does neither (see `released_chunks`), attends to padding
    as to sound, and lets BatchNorm drift even when frozen.
    """

    def __init__(
        self,
        *,
        chunk_frames: int = CHUNK_FRAMES,
        classes: int = CLASSES,
        fidelity: str = "paper",
        **body: Any,
    ) -> None:
        super().__init__(patch=PATCH, chunk_frames=chunk_frames, **body)
        if fidelity not in ("paper", "released"):
            raise ValueError(f"fidelity must be 'paper' or 'released', got {fidelity!r}")
        self.fidelity = fidelity
        self.tag_names: list[str] = list(audioset_classes()) if classes == CLASSES else []
        self.head = nn.Sequential(nn.LayerNorm(self.dim), nn.Linear(self.dim, classes))
        if fidelity == "released":
            self.init_bn = nn.BatchNorm1d(features.N_MELS, momentum=0.01)

    def train(self, mode: bool = True) -> CedEncoder:
        """As nn.Module.train; a frozen encoder stays in evaluation mode, except in released fidelity."""
        nn.Module.train(self, mode and not (self.frozen and self.fidelity == "paper"))
        return self

    def encode_log_mel(self, log_mel: Tensor, frame_lengths: Tensor | None = None) -> Embeds:
        """As forward, from features [B, 64, F] and their real frames [B] (default: all)."""
        if self.fidelity == "paper":
            return super().encode_log_mel(log_mel, frame_lengths)
        chunks = released_chunks(self.init_bn(log_mel), self.chunk_frames)  # [C, B, 64, W]
        grid = self.encode_chunks(chunks.flatten(0, 1))
        grid = grid.unflatten(0, (len(log_mel), -1))  # chunk-major rows read as clip-major ones: see below
        return self.order_tokens(grid, torch.ones_like(grid[:, :, 0, :, 0], dtype=torch.bool))

    def tags(self, embeds: Embeds, per_chunk: bool = True) -> Tensor:
        """What forward returned -> probabilities [B, 527] of the AudioSet classes.

        per_chunk: average the probabilities of the chunks of a long clip, as CED's own code does; else apply
        the head to the mean over all tokens, as its Hugging Face port does. The same up to 10.11 s.
        """
        if not per_chunk:
            return self.head(embeds.mean()).sigmoid()
        size = self.steps * self.tokens_per_step
        chunks = -(-embeds.mask.shape[1] // size)
        missing = chunks * size - embeds.mask.shape[1] if chunks > 1 else 0
        values = F.pad(embeds.values, (0, 0, 0, missing)).unflatten(1, (chunks, -1))
        mask = F.pad(embeds.mask, (0, missing)).unflatten(1, (chunks, -1))
        means = Embeds(values.flatten(0, 1), mask.flatten(0, 1)).mean().unflatten(0, (-1, chunks))
        return Embeds(self.head(means).sigmoid(), mask.any(-1)).mean()

    def tag_probabilities(self, h_a: Embeds) -> Tensor:
        """Probability of each class in the clip: [B, 527]. The name that every tagging encoder has."""
        return self.tags(h_a)


def released_chunks(x: Tensor, size: int) -> Tensor:
    """[B, 64, F] -> [C, B, 64, W], cut as the released code of LOAE and the Hugging Face port cuts.

    A last chunk that is too short is padded with zeros that count as sound; a last chunk that is exactly
    full is lost if there are others. The rows come chunk by chunk, but are afterwards read clip by clip, so
    that in a batch of long clips a clip gets chunks of its neighbours.
    """
    if x.shape[-1] <= size:
        return x[None]
    *whole, last = x.split(size, -1)
    if last.shape[-1] < size:
        whole.append(F.pad(last, (0, size - last.shape[-1])))
    return torch.stack(whole)


def load_ced(
    path_or_name: str | Path,
    *,
    heads: int | None = None,
    chunk_frames: int | None = None,
    front_end: str = "log_mel",
    token_order: str = "frequency",
    fidelity: str = "paper",
) -> CedEncoder:
    """A CedEncoder with published weights, in evaluation mode; all published layouts are understood.

    path_or_name: a weight file, a folder, a hub name ("mispeech/ced-base") or a key of SIZES ("base").
    heads: default as in the published size of that width, else dim / 64. chunk_frames: default what the
    weights were made for; another number stretches the table of time positions. The others: see CedEncoder.
    Raises FileNotFoundError, or ValueError naming the tensors that do not fit.
    """
    weights, state, sizes = read_published(path_or_name, HUB_NAME, SIZES)
    stored_steps = state["time_pos_embed"].shape[-1] if "time_pos_embed" in state else 0
    stored_frames = CHUNK_FRAMES if stored_steps == CHUNK_FRAMES // PATCH[1] else stored_steps * PATCH[1]
    encoder = CedEncoder(
        **sizes | ({"heads": heads} if heads else {}),
        classes=len(state["head.1.bias"]) if "head.1.bias" in state else CLASSES,
        chunk_frames=chunk_frames or stored_frames or CHUNK_FRAMES,
        front_end=front_end,
        token_order=token_order,
        fidelity=fidelity,
    )
    if chunk_frames and stored_steps:
        state = resize_time_positions(state, encoder.steps)
    copy_weights(state, encoder.state_dict(), weights)
    return encoder.eval()
