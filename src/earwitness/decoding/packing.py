"""Padding on the left, so that the last position of every row is its last real token; joined batches."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from earwitness.embeds import Embeds


def pack_right(x: Embeds) -> Embeds:
    """Move padding to the left and trim it to the longest row; the order of tokens is unchanged.

    Raises ValueError if a row has no real token at all.
    """
    lengths = x.mask.sum(1)
    shortest, longest = (int(n) for n in torch.stack([lengths.min(), lengths.max()]).tolist())
    if shortest == 0:
        raise ValueError(f"rows {(lengths == 0).nonzero().flatten().tolist()} have no token to caption from")
    if shortest == x.mask.shape[1]:
        return x
    order = x.mask.to(torch.uint8).argsort(dim=1, stable=True)[:, -longest:]  # padding first
    mask = x.mask.gather(1, order)
    values = x.values.gather(1, order[..., None].expand(-1, -1, x.values.shape[-1]))
    return Embeds(values.masked_fill(~mask[..., None], 0.0), mask)  # zeros at padding, which may be nan


def stack_rows(batches: Sequence[Embeds]) -> Embeds:
    """Stack the rows of several batches, shorter ones padded on the right."""
    longest = max(x.mask.shape[1] for x in batches)
    padded = [_lengthened(x, longest) for x in batches]
    return Embeds(torch.cat([x.values for x in padded]), torch.cat([x.mask for x in padded]))


def hidden_from_each_other(masks: Sequence[Tensor], dtype: torch.dtype) -> Tensor:
    """Attention mask of several sequences that share a row: bool [B, N_k] each -> additive [B, 1, N, N].

    0 for the token itself and the real ones before it in its sequence; elsewhere the lowest number of
    `dtype`.
    """
    real = torch.cat(list(masks), 1)  # [B, N]
    size = torch.arange(real.shape[1], device=real.device)
    bounds = torch.tensor([m.shape[1] for m in masks], device=real.device).cumsum(0)
    own = torch.bucketize(size, bounds, right=True)  # which sequence a position belongs to
    earlier = (own[:, None] == own) & (size[:, None] > size)  # [N, N], of query and key
    readable = (earlier & real[:, None]) | (size[:, None] == size)
    lowest = torch.finfo(dtype).min
    return torch.zeros(readable.shape, dtype=dtype, device=real.device).masked_fill(~readable, lowest)[
        :, None
    ]


def choose_rows(first: Sequence[bool], a: Embeds, b: Embeds) -> Embeds:
    """Take row i of a where first[i], else of b. If all rows are of one batch, return that batch."""
    if all(first):
        return a
    if not any(first):
        return b
    longest = max(a.mask.shape[1], b.mask.shape[1])
    a, b = _lengthened(a, longest), _lengthened(b, longest)
    rows = torch.tensor(list(first), device=a.mask.device)[:, None]
    return Embeds(torch.where(rows[..., None], a.values, b.values), torch.where(rows, a.mask, b.mask))


def _lengthened(x: Embeds, length: int) -> Embeds:
    missing = length - x.mask.shape[1]
    return Embeds(F.pad(x.values, (0, 0, 0, missing)), F.pad(x.mask, (0, missing)))
