"""Blocks of the vision transformer: what is overwritten without gradients equals what gradients are for."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from earwitness.encoders.vit import Block


class Doubled(nn.Linear):
    """More than its matrix, as a layer with LoRA is."""

    def forward(self, x: Tensor) -> Tensor:
        return 2 * super().forward(x)


@pytest.mark.parametrize("last", [nn.Linear, Doubled])
def test_a_block_gives_the_same_with_and_without_gradients(last):
    torch.manual_seed(0)
    block = Block(dim=16, heads=2).eval()
    block.attn.proj, block.mlp.fc2 = last(16, 16), last(64, 16)
    x = torch.randn(3, 5, 16)
    mask = torch.tensor([[True] * 5, [True] * 3 + [False] * 2, [True] + [False] * 4])
    expected = block(x, mask)
    with torch.no_grad():
        assert torch.allclose(block(x.clone(), mask), expected, rtol=0, atol=1e-6)
        with torch.autocast("cpu", torch.bfloat16):
            assert torch.allclose(block(x.clone(), mask), expected, rtol=0, atol=0.1)
