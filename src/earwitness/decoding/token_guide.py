"""Token Guide: raise the scores of tokens whose embeddings are near the audio's (LAMB, Eq. 12-14).

    z_hat_i = z_i - beta * d(zbar_a, v_i)          for every token i of the vocabulary

zbar_a is the mean audio embedding of the clip, v_i the language model's own input embedding of token i, beta
is learnable, d the squared Euclidean distance (the paper's choice) or one of its alternatives (Table 3).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.weak import WeakTensorKeyDictionary
from transformers import LogitsProcessor

from earwitness.decoding.guides import Encoded

Distance = Callable[[Tensor, Tensor], Tensor]
"""zbar [B, D], table [V, D] -> [B, V], in fp32 at least."""

_CHUNK = 4096  # tokens whose fp32 copies are held at once
_norms: WeakTensorKeyDictionary = WeakTensorKeyDictionary()  # table -> (its state, |v|^2)


def squared_l2(zbar: Tensor, table: Tensor) -> Tensor:
    """|zbar - v_i|^2 as |zbar|^2 - 2 zbar.v_i + |v_i|^2: one matrix product in the table's own precision."""
    with torch.autocast(zbar.device.type, enabled=False):
        zbar = _at_least_fp32(zbar)
        products = (zbar.to(table.dtype) @ table.T).to(zbar.dtype)  # [B, V]
        squared = zbar.square().sum(-1, keepdim=True) - 2.0 * products + _squared_norms(table).to(zbar.dtype)
        return squared.clamp(min=0.0)


def l1(zbar: Tensor, table: Tensor) -> Tensor:
    """sum_d |zbar_d - v_id|, over chunks of the vocabulary."""
    with torch.autocast(zbar.device.type, enabled=False):
        zbar = _at_least_fp32(zbar)
        return torch.cat([torch.cdist(zbar, part.to(zbar.dtype), p=1.0) for part in table.split(_CHUNK)], 1)


def cosine(zbar: Tensor, table: Tensor) -> Tensor:
    """1 - cos(zbar, v_i): 0 for the same direction, 2 for the opposite one."""
    with torch.autocast(zbar.device.type, enabled=False):
        zbar = F.normalize(_at_least_fp32(zbar), dim=-1)
        products = (zbar.to(table.dtype) @ table.T).to(zbar.dtype)
        return 1.0 - products * _squared_norms(table).to(zbar.dtype).clamp(min=1e-24).rsqrt()


DISTANCES: dict[str, Distance] = {"squared_l2": squared_l2, "l1": l1, "cosine": cosine}


def guided_logits(
    logits: Tensor, zbar: Tensor, table: Tensor, beta: float | Tensor, distance: Distance = squared_l2
) -> Tensor:
    """Eq. 12 for a whole caption at once.

    logits: [B, L, V]. zbar: [B, D_llm]. table: [V, D_llm]. beta: scalar. Returns [B, L, V], fp32 at least.
    """
    return logits - (beta * distance(zbar, table))[:, None, :]


class TokenGuide(LogitsProcessor):
    """Eq. 12 while decoding: a transformers logits processor for one batch of clips.

    zbar: [B, D_llm]. table: [V, D_llm]. The rows it is called with are batch x beams, the beams of a clip
    next to each other. The change of the scores is the same at every step, so it is computed once, here. beta
    0 changes no bit. With beams, generate with `renormalize_logits=True`, else beams are ranked by scores
    that are no probabilities.
    """

    def __init__(
        self, zbar: Tensor, table: Tensor, beta: float | Tensor, distance: Distance = squared_l2
    ) -> None:
        with torch.no_grad():
            self.change = -(beta * distance(zbar, table))  # [B, V]
        self._rows = self.change

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        clips, vocabulary = self.change.shape
        if scores.shape[1] != vocabulary or len(scores) % clips:
            raise ValueError(
                f"a Token Guide of {clips} clips, {vocabulary} tokens got scores {tuple(scores.shape)}"
            )
        if len(self._rows) != len(scores):
            self._rows = self.change.repeat_interleave(len(scores) // clips, 0)
        return scores + self._rows.to(scores.dtype)


class TokenGuideParameters(nn.Module):
    """The learnable beta, and what is done with it in training and in decoding."""

    def __init__(self, *, beta: float = 0.1, distance: Distance = squared_l2) -> None:
        super().__init__()
        self.beta = nn.Parameter(torch.tensor(float(beta)))
        self.distance = distance

    def forward(self, logits: Tensor, zbar: Tensor, table: Tensor) -> Tensor:
        """Guided logits [B, L, V] for L_tg, the cross-entropy of Eq. 13."""
        return guided_logits(logits, zbar, table, self.beta, self.distance)

    def processor(self, encoded: Encoded, table: Tensor) -> TokenGuide:
        """The logits processor of a batch, by its mean audio embeddings and the token table [V, D_llm]."""
        return TokenGuide(encoded.z_a.mean(), table, self.beta, self.distance)


def _at_least_fp32(x: Tensor) -> Tensor:
    return x.to(torch.promote_types(x.dtype, torch.float32))


def _squared_norms(table: Tensor) -> Tensor:
    """|v_i|^2, [V], remembered for as long as the table stays as it is (unless a gradient is wanted)."""
    traced = torch.compiler.is_compiling()  # a traced table has no memory of its own
    if traced or table.is_inference() or (table.requires_grad and torch.is_grad_enabled()):
        return _at_least_fp32_norms(table)
    state = (table._version, table.data_ptr(), table.dtype, table.shape)
    remembered = _norms.get(table)
    if remembered is None or remembered[0] != state:
        remembered = (state, _at_least_fp32_norms(table))
        _norms[table] = remembered
    return remembered[1]


def _at_least_fp32_norms(table: Tensor) -> Tensor:
    if table.dtype.itemsize >= 4:
        return torch.einsum("vd,vd->v", table, table)
    return torch.cat([part.float().square().sum(-1) for part in table.split(_CHUNK)])
