"""SpectrogramEncoder: a vision transformer over patches of a spectrogram, the common body of CED and Dasheng.

waveform --front end--> [B, 64, F] --BatchNorm over mel bins--> chunks --patches--> transformer --> tokens
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from earwitness import features
from earwitness.embeds import Embeds, length_mask
from earwitness.encoders.freezable import Freezable
from earwitness.encoders.vit import NORM_EPS, Block
from earwitness.sample_rate import SAMPLE_RATE

Choice = TypeVar("Choice")
FrontEnd = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


def log_mel_front_end(waveforms: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """Waveforms [B, S], lengths [B] -> log-mel in dB [B, 64, F], frames [B]."""
    return features.log_mel(waveforms, lengths), features.frame_counts(lengths)


def batch_log_mel_front_end(waveforms: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """As the released code of LOAE and DistillCaps: padding is sound, one floor holds for the whole batch.

    It is 120 dB below the loudest value of the batch, so that a clip's features depend on its batch.
    """
    db = features.power_to_db(features.power_mel(waveforms), top_db=None)
    return db.clamp(min=db.max() - features.TOP_DB), torch.full_like(lengths, db.shape[-1])


def fbank_front_end(waveforms: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """Waveforms [B, S], lengths [B] -> normalised Kaldi filterbank [B, 64, F], frames [B]."""
    fbank = features.kaldi_fbank(waveforms, lengths)
    return features.normalize_fbank(fbank), features.fbank_frame_counts(lengths)


def padded_fbank_front_end(waveforms: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """As LAVCap's released code: zero-padded to 1024 frames, then normalised, all of it taken for sound."""
    fbank = features.kaldi_fbank(waveforms, lengths)
    counts = features.fbank_frame_counts(lengths)
    fbank = fbank.masked_fill(~length_mask(counts, fbank.shape[-1])[:, None], 0.0)
    return features.pad_then_normalize_fbank(fbank), torch.full_like(lengths, features.FBANK_FRAMES)


FRONT_ENDS: dict[str, FrontEnd] = {
    "log_mel": log_mel_front_end,
    "batch_log_mel": batch_log_mel_front_end,
    "fbank": fbank_front_end,
    "padded_fbank": padded_fbank_front_end,
}


def trim(embeds: Embeds) -> Embeds:
    """Without the trailing tokens that are padding in every clip."""
    longest = int(embeds.mask.sum(1).max())  # in time order the real tokens come first
    return Embeds(embeds.values[:, :longest], embeds.mask[:, :longest])


def frequency_major(grid: Tensor, mask: Tensor) -> Embeds:
    """The published order: chunk after chunk, and in each all steps of band 0, then of band 1, ..."""
    _, _, bands, _, _ = grid.shape  # [B, C, bands, T, D]
    return Embeds(grid.flatten(1, 3), mask[:, :, None].expand(-1, -1, bands, -1).flatten(1))


def time_major(grid: Tensor, mask: Tensor) -> Embeds:
    """Time order: the bands of step 0 (low to high), then those of step 1, ..."""
    bands = grid.shape[2]
    return trim(
        Embeds(grid.transpose(2, 3).flatten(1, 3), mask[..., None].expand(-1, -1, -1, bands).flatten(1))
    )


def band_average(grid: Tensor, mask: Tensor) -> Embeds:
    """Time order, one token a step: the mean over the bands."""
    return trim(Embeds(grid.mean(2).flatten(1, 2), mask.flatten(1)))


TOKEN_ORDERS: dict[str, Callable[[Tensor, Tensor], Embeds]] = {
    "frequency": frequency_major,
    "time": time_major,
    "band_average": band_average,
}


def choose(table: Mapping[str, Choice], name: str, what: str) -> Choice:
    """table[name], or a ValueError that lists what there is."""
    if name not in table:
        raise ValueError(f"unknown {what} {name!r}; choose one of {', '.join(map(repr, table))}")
    return table[name]


class MelBatchNorm(nn.BatchNorm1d):
    """BatchNorm over mel bins that learns from real frames only, and not at all once it is frozen.

    A plain BatchNorm with frozen weights still moves its running statistics in training mode, so that a
    "frozen" encoder drifts; this one uses its running statistics whenever its weight needs no gradient.
    """

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """x: [B, n_mels, F]. mask: bool [B, F], True where a frame is real."""
        if not (self.training and self.weight.requires_grad):
            assert self.running_mean is not None and self.running_var is not None
            scale = self.weight.float() * (self.running_var.float() + self.eps).rsqrt()
            shift = self.bias.float() - self.running_mean.float() * scale
            return x.float() * scale[:, None] + shift[:, None]
        if mask is None:
            return super().forward(x)
        frames = x.transpose(1, 2)  # [B, F, n_mels]
        normalized = torch.zeros_like(frames)
        normalized[mask] = super().forward(frames[mask])
        return normalized.transpose(1, 2)


