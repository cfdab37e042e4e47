"""Cauchy-Schwarz divergence between kernel density estimates of two samples (LAMB, Eq. 5-7).

D(x; y) = -log( sum_ij k(x_i, y_j) / sqrt( sum_ij k(x_i, x_j) * sum_ij k(y_i, y_j) ) ),
k(u, v) = exp(-|u - v|^2 / (2 sigma^2)). It is >= 0, symmetric, and 0 for identical samples; the 1/N factors
of the density estimates cancel, so the samples may differ in size. All is computed in the log domain: at
D_llm = 4096 the plain kernel sums underflow to 0 and the divergence to infinity.

sigma: a number, or "median" (the default): the median distance between different points of the two samples
taken together, without gradient. With it the exponents stay near -1/2 at every width and at every stage of
training, where any fixed number is too small for one embedding space (the loss then follows the nearest pair
alone) and too large for another (the loss then sees the means alone).
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

Bandwidth = float | Tensor | Literal["median"]
_NEVER = float("-inf")


def cauchy_schwarz_divergence(
    x: Tensor,
    y: Tensor,
    sigma: Bandwidth = "median",
    *,
    x_mask: Tensor | None = None,
    y_mask: Tensor | None = None,
) -> Tensor:
    """Divergence between two samples (L_CS-global when they are the batch's mean embeddings), Eq. 6.

    x: [N, D]. y: [M, D]. x_mask, y_mask: bool [N], [M], True where a point counts. Scalar, fp32 at least.
    """
    if x.ndim != 2 or y.ndim != 2:
        raise ValueError(f"x and y must be [N, D] and [M, D], not {tuple(x.shape)} and {tuple(y.shape)}")
    x_mask = x.new_ones(len(x), dtype=torch.bool) if x_mask is None else x_mask
    y_mask = y.new_ones(len(y), dtype=torch.bool) if y_mask is None else y_mask
    return _divergences(x[None], y[None], sigma, x_mask[None], y_mask[None])[0]


def token_cauchy_schwarz(
    x: Tensor,
    y: Tensor,
    sigma: Bandwidth = "median",
    *,
    x_mask: Tensor | None = None,
    y_mask: Tensor | None = None,
) -> Tensor:
    """Divergence between the tokens of each clip and of its caption, mean over clips (L_CS-token, Eq. 7).

    x: audio embeddings [B, N, D]. y: caption embeddings [B, M, D]. x_mask, y_mask: bool [B, N], [B, M],
    padding counts nothing. A clip without a real token on either side is left out of the mean. "median" is
    taken per clip.
    """
    if x.ndim != 3 or y.ndim != 3 or len(x) != len(y):
        raise ValueError(
            f"x and y must be [B, N, D] and [B, M, D], not {tuple(x.shape)} and {tuple(y.shape)}"
        )
    x_mask = x.new_ones(x.shape[:2], dtype=torch.bool) if x_mask is None else x_mask
    y_mask = y.new_ones(y.shape[:2], dtype=torch.bool) if y_mask is None else y_mask
    counted = x_mask.any(1) & y_mask.any(1)
    # A clip that does not count gets one made-up point on each side: a finite number, then dropped.
    divergences = _divergences(x, y, sigma, x_mask | ~counted[:, None], y_mask | ~counted[:, None])
    return divergences.masked_fill(~counted, 0.0).sum() / counted.sum().clamp(min=1)


def _divergences(x: Tensor, y: Tensor, sigma: Bandwidth, x_mask: Tensor, y_mask: Tensor) -> Tensor:
    """[B, N, D], [B, M, D] -> [B]."""
    with torch.autocast(x.device.type, enabled=False):
        precision = torch.promote_types(torch.promote_types(x.dtype, y.dtype), torch.float32)
        x = x.to(precision).masked_fill(~x_mask[..., None], 0.0)
        y = y.to(precision).masked_fill(~y_mask[..., None], 0.0)
        # Distances do not change when all points move; a shift to the common centre spares rounding.
        centre = _centre(x, y, x_mask, y_mask)
        x, y = x - centre, y - centre
        distances = [_squared_distances(*pair) for pair in ((x, y), (x, x), (y, y))]
        pairs = [
            u[:, :, None] & v[:, None, :] for u, v in ((x_mask, y_mask), (x_mask, x_mask), (y_mask, y_mask))
        ]
        if isinstance(sigma, str):
            sigma = _median_distance(distances, pairs)[:, None, None]
        cross, own_x, own_y = (_log_kernel_sum(d, p, sigma) for d, p in zip(distances, pairs))
        return (own_x + own_y) / 2 - cross


def _centre(x: Tensor, y: Tensor, x_mask: Tensor, y_mask: Tensor) -> Tensor:
    count = x_mask.sum(1) + y_mask.sum(1)
    return ((x.sum(1) + y.sum(1)) / count.clamp(min=1)[:, None])[:, None].detach()


def _squared_distances(x: Tensor, y: Tensor) -> Tensor:
    """[B, N, D], [B, M, D] -> [B, N, M], without the [B, N, M, D] difference; smooth at distance 0."""
    squared = x.square().sum(-1)[:, :, None] + y.square().sum(-1)[:, None, :]
    return (squared - 2.0 * x @ y.mT).clamp(min=0.0)


def _log_kernel_sum(distances: Tensor, pairs: Tensor, sigma: float | Tensor) -> Tensor:
    exponents = -distances / (2.0 * sigma**2)
    return exponents.masked_fill(~pairs, _NEVER).flatten(1).logsumexp(1)


@torch.no_grad()
def _median_distance(distances: list[Tensor], pairs: list[Tensor]) -> Tensor:
    """Median over the pairs of different points, [B]; the diagonals (each point with itself) stay out."""
    cross, *own = (d.masked_fill(~p, torch.nan) for d, p in zip(distances, pairs))
    upper = [d[:, *torch.triu_indices(d.shape[1], d.shape[1], 1, device=d.device)] for d in own]
    pooled = torch.cat([cross.flatten(1), *upper], 1)
    return pooled.nanmedian(1).values.sqrt().clamp(min=torch.finfo(pooled.dtype).eps)
