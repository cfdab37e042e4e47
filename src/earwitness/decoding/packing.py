"""Left padding, so that the last position of every row is its last real token."""

from __future__ import annotations

import torch

from earwitness.embeds import Embeds


def pack_right(x: Embeds) -> Embeds:
    """The same tokens in the same order, padding on the left, and no more of it than the longest row needs.

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
    return Embeds(values.masked_fill(~mask[..., None], 0.0), mask)  # nothing odd at padding, such as nan
