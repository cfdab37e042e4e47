"""A small convolutional encoder, cheap enough to train on two CPU cores.

Log-mel -> residual convolutions that shrink time and frequency 16 times -> one token per 160 ms.
Two tag heads: one for every token (scenes know when each recording sounds), so that tags come with times,
and one for the clip, from the mean and the maximum of its tokens; a clip's tags use both.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from earwitness.embeds import Embeds, length_mask
from earwitness.encoders.freezable import Freezable
from earwitness.features import N_MELS, frame_counts, log_mel
from earwitness.sample_rate import SAMPLE_RATE

TOKEN_FRAMES = 16  # 160 ms of 10 ms frames: four halvings
LEVEL_RANGE = 70.0  # dB kept below the clip's own loudness
LEVEL_SCALE = 20.0  # dB per unit of the network's input


def normalise_level(mel_db: Tensor, mask: Tensor) -> Tensor:
    """Log-mel [B, 64, F] dB, mask [B, F] -> the same, relative to each clip's mean power, padding 0.

    A recording's absolute level says how the knob was set, not what sounded.
    """
    power = (10.0 ** (mel_db / 10)).mean(1)  # [B, F]
    weight = mask.to(power.dtype)
    loudness = 10 * ((power * weight).sum(1) / weight.sum(1).clamp(min=1)).clamp(min=1e-10).log10()
    relative = (mel_db - loudness[:, None, None]).clamp(min=-LEVEL_RANGE)
    return (relative / LEVEL_SCALE + 1.0) * weight[:, None]


class ConvUnit(nn.Module):
    """3x3 convolution, batch norm, ReLU; padding is zeroed so that a clip alone equals a clip in a batch."""

    def __init__(self, width_in: int, width: int, stride: int = 1, kernel: int = 3):
        super().__init__()
        self.conv = nn.Conv2d(width_in, width, kernel, stride, kernel // 2, bias=False)
        self.norm = nn.BatchNorm2d(width)
        self.stride = stride

    def forward(self, x: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """x [B, C, bands, T], mask [B, T] or None when nothing is padded."""
        x = torch.relu_(self._normalised(x))
        if mask is not None:
            mask = mask[:, :: self.stride]
            x = x * mask[:, None, None]
        return x, mask

    def _normalised(self, x: Tensor) -> Tensor:
        conv, norm = self.conv, self.norm
        if self.training or torch.is_grad_enabled():
            return norm(conv(x))
        # A norm in evaluation mode scales and shifts, which is folded into the convolution.
        assert norm.running_mean is not None and norm.running_var is not None
        statistics = norm.running_mean, norm.running_var, norm.eps
        weight, bias = fuse_conv_bn_weights(conv.weight, None, *statistics, norm.weight, norm.bias)
        return F.conv2d(x, weight, bias, conv.stride, conv.padding)


class Stage(nn.Module):
    """Halves time and frequency, then refines with a residual branch of `depth` convolutions."""

    def __init__(self, width_in: int, width: int, depth: int, kernel: int = 3):
        super().__init__()
        self.down = ConvUnit(width_in, width, 2, kernel)
        self.refine = nn.ModuleList(ConvUnit(width, width) for _ in range(depth))

    def forward(self, x: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor | None]:
        x, mask = self.down(x, mask)
        y = x
        for unit in self.refine:
            y, _ = unit(y, mask)
        return (x + y if self.refine else x), mask


class ConvEncoder(Freezable):
    """Waveforms [B, S] -> Embeds [B, ceil(F / 16), dim], and tags of tokens and of clips from these.

    widths, depths: channels and residual convolutions of the four stages, each of which halves time and
    frequency.
    """

    sample_rate = SAMPLE_RATE
    front_end = "log_mel"  # function of features.py and runtime/spectrogram.py that `compute_log_mel` calls
    token_frames = TOKEN_FRAMES

    def __init__(
        self,
        *,
        tags: Sequence[str],
        widths: Sequence[int] = (32, 64, 128, 256),
        depths: Sequence[int] = (0, 1, 1, 1),
        dim: int = 256,
        dropout: float = 0.1,
    ):
        super().__init__()
        self.tag_names, self.dim = list(tags), dim
        ins, kernels = [1, *widths[:-1]], [5, 3, 3, 3]
        self.stages = nn.ModuleList(Stage(*sizes) for sizes in zip(ins, widths, depths, kernels))
        self.project = nn.Linear(widths[-1] * (N_MELS // TOKEN_FRAMES), dim)
        self.norm = nn.LayerNorm(dim)
        self.dropout = nn.Dropout(dropout)
        self.tag_head = nn.Linear(dim, len(self.tag_names))
        self.clip_tag_head = nn.Linear(2 * dim, len(self.tag_names))
        for head in (self.tag_head, self.clip_tag_head):
            nn.init.constant_(head.bias, -4.0)  # most tags are absent: start from their base rate

    def forward(self, waveforms: Tensor, lengths: Tensor) -> Embeds:
        """waveforms [B, S] at 16 kHz, lengths [B] in samples."""
        return self.encode_log_mel(*self.compute_log_mel(waveforms, lengths))

    @staticmethod
    def compute_log_mel(waveforms: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """The front end alone, for loaders: waveforms [B, S] -> log-mel [B, 64, F], frames [B]."""
        return log_mel(waveforms, lengths), frame_counts(lengths)

    def encode_log_mel(self, mel_db: Tensor, frames: Tensor | None = None) -> Embeds:
        """Log-mel [B, 64, F] in dB, real frames [B] (default: all) -> Embeds [B, ceil(F / 16), dim]."""
        mask: Tensor | None = None
        if frames is not None:
            full = length_mask(frames.to(mel_db.device), mel_db.shape[-1])
            mask = None if bool(full.all()) else full
        real = torch.ones_like(mel_db[:, 0], dtype=torch.bool) if mask is None else mask
        x = normalise_level(mel_db.float(), real)[:, None].contiguous(memory_format=torch.channels_last)
        for stage in self.stages:
            x, mask = stage(x, mask)
        tokens = self.norm(self.project(x.permute(0, 3, 2, 1).flatten(2)))  # [B, N, bands * C] -> [B, N, dim]
        return Embeds.full(tokens) if mask is None else Embeds(tokens, mask)

    def tag_logits(self, h_a: Embeds) -> Tensor:
        """Tag logits of every token: [B, N, tags]."""
        return self.tag_head(self.dropout(h_a.values))

    def clip_tag_logits(self, h_a: Embeds) -> Tensor:
        """Tag logits of every clip, [B, tags]: the mean of what its head and its surest token say of each.

        A short sound in a long clip drowns in a mean over it; a token that holds it does not.
        """
        elsewhere = ~h_a.mask[..., None]
        once = h_a.values.masked_fill(elsewhere, float("-inf")).amax(1)
        whole = self.clip_tag_head(self.dropout(torch.cat([h_a.mean(), once], 1)))
        surest = self.tag_logits(h_a).masked_fill(elsewhere, float("-inf")).amax(1)
        return (whole + surest) / 2

    def tag_probabilities(self, h_a: Embeds) -> Tensor:
        """Probability that each tag sounds somewhere in the clip: [B, tags]."""
        return self.clip_tag_logits(h_a).sigmoid()
