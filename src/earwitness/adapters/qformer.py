"""Windowed Q-Former: a few audio embeddings for every window of tokens (LOAE, DistillCaps)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn

from earwitness.adapters.mlp import connector as make_connector
from earwitness.attention import QFormer
from earwitness.embeds import Embeds


class QFormerAdapter(nn.Module):
    """Queries read each window of tokens by itself: Embeds [B, N, dim] -> [B, windows x queries, dim_llm].

    fidelity "paper": windows run over time. The tokens must be in time order, the `bands` tokens of a frame
    side by side (t * bands + band); no frame is split, so with 4 bands the windows of 17 tokens span 4 or 5
    frames, 4.25 on average, and 248 tokens become 15 embeddings. The ragged last window is kept by its mask.
    A window without a real token gives an embedding that is masked.
    fidelity "released": every 17 tokens in the order they come (CED's is frequency-major, so a window is
    2.72 s of one band), what is left over is dropped: 248 tokens become 14 embeddings.

    window: tokens. hidden: width of the Q-Former, feed_forward: of its feed-forward part, default 4 hidden.
    connector: from there into the language model's space, "linear" (LOAE) or "mlp" (DistillCaps, Sec. 3.1).
    """

    def __init__(
        self,
        *,
        dim: int,
        dim_llm: int,
        hidden: int = 768,
        window: int = 17,
        queries: int = 1,
        layers: int = 2,
        heads: int = 12,
        feed_forward: int | None = None,
        bands: int = 4,
        dropout: float = 0.1,
        connector: Literal["linear", "mlp"] = "linear",
        fidelity: Literal["paper", "released"] = "paper",
    ) -> None:
        super().__init__()
        if not 1 <= bands <= window:
            raise ValueError(f"a window of {window} tokens must hold at least one frame of {bands} bands")
        self.window = window
        self.bands = bands
        self.fidelity = fidelity
        self.qformer = QFormer(
            dim=hidden,
            context_dim=dim,
            queries=queries,
            layers=layers,
            heads=heads,
            hidden=feed_forward,
            dropout=dropout,
        )
        self.projection = make_connector(connector, hidden, dim_llm)

    def forward(self, x: Embeds) -> Embeds:
        if self.fidelity == "released":
            values, mask = token_windows(x, self.window)
        else:
            values, mask = time_windows(x, self.window, self.bands)  # [B, W, S, D], [B, W, S]
        z = self.qformer(Embeds(values.flatten(0, 1), mask.flatten(0, 1)))  # [B W, Q, hidden]
        z = z.unflatten(0, mask.shape[:2]).flatten(1, 2)  # [B, W Q, hidden]
        return Embeds(self.projection(z), mask.any(2).repeat_interleave(len(self.qformer.queries), 1))


def time_windows(x: Embeds, window: int, bands: int) -> tuple[Tensor, Tensor]:
    """Windows of `window` tokens on average, made of whole frames: [B, W, S, D], bool [B, W, S].

    Window w starts at frame floor(w * window / bands); W covers all N tokens; S is the longest window.
    Values at padding are zero.
    """
    size = x.mask.shape[1]
    count = -(-(-(-size // bands) * bands) // window)  # windows that cover ceil(N / bands) frames
    device = x.values.device
    starts = torch.arange(count + 1, device=device) * window // bands * bands  # in tokens
    slots = torch.arange(-(-window // bands) * bands, device=device)
    index = starts[:-1, None] + slots  # [W, S]
    inside = (index < starts[1:, None]) & (index < size)
    index = index.clamp(max=max(size - 1, 0))
    mask = x.mask[:, index] & inside
    return x.values[:, index].masked_fill(~mask[..., None], 0.0), mask


def token_windows(x: Embeds, window: int) -> tuple[Tensor, Tensor]:
    """Every `window` tokens, the remainder dropped: [B, W, window, D], bool [B, W, window].

    Raises ValueError if there are fewer tokens than one window holds, where the released code crashes.
    """
    count = x.mask.shape[1] // window
    if count == 0:
        raise ValueError(
            f"the released Q-Former needs at least {window} tokens (0.8 s), not {x.mask.shape[1]}; "
            "pad the clip or use fidelity: paper"
        )
    values, mask = (y[:, : count * window].unflatten(1, (count, window)) for y in x)
    return values.masked_fill(~mask[..., None], 0.0), mask


# Part of a name in LOAE's and DistillCaps' checkpoints -> part of a name here.
_RELEASED_NAMES = {
    "speech_query_tokens": "qformer.queries",
    "enc_to_dec_proj.": "projection.",
    "speech_former.bert.embeddings.LayerNorm.": "qformer.norm.",
    "speech_former.bert.encoder.layer.": "qformer.layers.",
    ".attention.self.": ".self_attention.",
    ".attention.output.dense.": ".self_attention.output.",
    ".attention.output.LayerNorm.": ".self_attention.norm.",
    ".crossattention.self.": ".cross_attention.",
    ".crossattention.output.dense.": ".cross_attention.output.",
    ".crossattention.output.LayerNorm.": ".cross_attention.norm.",
    ".intermediate_query.dense.": ".feed_forward.up.",
    ".output_query.dense.": ".feed_forward.down.",
    ".output_query.LayerNorm.": ".feed_forward.norm.",
}


def qformer_state_from_released(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the adapter's state dict from a LOAE or DistillCaps checkpoint; other tensors are skipped.

    Without `enc_to_dec_proj` in the checkpoint, the projection is left out too. Raises ValueError, naming
    it, if the Q-Former holds a tensor that has no place here.
    """
    converted = {}
    for name, tensor in state.items():
        if not name.startswith(("speech_query_tokens", "speech_former.", "enc_to_dec_proj.")):
            continue
        if name.endswith("embeddings.position_ids"):  # a counter, not a weight
            continue
        ours = name
        for theirs, part in _RELEASED_NAMES.items():
            ours = ours.replace(theirs, part)
        if "speech_former" in ours:
            raise ValueError(f"no place in the Q-Former for the checkpoint's tensor {name}")
        converted[ours] = tensor[0] if name == "speech_query_tokens" else tensor
    return converted
