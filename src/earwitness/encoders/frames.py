"""FrameEncoder: one visual token a sampled frame, from CLIP's image tower.

Radford et al. 2021, "Learning transferable visual models from natural language supervision".
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from earwitness.embeds import Embeds, length_mask
from earwitness.encoders.freezable import Freezable

if TYPE_CHECKING:
    from transformers import CLIPVisionModel, CLIPVisionModelWithProjection

IMAGE_SIZE = 224  # pixels
CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)  # of CLIP's training pictures, red green blue in [0, 1]
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


def prepare_frames(pictures: Tensor | np.ndarray, size: int = IMAGE_SIZE) -> Tensor:
    """CLIP's preprocessing: uint8 RGB [..., H, W, 3] -> float32 [..., 3, size, size].

    The shorter side is scaled to `size` (bicubic with anti-aliasing, rounded to whole grey levels), the
    centre square cut out, and each colour normalised by CLIP's mean and standard deviation.
    """
    pixels = torch.as_tensor(pictures)
    if pixels.dtype != torch.uint8 or pixels.ndim < 3 or pixels.shape[-1] != 3 or 0 in pixels.shape[-3:]:
        raise ValueError(f"pictures must be uint8 [..., H, W, 3], got {pixels.dtype} {tuple(pixels.shape)}")
    outer, (height, width) = pixels.shape[:-3], pixels.shape[-3:-1]
    x = pixels.reshape(-1, height, width, 3).permute(0, 3, 1, 2).float()  # [M, 3, H, W]
    short = min(height, width)
    if short != size:
        new_height, new_width = height * size // short, width * size // short
        for shape in ((height, new_width), (new_height, new_width)):  # Pillow rounds after each axis
            x = F.interpolate(x, shape, mode="bicubic", antialias=True).round().clamp(0, 255)
    top, left = (x.shape[-2] - size) // 2, (x.shape[-1] - size) // 2
    x = x[..., top : top + size, left : left + size] / 255
    mean, std = (x.new_tensor(value)[:, None, None] for value in (CLIP_MEAN, CLIP_STD))
    return ((x - mean) / std).reshape(*outer, 3, size, size)


class FrameEncoder(Freezable):
    """Frames [B, N_v, 3, size, size] -> Embeds [B, N_v, D], one token a frame.

    vision: CLIPVisionModelWithProjection for the features that CLIP compares with text (ViT-L/14: 768
    wide), or CLIPVisionModel for the pooled ones before the projection (ViT-L/14: 1024 wide).
    frames_at_once: how many pass through the tower together, which bounds memory.
    """

    def __init__(
        self, vision: CLIPVisionModel | CLIPVisionModelWithProjection, *, frames_at_once: int = 256
    ) -> None:
        super().__init__()
        self.vision = vision
        self.projected = hasattr(vision, "visual_projection")
        config: Any = vision.config
        self.dim: int = config.projection_dim if self.projected else config.hidden_size
        self.image_size: int = config.image_size
        self.frames_at_once = frames_at_once

    @classmethod
    def from_pretrained(
        cls, name_or_folder: str | Path, *, projected: bool = True, frozen: bool = True
    ) -> FrameEncoder:
        """From a hub name ("openai/clip-vit-large-patch14") or a folder with a whole CLIP or its image tower.

        Raises ValueError naming the tensors that the checkpoint lacks.
        """
        from transformers import CLIPVisionModel, CLIPVisionModelWithProjection

        tower: Any = CLIPVisionModelWithProjection if projected else CLIPVisionModel
        vision, report = tower.from_pretrained(name_or_folder, output_loading_info=True)
        faults = sorted({*report["missing_keys"], *(str(key) for key in report["mismatched_keys"])})
        if faults:
            raise ValueError(f"{name_or_folder} lacks tensors of {tower.__name__}: {', '.join(faults)}")
        encoder = cls(vision).eval()
        return encoder.freeze() if frozen else encoder

    def forward(self, frames: Tensor, counts: Tensor | None = None) -> Embeds:
        """frames: [B, N_v, 3, size, size] from `prepare_frames`, or cached features [B, N_v, D].

        counts: [B] real frames (default: all). Padded frames cost nothing and come out as zeros.
        """
        if counts is None:
            counts = torch.full(frames.shape[:1], frames.shape[1], device=frames.device)
        mask = length_mask(counts.to(frames.device), frames.shape[1])
        if frames.ndim == 3:
            if frames.shape[-1] != self.dim:
                raise ValueError(f"cached features are {frames.shape[-1]} wide, this encoder's {self.dim}")
            return Embeds(frames.masked_fill(~mask[..., None], 0.0), mask)
        if frames.ndim != 5:
            raise ValueError(f"frames must be [B, N, 3, H, W] or [B, N, D], got {tuple(frames.shape)}")
        features = self.encode_frames(frames[mask])
        values = features.new_zeros(*mask.shape, self.dim)
        values[mask] = features
        return Embeds(values, mask)

    def encode_frames(self, frames: Tensor) -> Tensor:
        """Prepared frames [M, 3, size, size] -> features [M, D], fit to be cached."""
        frames = frames.to(self.vision.dtype)
        if not len(frames):
            return frames.new_zeros(0, self.dim)
        parts = [self.vision(pixel_values=part) for part in frames.split(self.frames_at_once)]
        return torch.cat([part.image_embeds if self.projected else part.pooler_output for part in parts])
