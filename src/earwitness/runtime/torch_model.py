"""A captioner's network of torch behind the protocol: arrays in, arrays out, on whatever device it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from earwitness.decoding.joint_space import JointSpace
from earwitness.decoding.words import normalise_caption
from earwitness.embeds import Embeds
from earwitness.encoders.frames import prepare_frames
from earwitness.model import AudioCaptioningModel
from earwitness.runtime.protocol import NO_JOINT_SPACE, Array, Captions, Decoded, Pictures
from earwitness.slots import FrameTower, TaggingEncoder, TagTrackEncoder


class TorchModel:
    """A captioning model on torch. Its methods: protocol.CaptioningModel. network: put into eval mode."""

    def __init__(self, network: AudioCaptioningModel) -> None:
        self.network = network.eval()

    @property
    def sample_rate(self) -> int:
        return int(self.network.encoder.sample_rate)

    @property
    def resampler(self) -> str:
        return self.network.resampler

    @property
    def max_seconds(self) -> float:
        return float(self.network.config.max_seconds)

    @property
    def beams(self) -> int:
        return self.network.search.beams

    @property
    def tag_names(self) -> list[str]:
        return self.network.tag_names

    @property
    def tags_over_time(self) -> bool:
        return isinstance(self.network.encoder, TagTrackEncoder)

    @property
    def tags_clips(self) -> bool:
        return isinstance(self.network.encoder, TaggingEncoder)

    @property
    def retrieved_captions(self) -> int:
        section = self.network.config.retrieval
        return 0 if section is None else section.count

    @property
    def calibration(self) -> dict[str, float] | None:
        section = self.network.config.decoding.calibration
        return None if section is None else section.model_dump()

    @property
    def pictures(self) -> Pictures | None:
        vision, config = self.network.vision, self.network.config
        if vision is None or config.vision is None:
            return None
        if not isinstance(vision, FrameTower):
            raise ValueError(
                "this model watches frame features computed before (vision.kind: cached), which no video "
                "holds: in its config.json name the tower that computed them (vision.kind: clip)"
            )
        required = config.fusion is not None and config.fusion.kind == "visual_only"
        return Pictures(config.vision.frames_per_second, vision.image_size, required)

    @torch.inference_mode()
    def caption(
        self,
        sounds: Sequence[Array],
        *,
        frames: Sequence[NDArray[np.uint8] | None] | None = None,
        captions: Captions | None = None,
        **decoding: Any,
    ) -> Decoded:
        found = self.network.caption(
            sound_of(sounds, self.network.device),
            video=video_of(frames or (), self.network.device),
            captions=captions,
            **decoding,
        )
        tags = None if found.tags is None else found.tags.float().cpu().numpy()
        return Decoded(found.texts, found.scores.float().cpu().numpy(), tags)

    @torch.inference_mode()
    def tag_logits(self, sounds: Sequence[Array]) -> list[Array]:
        encoder: Any = self.network.encoder
        h_a = self._listen(sounds)
        logits = encoder.tag_logits(h_a).float().cpu()
        return [row[mask].numpy() for row, mask in zip(logits, h_a.mask.cpu())]

    @torch.inference_mode()
    def tag_probabilities(self, sounds: Sequence[Array]) -> Array:
        encoder: Any = self.network.encoder
        rows: Array = encoder.tag_probabilities(self._listen(sounds)).float().cpu().numpy()
        return rows

    @torch.inference_mode()
    def embed_texts(self, texts: Sequence[str]) -> Array:
        if not isinstance(self.network.space, JointSpace):
            raise ValueError(NO_JOINT_SPACE)
        language_model = self.network.language_model
        ids, mask = language_model.encode_captions([normalise_caption(text) for text in texts])
        vectors: Array = (
            self.network.space.embed_text(Embeds(language_model.embed(ids).float(), mask)).cpu().numpy()
        )
        return vectors

    def _listen(self, sounds: Sequence[Array]) -> Embeds:
        return self.network.listen(sound_of(sounds, self.network.device))


def sound_of(sounds: Sequence[Array], device: torch.device) -> dict[str, Tensor]:
    """What the network listens to: {"waveforms": float32 [B, S], "lengths": [B]}."""
    waveforms = [torch.from_numpy(sound) for sound in sounds]
    lengths = torch.tensor([len(waveform) for waveform in waveforms])
    return {"waveforms": pad_sequence(waveforms, True).to(device), "lengths": lengths.to(device)}


def video_of(frames: Sequence[NDArray[np.uint8] | None], device: torch.device) -> dict[str, Tensor] | None:
    """What it watches: {"frames": [B, N, 3, size, size], or features [B, N, D], "counts": [B]}.

    None if no clip shows anything.
    """
    shown = [each for each in frames if each is not None]
    if not shown:
        return None
    pictures = [torch.from_numpy(shown[0][:0] if each is None else each) for each in frames]
    counts = torch.tensor([len(each) for each in pictures])
    padded = pad_sequence(pictures, True).to(device)
    if shown[0].ndim == 4:
        padded = prepare_frames(padded, size=shown[0].shape[-2])
    return {"frames": padded, "counts": counts.to(device)}