class SpectrogramEncoder(Freezable):
    """Waveforms -> Embeds. Clips longer than `chunk_frames` are cut into chunks that are encoded one by one.

    dim: width of the tokens. depth, heads: of the transformer. patch: mel bins and frames of one patch.
    chunk_frames: the longest stretch of frames attended to at once; it fixes the time position table.
    front_end: a key of FRONT_ENDS. token_order: a key of TOKEN_ORDERS.
    """

    sample_rate = SAMPLE_RATE

    def __init__(
        self,
        *,
        dim: int,
        depth: int,
        heads: int,
        patch: tuple[int, int],
        chunk_frames: int,
        mlp_ratio: float = 4.0,
        dropout: float = 0.0,
        front_end: str = "log_mel",
        token_order: str = "frequency",
    ) -> None:
        super().__init__()
        self.dim, self.patch, self.chunk_frames = dim, patch, chunk_frames
        self.bands, self.steps = features.N_MELS // patch[0], chunk_frames // patch[1]
        self.front_end: FrontEnd = choose(FRONT_ENDS, front_end, "front_end")
        self.order_tokens = choose(TOKEN_ORDERS, token_order, "token_order")
        self.tokens_per_step = 1 if token_order == "band_average" else self.bands
        self.init_bn: nn.Module = MelBatchNorm(features.N_MELS, momentum=0.01)
        self.patch_embed = nn.Conv2d(1, dim, patch, stride=patch)
        self.time_pos_embed = nn.Parameter(0.02 * torch.randn(1, dim, 1, self.steps))
        self.freq_pos_embed = nn.Parameter(0.02 * torch.randn(1, dim, self.bands, 1))
        self.blocks = nn.ModuleList(
            Block(dim=dim, heads=heads, mlp_ratio=mlp_ratio, dropout=dropout) for _ in range(depth)
        )
        self.norm = nn.LayerNorm(dim, eps=NORM_EPS)

    @property
    def tokens_per_second(self) -> float:
        """Real tokens a second of sound gives, in the chosen token order."""
        return SAMPLE_RATE / features.HOP / self.patch[1] * self.tokens_per_step

    def forward(self, waveforms: Tensor, lengths: Tensor | None = None) -> Embeds:
        """waveforms: [B, S] in [-1, 1] at 16 kHz. lengths: [B] real samples (default: all).

        Returns values [B, N_a, D]. A clip shorter than one patch counts as followed by average sound, so
        every clip has a token.
        """
        if waveforms.ndim != 2:
            raise ValueError(f"waveforms must be [B, S], got shape {tuple(waveforms.shape)}")
        return self.encode_log_mel(*self.compute_log_mel(waveforms, lengths))

    def compute_log_mel(self, waveforms: Tensor, lengths: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The front end alone, for loaders: waveforms [B, S] -> features [B, 64, F], frames [B]."""
        if lengths is None:
            lengths = features.full_lengths(waveforms)
        return self.front_end(waveforms, lengths.to(waveforms.device))

    def encode_log_mel(self, log_mel: Tensor, frame_lengths: Tensor | None = None) -> Embeds:
        """As forward, from the front end's features [B, 64, F] and their real frames [B] (default: all)."""
        width = self.patch[1]
        if frame_lengths is None:
            frame_lengths = torch.full((len(log_mel),), log_mel.shape[-1], device=log_mel.device)
        log_mel = F.pad(log_mel, (0, max(0, width - log_mel.shape[-1])))
        real = length_mask(frame_lengths.to(log_mel.device), log_mel.shape[-1])
        x = self.init_bn(log_mel, real).masked_fill(~real[:, None], 0.0)
        counts = frame_lengths.to(x.device).clamp(width, x.shape[-1])
        chunks, frames = split_chunks(x, counts, self.chunk_frames, width)
        steps = frames // width  # [B, C]
        used = steps > 0  # some clips of the batch have fewer chunks
        encoded = self.encode_chunks(chunks[used], steps[used])
        grid = encoded.new_zeros(*used.shape, *encoded.shape[1:])
        grid[used] = encoded
        return self.order_tokens(grid, length_mask(steps.flatten(), grid.shape[3]).unflatten(0, used.shape))

    def encode_chunks(self, chunks: Tensor, steps: Tensor | None = None) -> Tensor:
        """Normalised chunks [R, 64, F] -> tokens [R, bands, T, D], T = F // patch frames.

        steps: [R] real steps of each chunk; the others are not attended to and come out as zeros.
        """
        x = self.patch_embed(chunks[:, None].to(self.patch_embed.weight.dtype))  # [R, D, bands, T]
        x = x + (self.time_pos_embed[..., : x.shape[-1]] + self.freq_pos_embed)
        grid_shape = x.shape[2:]
        x = x.flatten(2).transpose(1, 2).contiguous()  # [R, bands * T, D], or every block would stride
        mask = None
        if steps is not None and not bool((steps == grid_shape[1]).all()):  # no mask: the faster kernels
            mask = length_mask(steps, grid_shape[1]).repeat(1, grid_shape[0])
        for block in self.blocks:
            x = block(x, mask)
        x = self.norm(x)
        if mask is not None:
            x = x.masked_fill(~mask[..., None], 0.0)
        return x.unflatten(1, grid_shape)


def split_chunks(x: Tensor, frames: Tensor, size: int, width: int) -> tuple[Tensor, Tensor]:
    """[B, 64, F] and real frames [B] -> chunks [B, C, 64, W] and real frames [B, C] in each.

    W = size, or less where one chunk suffices. A last chunk without a whole patch of `width` is left out.
    """
    longest = int(frames.max())
    full, rest = divmod(longest, size)
    count = max(1, full + (rest >= width))
    span = size if count > 1 else min(longest, size)
    x = F.pad(x, (0, count * span - x.shape[-1]))  # a negative pad cuts
    starts = span * torch.arange(count, device=x.device)
    return x.unflatten(-1, (count, span)).transpose(1, 2), (frames[:, None] - starts).clamp(0, span)
