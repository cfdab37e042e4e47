"""FFT adapter: a map of the tokens' spectrum along the token axis (DistillCaps, Eq. 2-5)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from earwitness.embeds import Embeds


class FftAdapter(nn.Module):
    """Embeds [B, N, dim] -> Embeds [B, N, dim]; the mask is unchanged, each clip has its own spectrum.

    fidelity "paper": Fourier transform over the tokens, one linear map (W, b) of the real and of the
    imaginary part, inverse transform, real part. Since W is the same at every frequency it commutes with the
    transform, and since the spectrum of a single impulse is flat, b ends up on the first token alone:
    y[t] = W x[t] + b [t = 0]. That is what is computed, exactly and without a transform.
    fidelity "released": the code subtracts the imaginary part, which also reverses time around token 0:
    y[t] = W x[-t mod n] + b [t = 0].
    """

    def __init__(self, *, dim: int, fidelity: Literal["paper", "released"] = "paper") -> None:
        super().__init__()
        self.linear = nn.Linear(dim, dim)
        self.fidelity = fidelity

    def forward(self, x: Embeds) -> Embeds:
        values = reverse_time(x) if self.fidelity == "released" else x.values
        first = x.mask & (x.mask.cumsum(1) == 1)  # [B, N]
        mapped = F.linear(values, self.linear.weight)
        return Embeds(mapped + first[..., None] * self.linear.bias, x.mask)


class SpectralAdapter(nn.Module):
    """Learnable filter along time: one complex gain per frequency and channel, then a linear map.

    What DistillCaps' equations cannot do with one W for all frequencies; the idea is that of global filters
    (Rao et al. 2021). Embeds [B, N, dim] -> Embeds [B, N, dim]. The gains are at `bins` frequencies from 0
    to half a cycle a frame and are interpolated between, so a filter means the same at every clip length;
    they start at 1. Tokens must be in time order, the `bands` tokens of a frame side by side; each band is
    filtered by itself. fp32 at least, under autocast too.
    """

    def __init__(self, *, dim: int, bins: int = 32, bands: int = 1) -> None:
        super().__init__()
        if bins < 2 or bands < 1:
            raise ValueError(f"bins must be at least 2 and bands at least 1, not {bins} and {bands}")
        self.bands = bands
        gain = torch.zeros(bins, dim, 2)  # real and imaginary part
        gain[..., 0] = 1.0
        self.gain = nn.Parameter(gain)
        self.linear = nn.Linear(dim, dim)

    def forward(self, x: Embeds) -> Embeds:
        order = real_first(x.mask)
        index = order[..., None].expand_as(x.values)
        packed = x.values.gather(1, index)
        filtered = torch.zeros_like(packed)
        lengths = x.mask.sum(1)
        for length in lengths.unique().tolist():  # padding inside a transform would change the filter
            if length:
                rows = (lengths == length).nonzero().flatten()
                filtered[rows, :length] = self._filter(packed[rows, :length]).to(packed.dtype)
        return Embeds(self.linear(torch.zeros_like(packed).scatter(1, index, filtered)), x.mask)

    def _filter(self, x: Tensor) -> Tensor:
        """[B, n, D], all real, filtered along time."""
        if x.shape[1] % self.bands:
            raise ValueError(f"{x.shape[1]} tokens are not a whole number of frames of {self.bands} bands")
        with torch.autocast(x.device.type, enabled=False):
            x = x.to(torch.promote_types(x.dtype, torch.float32)).unflatten(1, (-1, self.bands))
            spectrum = torch.fft.rfft(x, dim=1)  # [B, n / 2 + 1, bands, D]
            gain = self.gains(x.shape[1]).to(spectrum.dtype)
            return torch.fft.irfft(spectrum * gain[:, None], n=x.shape[1], dim=1).flatten(1, 2)

    def gains(self, frames: int) -> Tensor:
        """The complex gains at the frequencies of a clip of so many frames: [frames // 2 + 1, dim]."""
        bins = self.gain.shape[0]
        at = torch.arange(frames // 2 + 1, device=self.gain.device) / frames * 2 * (bins - 1)
        low = at.long().clamp(max=bins - 2)
        part = (at - low)[:, None, None]
        return torch.view_as_complex(torch.lerp(self.gain[low], self.gain[low + 1], part.to(self.gain.dtype)))


def fft_state_from_released(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return FftAdapter's state dict from a DistillCaps checkpoint; other tensors are skipped."""
    prefix = "fft_mlp.freq_transform."
    return {f"linear.{k.removeprefix(prefix)}": v for k, v in state.items() if k.startswith(prefix)}


def real_first(mask: Tensor) -> Tensor:
    """Positions [B, N] with the real tokens in front, in their order."""
    return mask.to(torch.uint8).argsort(dim=1, descending=True, stable=True)


def reverse_time(x: Embeds) -> Tensor:
    """Real token t of n becomes real token -t mod n: the first stays, the others run backwards. [B, N, D]."""
    lengths = x.mask.sum(1, keepdim=True)
    rank = x.mask.cumsum(1) - 1  # of each real token among its clip's
    source = real_first(x.mask).gather(1, (-rank % lengths.clamp(min=1)))
    own = torch.arange(x.mask.shape[1], device=x.mask.device).expand_as(source)
    return x.values.gather(1, torch.where(x.mask, source, own)[..., None].expand_as(x.values))
