"""Optimal-transport attention: each token takes up what the plan assigns to it (LAVCap, Eq. 2-6)."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from earwitness.embeds import Embeds
from earwitness.fusion.concat import visual_projection
from earwitness.optimal_transport import sinkhorn

RELEASED_LOGIT_SCALE = 2.659260036932778  # ln(1 / 0.07)


class Match(NamedTuple):
    """similarity: cosines S [B, N_a, N_v]. log_plan: log Q [B, N_a, N_v], -inf at padding, no gradient."""

    similarity: Tensor
    log_plan: Tensor


class OtAttention(nn.Module):
    """[h_a + Q h_v ; h_v + Q^T h_a] (Eq. 5-6).

    Embeds [B, N_a, dim], [B, N_v, dim_visual] -> Embeds [B, N_a + N_v, dim], audio first. Q solves the
    transport problem between the tokens (see `match`). Its rows sum to 1 / N_a and its columns to 1 / N_v, so
    what is added is small: about 1 % of a token's norm for audio, 2 % for video, with 64 and 20 tokens.
    row_normalized (ours, not the paper's): every token receives a weighted mean instead, weights summing to
    1, about half a token's norm. dim_visual: where it differs from dim, visual tokens first pass a linear
    map. A clip without visual tokens keeps its audio tokens as they are.
    fidelity "released": the normalised tokens take the place of the tokens themselves, and `logit_scale` is
    the parameter of the released alignment loss.
    """

    def __init__(
        self,
        *,
        dim: int,
        dim_visual: int | None = None,
        epsilon: float = 0.1,
        iterations: int = 50,
        row_normalized: bool = False,
        fidelity: Literal["paper", "released"] = "paper",
    ) -> None:
        super().__init__()
        self.visual_projection = visual_projection(dim, dim_visual)
        self.epsilon = epsilon
        self.iterations = iterations
        self.row_normalized = row_normalized
        self.fidelity = fidelity
        if fidelity == "released":
            self.logit_scale = nn.Parameter(torch.tensor(RELEASED_LOGIT_SCALE))

    def forward(self, audio: Embeds, visual: Embeds, match: Match | None = None) -> Embeds:
        """match: what `match` gave for the same tokens, where the loss needs it too; else it is computed."""
        plan = (match or self.match(audio, visual)).log_plan.exp()  # [B, N_a, N_v], fp32
        h_a, h_v = self._tokens(audio, visual)
        to_audio, to_visual = plan, plan.mT
        if self.row_normalized:
            to_audio, to_visual = _rows_to_one(to_audio), _rows_to_one(to_visual)
        h_a, h_v = h_a + to_audio.to(h_v.dtype) @ h_v, h_v + to_visual.to(h_a.dtype) @ h_a
        return Embeds(h_a, audio.mask).cat(Embeds(h_v, visual.mask))

    def match(self, audio: Embeds, visual: Embeds) -> Match:
        """Similarities and plan of the tokens, in fp32 at least."""
        h_a, h_v = self._tokens(audio, visual)
        tokens = Embeds(h_a, audio.mask), Embeds(h_v, visual.mask)
        return transport(*tokens, epsilon=self.epsilon, iterations=self.iterations)

    def _tokens(self, audio: Embeds, visual: Embeds) -> tuple[Tensor, Tensor]:
        h_a = audio.values.masked_fill(~audio.mask[..., None], 0.0)
        h_v = self.visual_projection(visual.values.masked_fill(~visual.mask[..., None], 0.0))
        if self.fidelity == "released":
            h_a, h_v = F.normalize(h_a, dim=-1), F.normalize(h_v, dim=-1)
        return h_a, h_v


def transport(audio: Embeds, visual: Embeds, *, epsilon: float = 0.1, iterations: int = 50) -> Match:
    """Embeds [B, N_a, D], [B, N_v, D] -> cosines and the plan that transports one to the other (Eq. 2-3).

    In fp32 at least. epsilon, iterations: of `sinkhorn`, LAVCap's by default.
    """
    with torch.autocast(audio.values.device.type, enabled=False):
        precision = torch.promote_types(audio.values.dtype, torch.float32)
        h_a, h_v = (F.normalize(h.values.to(precision), dim=-1) for h in (audio, visual))
        similarity = h_a @ h_v.mT
        log_plan = sinkhorn(similarity, epsilon, iterations, audio.mask, visual.mask)
    return Match(similarity, log_plan)


def matched(fusion: nn.Module, audio: Embeds, visual: Embeds) -> Match:
    """The match that the loss of Eq. 4 needs beside a fusion that does not transport (Tables II and III).

    The visual tokens pass the fusion's own map to the audio tokens' width. Padding is zeroed.
    """
    h_a, h_v = (x.values.masked_fill(~x.mask[..., None], 0.0) for x in (audio, visual))
    project: Any = fusion.visual_projection
    return transport(Embeds(h_a, audio.mask), Embeds(project(h_v), visual.mask))


def _rows_to_one(plan: Tensor) -> Tensor:
    return plan / plan.sum(2, keepdim=True).clamp(min=torch.finfo(plan.dtype).tiny)
