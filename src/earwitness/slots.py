"""Protocols of the parts in the model's slots."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from torch import Tensor

from earwitness.embeds import Embeds


@runtime_checkable
class Encoder(Protocol):
    """Maps waveforms to audio tokens."""

    dim: int  # D, of its tokens
    sample_rate: int  # Hz

    def __call__(self, waveforms: Tensor, lengths: Tensor, /) -> Embeds:
        """waveforms [B, S], lengths [B] in samples -> h_a [B, N_a, D]."""
        ...

    def compute_log_mel(self, waveforms: Tensor, lengths: Tensor, /) -> tuple[Tensor, Tensor]:
        """The front end alone: waveforms, lengths -> log_mel [B, bands, F], frames [B]."""
        ...

    def encode_log_mel(self, log_mel: Tensor, frames: Tensor, /) -> Embeds:
        """The network after the front end: log_mel [B, bands, F], frames [B] -> h_a [B, N_a, D]."""
        ...


@runtime_checkable
class TaggingEncoder(Encoder, Protocol):
    """An encoder with a tag head."""

    tag_names: list[str]  # in the order of the head; empty if the tags have no names

    def tag_probabilities(self, h_a: Embeds, /) -> Tensor:
        """h_a -> the probability of each tag in the clip, [B, tags]."""
        ...


@runtime_checkable
class TagTrackEncoder(TaggingEncoder, Protocol):
    """A tagging encoder that tags every token."""

    def tag_logits(self, h_a: Embeds, /) -> Tensor:
        """h_a -> [B, N_a, tags]."""
        ...


@runtime_checkable
class VisionTower(Protocol):
    """Maps frames, or their features, to visual tokens."""

    dim: int  # D_v, of its tokens

    def __call__(self, frames: Tensor, counts: Tensor | None = None, /) -> Embeds:
        """frames [B, N_v, 3, H, W] or features [B, N_v, D_v], counts [B] -> h_v [B, N_v, D_v]."""
        ...


@runtime_checkable
class FrameTower(VisionTower, Protocol):
    """A vision tower that takes images."""

    image_size: int  # pixels, of a square frame


@runtime_checkable
class Fusion(Protocol):
    """Maps audio and visual tokens to the adapter's input: [B, N_a, D], [B, N_v, D_v] -> [B, N, D]."""

    def __call__(self, audio: Embeds, visual: Any, /) -> Embeds: ...


@runtime_checkable
class MatchingFusion(Protocol):
    """A fusion that matches audio and visual tokens first; the match has a loss of its own."""

    def match(self, audio: Embeds, visual: Embeds, /) -> Any:
        """Similarity and log plan, each [B, N_a, N_v]."""
        ...

    def __call__(self, audio: Embeds, visual: Any, match: Any, /) -> Embeds: ...
