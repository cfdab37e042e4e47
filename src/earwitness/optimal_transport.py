"""Entropy-regularised optimal transport between two sets of tokens (LAVCap, Eq. 2-3).

    Q = argmax_Q  tr(Q^T S) + epsilon H(Q)   subject to uniform marginals

Sinkhorn's iteration scales rows and columns in turn. The scalings are kept as logarithms ("potentials"), for
exp(S / epsilon) has no floating-point value at small epsilon; between two absorptions of what has gathered,
an iteration is two products and sums, which is what makes it fast.
"""

from __future__ import annotations

import torch
from torch import Tensor

# Scalings grow by at most N x M an iteration, so ten keep 64 x 20 tokens inside fp32 (1280^10 = 1e31 < 3e38).
_ABSORB_EVERY = 10
_NEVER = float("-inf")


@torch.no_grad()
def sinkhorn(
    similarity: Tensor,
    epsilon: float = 0.1,
    iterations: int = 50,
    row_mask: Tensor | None = None,
    column_mask: Tensor | None = None,
) -> Tensor:
    """Similarities S [B, N, M] -> log Q [B, N, M], with -inf where a row or column is padding.

    Real rows of Q sum to 1 / (real rows) and real columns to 1 / (real columns), the columns exactly (they
    are scaled last). A clip without a real row or column is -inf throughout. epsilon: entropy weight, in the
    units of S. iterations: fixed count. row_mask, column_mask: bool [B, N], [B, M], True where real.

    Computed in fp32 at least, autocast or not (bf16 loses the marginals), and returned so; no gradient.
    """
    _check(similarity, epsilon, iterations, row_mask, column_mask)
    with torch.autocast(similarity.device.type, enabled=False):
        scores = similarity.to(torch.promote_types(similarity.dtype, torch.float32)) / epsilon
        rows = _log_marginal(scores, row_mask, scores.shape[1])[:, :, None]  # [B, N, 1]
        columns = _log_marginal(scores, column_mask, scores.shape[2])[:, None, :]  # [B, 1, M]
        # Padding takes no part: potential 0 on a score of -inf is a plan of exactly zero.
        real = (rows > _NEVER) & (columns > _NEVER)  # [B, N, M]
        rows = rows.masked_fill(~real.any(2, keepdim=True), _NEVER)
        columns = columns.masked_fill(~real.any(1, keepdim=True), _NEVER)
        scores = scores.masked_fill(~real, _NEVER)
        u = (rows - scores.logsumexp(2, keepdim=True)).masked_fill(rows == _NEVER, 0.0)
        v = (columns - (scores + u).logsumexp(1, keepdim=True)).masked_fill(columns == _NEVER, 0.0)
        # From here on no real row or column sum falls below 1 / (N M) of the whole: no underflow.
        for done in range(1, iterations, _ABSORB_EVERY):
            plan = (scores + u + v).exp()
            a, b = _scale(plan, rows.exp(), columns.exp(), min(_ABSORB_EVERY, iterations - done))
            u, v = u + a.log(), v + b.log()
        return scores + u + v


def _scale(plan: Tensor, rows: Tensor, columns: Tensor, iterations: int) -> tuple[Tensor, Tensor]:
    """Scalings a [B, N, 1], b [B, 1, M] such that a * plan * b has the marginals; 1 at padding.

    Written as product and sum rather than as a matrix product, which a user's TF32 setting would round. The
    batch goes last: sums then run over whole vectors of clips, twice as fast as over 20 neighbours.
    """
    plan, rows, columns = (x.permute(1, 2, 0).contiguous() for x in (plan, rows, columns))
    padded_rows, padded_columns = (rows == 0).to(plan.dtype), (columns == 0).to(plan.dtype)
    rows, columns = rows + padded_rows, columns + padded_columns
    b = torch.ones_like(columns)  # [1, M, B]
    for _ in range(iterations):
        a = rows / ((plan * b).sum(1, keepdim=True) + padded_rows)  # [N, 1, B]
        b = columns / ((plan * a).sum(0, keepdim=True) + padded_columns)
    return a.permute(2, 0, 1), b.permute(2, 0, 1)


def _log_marginal(scores: Tensor, mask: Tensor | None, size: int) -> Tensor:
    """Log of the uniform distribution over real tokens, [B, size]; -inf at padding."""
    if mask is None:
        mask = torch.ones(len(scores), size, dtype=torch.bool, device=scores.device)
    count = mask.sum(1, keepdim=True).clamp(min=1).to(scores.dtype)
    return (-count.log()).expand_as(mask).masked_fill(~mask, _NEVER)


def _check(
    similarity: Tensor, epsilon: float, iterations: int, row_mask: Tensor | None, column_mask: Tensor | None
) -> None:
    if similarity.ndim != 3:
        raise ValueError(f"similarity must be [B, N, M], not {tuple(similarity.shape)}")
    if not epsilon > 0:
        raise ValueError(f"epsilon must be positive, not {epsilon}")
    if iterations < 1:
        raise ValueError(f"iterations must be at least 1, not {iterations}")
    for name, mask, axis in (("row_mask", row_mask, 1), ("column_mask", column_mask, 2)):
        if mask is not None and mask.shape != (similarity.shape[0], similarity.shape[axis]):
            raise ValueError(
                f"{name} must be {(similarity.shape[0], similarity.shape[axis])}, not {tuple(mask.shape)}"
            )
