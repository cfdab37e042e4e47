"""Batches that are spread over processes, for losses that compare or average over all their clips.

With both, the mean over processes of what each computes (its losses, and its gradients, which is what
DistributedDataParallel takes) equals what one process computes from the whole batch.
"""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed import _functional_collectives as collectives


def gather_batch(x: Tensor) -> Tensor:
    """[B, ...] of this process -> [processes x B, ...] of all, in order of rank, with gradient.

    Every process must hold the same B. Without gradient (evaluation) or with one process x comes back alone.
    """
    if not _spread():
        return x
    return _all_gather(x.contiguous(), 0, dist.group.WORLD)


def share(count: Tensor) -> Tensor:
    """count of this process over the mean count of all: what turns a mean over its items into its part of
    the mean over everyone's. 1 for one process and in evaluation.
    """
    total = count.detach().to(torch.float32)
    if not _spread():
        return torch.ones_like(total)
    own = total.clone()
    dist.all_reduce(total)
    return own * dist.get_world_size() / total.clamp(min=1)


def _spread() -> bool:
    return (
        torch.is_grad_enabled()
        and dist.is_available()
        and dist.is_initialized()
        and dist.get_world_size() > 1
    )


# torch 2.13 renamed it; torch.distributed.nn's is deprecated, and accelerate's gather has no gradient
_NAMES = ("all_gather_single_autograd", "all_gather_tensor_autograd")
_all_gather = next(getattr(collectives, name) for name in _NAMES if hasattr(collectives, name))
