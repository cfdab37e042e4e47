"""Two-Stream Adapter: a semantic and a temporal stream (LAMB, Eq. 1-4)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from earwitness.embeds import Embeds


class QueryAttention(nn.Module):
    """Learnable queries read a sequence: LN(MHA(Q, x) + Q) (Eq. 1-2).

    Embeds [B, N, dim] -> [B, queries, dim]. Heads are concatenated without an output projection. Padding is
    not attended to; a clip without a real token reads zeros.
    """

    def __init__(self, *, dim: int, queries: int, heads: int) -> None:
        super().__init__()
        if dim % heads:
            raise ValueError(f"dim {dim} is not a multiple of heads {heads}")
        self.heads = heads
        self.queries = nn.Parameter(torch.empty(queries, dim))
        nn.init.normal_(self.queries, std=dim**-0.5)  # of unit length, so that the audio can outweigh it
        self.to_q = nn.Linear(dim, dim, bias=False)
        self.to_k = nn.Linear(dim, dim, bias=False)
        self.to_v = nn.Linear(dim, dim, bias=False)
        self.norm = nn.LayerNorm(dim, eps=1e-5)

    def forward(self, x: Embeds) -> Tensor:
        values = x.values.masked_fill(~x.mask[..., None], 0.0)  # [B, N, D]
        # softmax needs an unmasked entry: zeros, in an empty clip
        seen = x.mask | ~x.mask.any(1, keepdim=True)
        q = self._split(self.to_q(self.queries)[None])  # [1, H, Q, D/H]
        k, v = self._split(self.to_k(values)), self._split(self.to_v(values))  # [B, H, N, D/H]
        read = F.scaled_dot_product_attention(
            q.expand(k.shape[0], -1, -1, -1), k, v, attn_mask=seen[:, None, None, :]
        )
        return self.norm(read.transpose(1, 2).flatten(2) + self.queries)  # [B, Q, D]

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)


class MultiScaleConv(nn.Module):
    """Parallel convolutions over time, concatenated, projected, LayerNorm, GELU: [B, N, dim] -> [B, N, dim].

    bands: adjacent tokens of one time step; the kernels are dilated by it, so that each
    step of a kernel is a step in time within one band. Expects zeros at padding, which then looks like the
    silence beyond the end of a clip alone.
    """

    def __init__(self, *, dim: int, kernels: Sequence[int], bands: int = 1) -> None:
        super().__init__()
        if not kernels or any(k % 2 == 0 for k in kernels):
            raise ValueError(
                f"kernels must be odd, so that the frames keep their times, not {tuple(kernels)}"
            )
        self.convolutions = nn.ModuleList(
            nn.Conv1d(dim, dim, k, padding=k // 2 * bands, dilation=bands) for k in kernels
        )
        self.projection = nn.Linear(dim * len(kernels), dim)
        self.norm = nn.LayerNorm(dim)

    def forward(self, x: Tensor) -> Tensor:
        frames = x.transpose(1, 2)
        scales = torch.cat([convolution(frames) for convolution in self.convolutions], 1).transpose(1, 2)
        return F.gelu(self.norm(self.projection(scales)))


class TemporalEncoder(nn.Module):
    """Multi-scale convolutions and a bidirectional GRU over time-ordered tokens (inner part of Eq. 3).

    Embeds [B, N, dim] -> Embeds [B, N, dim], the real tokens moved to the front. Neither the convolutions nor
    the backward GRU see padding, so a clip reads the same alone and in a batch.
    """

    def __init__(self, *, dim: int, kernels: Sequence[int], layers: int, bands: int = 1) -> None:
        super().__init__()
        if dim % 2:
            raise ValueError(f"dim must be even (half for each direction of the GRU), not {dim}")
        self.convolutions = MultiScaleConv(dim=dim, kernels=kernels, bands=bands)
        self.gru = nn.GRU(dim, dim // 2, layers, batch_first=True, bidirectional=True)

    def forward(self, x: Embeds) -> Embeds:
        order = x.mask.to(torch.uint8).argsort(dim=1, descending=True, stable=True)  # real tokens first
        mask = x.mask.gather(1, order)
        values = x.values.gather(1, order[..., None].expand_as(x.values)).masked_fill(~mask[..., None], 0.0)
        frames = self.convolutions(values).masked_fill(~mask[..., None], 0.0)
        lengths = mask.sum(1).clamp(min=1).cpu()  # the GRU takes no empty sequence; the mask still hides it
        packed = pack_padded_sequence(frames, lengths, batch_first=True, enforce_sorted=False)
        hidden, _ = pad_packed_sequence(self.gru(packed)[0], batch_first=True, total_length=mask.shape[1])
        return Embeds(hidden, mask)

    def encode_whole(self, tokens: Tensor) -> Tensor:
        """The same of clips without padding: [B, N, dim] -> [B, N, dim]."""
        return self.gru(self.convolutions(tokens))[0]


class TwoStreamAdapter(nn.Module):
    """Audio tokens h_a -> audio embeddings z_a through a semantic and a temporal stream (LAMB, Eq. 1-4).

        h_s = LN(MHA(Q_s, h_a) + Q_s)                     semantic: which sounds
        h_t = LN(MHA(Q_t, GRU(Conv(h_a))) + Q_t)          temporal: in which order
        z_a = W_p LN(MHA(Q_g, [h_s; h_t]) + Q_g)

    Embeds [B, N_a, dim] -> Embeds [B, global_queries, dim_llm], nothing padded. The tokens must be in time
    order (not the frequency-major order of CED's patches), for the convolutions and the GRU run along them.
    bands: as in MultiScaleConv. streams: which of the two there are; the global queries read what there is.
    """

    def __init__(
        self,
        *,
        dim: int,
        dim_llm: int,
        semantic_queries: int = 8,
        temporal_queries: int = 8,
        global_queries: int = 32,
        heads: int = 8,
        kernels: Sequence[int] = (3, 5, 7),
        gru_layers: int = 2,
        bands: int = 1,
        streams: Sequence[str] = ("semantic", "temporal"),
    ) -> None:
        super().__init__()
        self.semantic = self.temporal_encoder = self.temporal = None
        if "semantic" in streams:
            self.semantic = QueryAttention(dim=dim, queries=semantic_queries, heads=heads)
        if "temporal" in streams:
            self.temporal_encoder = TemporalEncoder(dim=dim, kernels=kernels, layers=gru_layers, bands=bands)
            self.temporal = QueryAttention(dim=dim, queries=temporal_queries, heads=heads)
        self.fusion = QueryAttention(dim=dim, queries=global_queries, heads=heads)
        self.projection = nn.Linear(dim, dim_llm)

    def forward(self, x: Embeds) -> Embeds:
        encoder = self.temporal_encoder
        return self._fused(x, None if encoder is None else encoder(x))

    def adapt_whole(self, x: Embeds) -> Embeds:
        """The same of clips without padding, without packing, which ONNX does not know."""
        encoder = self.temporal_encoder
        return self._fused(x, None if encoder is None else Embeds.full(encoder.encode_whole(x.values)))

    def _fused(self, x: Embeds, in_time: Embeds | None) -> Embeds:
        read = [] if self.semantic is None else [self.semantic(x)]  # h_s [B, N_s, D]
        if self.temporal is not None and in_time is not None:
            read.append(self.temporal(in_time))  # h_t [B, N_t, D]
        h_g = self.fusion(Embeds.full(torch.cat(read, 1)))  # [B, N_g, D]
        return Embeds.full(self.projection(h_g))  # [B, N_g, D_llm]
