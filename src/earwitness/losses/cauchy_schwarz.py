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

from typing import Any, Literal

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

ROWS = 512  # of a kernel matrix at once
MEDIAN_POINTS = 2048  # of a sample that its median distance is taken over

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
        if isinstance(sigma, str):
            sigma = _median_distance(x, y, x_mask, y_mask)
        sigma = torch.as_tensor(sigma, dtype=precision, device=x.device).expand(len(x))
        cross = log_kernel_sum(x, y, sigma, x_mask, y_mask)
        own_x, own_y = (log_kernel_sum(u, u, sigma, m, m) for u, m in ((x, x_mask), (y, y_mask)))
        return (own_x + own_y) / 2 - cross


def _centre(x: Tensor, y: Tensor, x_mask: Tensor, y_mask: Tensor) -> Tensor:
    count = x_mask.sum(1) + y_mask.sum(1)
    return ((x.sum(1) + y.sum(1)) / count.clamp(min=1)[:, None])[:, None].detach()


def _squared_distances(x: Tensor, y: Tensor) -> Tensor:
    """[B, N, D], [B, M, D] -> [B, N, M], without the [B, N, M, D] difference."""
    squared = x.square().sum(-1)[:, :, None] + y.square().sum(-1)[:, None, :]
    return torch.baddbmm(squared, x, y.mT, alpha=-2.0).clamp_(min=0.0)


def log_kernel_sum(x: Tensor, y: Tensor, sigma: Tensor, x_mask: Tensor, y_mask: Tensor) -> Tensor:
    """log sum_ij k(x_i, y_j) of each clip, [B]. x: [B, N, D]. y: [B, M, D]. sigma: [B], without gradient.

    Rows of kernels are made ROWS at a time and thrown away, so memory grows with N + M and not with N x M:
    a sum's gradient is known but for its scale as soon as the sum is, so it is gathered on the way.
    """
    value: Tensor = _LogKernelSum.apply(x, y, sigma, x_mask, y_mask)
    return value


class _LogKernelSum(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: FunctionCtx, x: Tensor, y: Tensor, sigma: Tensor, x_mask: Tensor, y_mask: Tensor
    ) -> Tensor:
        alike = x is y  # then each pair is met twice and one side's gradient is the other's
        wanted = ctx.needs_input_grad[:2]  # type: ignore[attr-defined]
        precision = 1 / sigma[:, None, None].square()
        largest = x.new_full((len(x), 1, 1), torch.finfo(x.dtype).min)
        total = torch.zeros_like(largest)
        grad_x = torch.zeros_like(x) if wanted[0] else None
        grad_y = torch.zeros_like(y) if wanted[1] and not alike else None
        for first in range(0, x.shape[1], ROWS):
            rows = slice(first, first + ROWS)
            part = x[:, rows]
            exponents = _squared_distances(part, y).mul_(-0.5 * precision)
            exponents.masked_fill_(~(x_mask[:, rows, None] & y_mask[:, None]), _NEVER)
            before, largest = largest, torch.maximum(largest, exponents.amax((1, 2), keepdim=True))
            shrunk = (before - largest).exp()
            kernels = exponents.sub_(largest).exp_()  # [B, ROWS, M]
            total = total * shrunk + kernels.sum((1, 2), keepdim=True)
            if grad_x is not None:
                grad_x[:, :first] *= shrunk
                grad_x[:, rows] = kernels @ y - kernels.sum(2, keepdim=True) * part
            if grad_y is not None:
                grad_y *= shrunk
                grad_y += kernels.mT @ part - kernels.sum(1)[..., None] * y
        scale = (2 if alike else 1) * precision / total
        ctx.gradients = [g if g is None else g.mul_(scale) for g in (grad_x, grad_y)]  # type: ignore[attr-defined]
        return (largest + total.log()).flatten()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        scale = upstream[:, None, None]
        return *(g if g is None else g * scale for g in ctx.gradients), None, None, None


@torch.no_grad()
def _median_distance(x: Tensor, y: Tensor, x_mask: Tensor, y_mask: Tensor) -> Tensor:
    """Median distance between different points of the two samples, [B], of at most MEDIAN_POINTS of each."""
    (x, x_mask), (y, y_mask) = (
        (u[:, :: (step := -(-u.shape[1] // MEDIAN_POINTS))], m[:, ::step])
        for u, m in ((x, x_mask), (y, y_mask))
    )
    both, counted = torch.cat([x, y], 1), torch.cat([x_mask, y_mask], 1)
    upper = torch.triu_indices(both.shape[1], both.shape[1], 1, device=x.device)
    pairs = (counted[:, :, None] & counted[:, None])[:, *upper]
    pooled = _squared_distances(both, both)[:, *upper].masked_fill(~pairs, torch.nan)
    return pooled.nanmedian(1).values.sqrt().clamp(min=torch.finfo(x.dtype).eps)
