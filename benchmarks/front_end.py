"""From file to tokens: decoding, resampling, log-mel and CED, against the same equations written plainly.

    python -m benchmarks front_end [--sizes tiny base] [--batches 1 8 32] [--threads 2]

The plain form is eager fp32: whole files through soundfile and a windowed-sinc resampler of one convolution a
file, a spectrogram clip by clip, attention written out as two products and a softmax. Both give the same
tokens, which is checked. The limit is CED's products of matrices at the measured rate, nothing else. With one
thread the processor's own time is counted, so that the figures hold on a busy machine too.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile
import soxr
import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.limits import matmul_rate
from benchmarks.record import Row, fair_clock, report, side_by_side
from earwitness import features
from earwitness.encoders import CedEncoder
from earwitness.encoders.ced import SIZES
from earwitness.media.files import find_media
from earwitness.media.reading import load_audio
from earwitness.sample_rate import SAMPLE_RATE

EXAMPLES = Path(__file__).parents[1] / "examples"
SECONDS = 10
RATE = SAMPLE_RATE


def plain_decode(file: Path) -> np.ndarray:
    sound, rate = soundfile.read(file, dtype="float32", always_2d=True)
    return soxr.resample(sound.mean(1), rate, RATE)


def plain_log_mel(waveform: Tensor) -> Tensor:
    """[S] -> [64, F] dB, as torchaudio computes it."""
    window = torch.hann_window(features.N_FFT)
    spectrum = torch.stft(waveform, features.N_FFT, features.HOP, window=window, return_complex=True)
    power = features.mel_filterbank().T @ spectrum.abs().pow(2)
    decibel = 10 * power.clamp(min=1e-10).log10()
    return decibel.clamp(min=decibel.max() - features.TOP_DB)


def plain_ced(encoder: CedEncoder, log_mel: Tensor) -> Tensor:
    """[B, 64, F] -> tokens [B, N, D] in the published order, with the encoder's weights."""
    norm = encoder.init_bn
    x = F.batch_norm(
        log_mel.transpose(1, 2).flatten(0, 1), norm.running_mean, norm.running_var, norm.weight, norm.bias
    )
    x = x.unflatten(0, (len(log_mel), -1)).transpose(1, 2)
    x = encoder.patch_embed(x[:, None])
    x = x + encoder.time_pos_embed[..., : x.shape[-1]] + encoder.freq_pos_embed
    x = x.flatten(2).transpose(1, 2)
    for block in encoder.blocks:
        x = x + plain_attention(block.attn, block.norm1(x))
        x = x + block.mlp.fc2(F.gelu(block.mlp.fc1(block.norm2(x))))
    return encoder.norm(x)


def plain_attention(layer: torch.nn.Module, x: Tensor) -> Tensor:
    batch, tokens, dim = x.shape
    q, k, v = (
        project(x).reshape(batch, tokens, layer.heads, -1).transpose(1, 2)
        for project in (layer.q_proj, layer.k_proj, layer.v_proj)
    )
    weights = (q @ k.transpose(-2, -1) / math.sqrt(dim // layer.heads)).softmax(-1)
    return layer.proj((weights @ v).transpose(1, 2).reshape(batch, tokens, dim))


def operations(encoder: CedEncoder, tokens: int) -> float:
    """Of one clip's matrix products: 2 a weight and token, and 4 N^2 D a block for attention."""
    weights = sum(p.numel() for p in encoder.blocks.parameters()) + encoder.patch_embed.weight.numel()
    return 2.0 * weights * tokens + 4.0 * tokens**2 * encoder.dim * len(encoder.blocks)


def rows_of(size: str, count: int, files: list[Path], repeats: int, rate: float) -> list[Row]:
    torch.manual_seed(0)
    encoder = CedEncoder(**SIZES[size]).eval()
    chosen = [files[i % len(files)] for i in range(count)]

    def sounds(load: Callable[[Path], np.ndarray]) -> Tensor:
        return torch.from_numpy(np.stack([np.resize(load(file), SECONDS * RATE) for file in chosen]))

    waveforms = sounds(lambda file: load_audio(file, RATE).waveform)
    mel = features.log_mel(waveforms)
    plain_mel = lambda batch: torch.stack([plain_log_mel(clip) for clip in batch])  # noqa: E731
    difference = (encoder(waveforms).values - plain_ced(encoder, plain_mel(waveforms))).abs().max().item()
    assert difference < 1e-3, f"the two forms differ by {difference}"
    times = side_by_side(
        repeats,
        decode=lambda: sounds(lambda file: load_audio(file, RATE).waveform),
        plain_decode=lambda: sounds(plain_decode),
        mel=lambda: features.log_mel(waveforms),
        plain_mel=lambda: plain_mel(waveforms),
        ced=lambda: encoder.encode_log_mel(mel),
        plain_ced=lambda: plain_ced(encoder, mel),
    )
    limit = operations(encoder, 4 * (mel.shape[-1] // 16)) / rate * 1000
    per_clip = {name: 1000 * seconds / count for name, seconds in times.items()}
    whole = sum(per_clip[name] for name in ("decode", "mel", "ced"))
    plain = sum(per_clip["plain_" + name] for name in ("decode", "mel", "ced"))
    where = f"CED-{size}, batch {count}"
    wanted = ">= 1.3 x, at most twice the limit" if count == 8 else ""
    return [
        Row(f"{where}: decode and resample", "ms/clip", per_clip["decode"], per_clip["plain_decode"]),
        Row(f"{where}: log-mel", "ms/clip", per_clip["mel"], per_clip["plain_mel"]),
        Row(f"{where}: encoder", "ms/clip", per_clip["ced"], per_clip["plain_ced"], limit),
        Row(f"{where}: all", "ms/clip", whole, plain, limit, wanted),
    ]


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", nargs="+", default=["tiny", "base"], choices=SIZES)
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 8, 32])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    files = [file for file in find_media(EXAMPLES) if file.suffix in (".opus", ".flac")]
    rate = matmul_rate()
    rows = []
    for size in options.sizes:
        for count in options.batches:
            rows += rows_of(size, count, files, options.repeats, rate)
    report("front_end", rows, matmul_flops=rate, clock=fair_clock().__name__)


if __name__ == "__main__":
    main()
