"""The plainest fusions: both side by side, or one alone (LAVCap, Table II)."""

from __future__ import annotations

from torch import nn

from earwitness.embeds import Embeds


def visual_projection(dim: int, dim_visual: int | None) -> nn.Module:
    """A linear map from the visual tokens' width to dim; nothing where the widths agree (None: they do)."""
    return nn.Identity() if dim_visual in (None, dim) else nn.Linear(dim_visual, dim)


class Concat(nn.Module):
    """Embeds [B, N_a, dim], [B, N_v, dim_visual] -> Embeds [B, N_a + N_v, dim], audio first."""

    def __init__(self, *, dim: int, dim_visual: int | None = None) -> None:
        super().__init__()
        self.visual_projection = visual_projection(dim, dim_visual)

    def forward(self, audio: Embeds, visual: Embeds) -> Embeds:
        return audio.cat(Embeds(self.visual_projection(visual.values), visual.mask))


class AudioOnly(nn.Module):
    """Return the audio tokens unchanged; the video is ignored."""

    def forward(self, audio: Embeds, visual: Embeds) -> Embeds:
        return audio


class VisualOnly(nn.Module):
    """The visual tokens, [B, N_v, dim]; the sound is not listened to."""

    def __init__(self, *, dim: int, dim_visual: int | None = None) -> None:
        super().__init__()
        self.visual_projection = visual_projection(dim, dim_visual)

    def forward(self, audio: Embeds, visual: Embeds) -> Embeds:
        return Embeds(self.visual_projection(visual.values), visual.mask)
