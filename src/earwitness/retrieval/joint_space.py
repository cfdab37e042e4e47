"""Texts as vectors of a captioner's joint space, where captions that mean the same are near each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from earwitness.decoding.joint_space import JointSpace
from earwitness.decoding.words import normalise_caption
from earwitness.embeds import Embeds

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from earwitness.model import AudioCaptioningModel


class JointSpaceTexts:
    """Embeds text by the space in which a model compares its beams with the audio.

    Raises ValueError for a model without one (config: decoding.joint_space).
    """

    def __init__(self, model: AudioCaptioningModel) -> None:
        if not isinstance(model.space, JointSpace):
            raise ValueError("this model has no joint space (its config lacks decoding.joint_space)")
        self.language_model, self.space = model.language_model, model.space

    @torch.inference_mode()
    def __call__(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """N texts -> unit vectors [N, D]."""
        ids, mask = self.language_model.encode_captions([normalise_caption(text) for text in texts])
        return self.space.read(Embeds(self.language_model.embed(ids).float(), mask)).cpu().numpy()
