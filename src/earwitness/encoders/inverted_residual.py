"""The blocks of MobileNetV3 (Howard et al. 2019), with a mask over padded frames.

The modules carry the names of EfficientAT's state dicts. Inputs are [B, C, bands, T]; masks are [B, T], True
where a frame is real, or None where nothing is padded. Padded frames come out as zeros, so that a clip alone
equals a clip in a batch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

BATCH_NORM_EPS = 1e-3
SQUEEZE_DIVISOR = 4  # the squeeze-excitation's inner width is the expanded width / 4


def multiple_of_eight(width: float) -> int:
    """The multiple of 8 nearest to `width`, never more than 10 % below it (MobileNet's rule)."""
    rounded = max(8, int(width + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * width else rounded


@dataclass(frozen=True)
class BlockShape:
    """One inverted residual at width 1."""

    kernel: int
    expanded: int
    out: int
    squeeze: bool
    hard_swish: bool
    stride: int


class ConvNorm(nn.Sequential):
    """Convolution, batch norm, activation. Without gradients the norm is folded into the convolution."""

    def __init__(
        self,
        width_in: int,
        width: int,
        kernel: int = 1,
        stride: int = 1,
        groups: int = 1,
        activation: nn.Module | None = None,
    ) -> None:
        conv = nn.Conv2d(width_in, width, kernel, stride, kernel // 2, groups=groups, bias=False)
        norm = nn.BatchNorm2d(width, eps=BATCH_NORM_EPS, momentum=0.01)
        super().__init__(conv, norm, *([activation] if activation is not None else []))
        self.stride = stride

    def forward(  # type: ignore[override]
        self, x: Tensor, mask: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        conv, norm, *activation = self
        at_rest = not (self.training or torch.is_grad_enabled())
        x = _folded(conv, norm, x) if at_rest else norm(conv(x))
        for layer in activation:
            x = layer(x)
        if mask is None:
            return x, None
        mask = mask[:, :: self.stride]
        return x * mask[:, None, None], mask


def _folded(conv: Any, norm: Any, x: Tensor) -> Tensor:
    """norm(conv(x)) of a norm in evaluation mode, in the convolution's own pass over the memory."""
    statistics = norm.running_mean, norm.running_var, norm.eps
    weight, bias = fuse_conv_bn_weights(conv.weight, None, *statistics, norm.weight, norm.bias)
    return F.conv2d(x, weight, bias, conv.stride, conv.padding, conv.dilation, conv.groups)


class SqueezeExcitation(nn.Module):
    """Each channel scaled by what two linear layers make of all channels' means."""

    def __init__(self, width: int, squeezed: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, squeezed)
        self.fc2 = nn.Linear(squeezed, width)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        scale = self.fc2(torch.relu(self.fc1(pooled(x, mask)))).sigmoid()
        return x * scale[:, :, None, None]


class ConcurrentSqueezeExcitation(nn.Module):
    """The authors' list of squeeze-excitations, one an axis; their published models squeeze channels only."""

    def __init__(self, width: int, squeezed: int) -> None:
        super().__init__()
        self.conc_se_layers = nn.ModuleList([SqueezeExcitation(width, squeezed)])

    def forward(self, x: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor | None]:
        return self.conc_se_layers[0](x, mask), mask


def pooled(x: Tensor, mask: Tensor | None) -> Tensor:
    """Mean over frequency and the real frames: [B, C, bands, T] -> [B, C]. Padded frames must be zero."""
    if mask is None:
        return x.mean((2, 3))
    return x.sum((2, 3)) / (mask.sum(1, keepdim=True).clamp(min=1) * x.shape[2])


class InvertedResidual(nn.Module):
    """Expand 1x1, depthwise k x k, squeeze-excitation, project 1x1; the input is added where shapes agree."""

    def __init__(self, width_in: int, expanded: int, width: int, shape: BlockShape) -> None:
        super().__init__()
        activation = nn.Hardswish if shape.hard_swish else nn.ReLU
        layers: list[nn.Module] = []
        if expanded != width_in:
            layers.append(ConvNorm(width_in, expanded, activation=activation()))
        layers.append(ConvNorm(expanded, expanded, shape.kernel, shape.stride, expanded, activation()))
        if shape.squeeze:
            layers.append(
                ConcurrentSqueezeExcitation(expanded, multiple_of_eight(expanded / SQUEEZE_DIVISOR))
            )
        layers.append(ConvNorm(expanded, width))
        self.block = nn.ModuleList(layers)
        self.residual = shape.stride == 1 and width_in == width

    def forward(self, x: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor | None]:
        y = x
        for layer in self.block:
            y, mask = layer(y, mask)
        return (x + y if self.residual else y), mask
