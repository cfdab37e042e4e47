"""Training examples from clips: decoding, crops, choice of caption, mixtures of two, batches."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from earwitness.config.errors import ConfigError
from earwitness.data.manifest import Row
from earwitness.decoding.words import normalise_caption
from earwitness.encoders.frames import IMAGE_SIZE, prepare_frames
from earwitness.media.reading import load_audio
from earwitness.media.video import sample_frames
from earwitness.training.inputs.clip_index import captions_of
from earwitness.training.inputs.scene_data import CaptionEncoder
from earwitness.training.inputs.spec_augment import spec_augment

MIXED_DB = 5.0  # largest difference in level between two mixed clips


@dataclass
class Example:
    """A clip with its target caption. frames: images or features, one a row, [N, ...]."""

    id: str
    waveform: NDArray[np.float32]
    caption: str
    frames: Tensor | None
    retrieved: Sequence[str] | None
    seed: int
    references: Sequence[str] = ()  # all captions of a validation clip
    place: Any = None  # position of its stream (shard_data)


@dataclass(frozen=True)
class Reader:
    """Decode rows to audio and images. frame_rate: images a second, None for a model without vision."""

    sample_rate: int
    frame_rate: float | None = None
    picture_size: int = IMAGE_SIZE  # pixels
    resampler: str = "soxr"  # of load_audio

    def __call__(
        self, row: Row, start: float, end: float, sound: bytes | None = None
    ) -> tuple[NDArray[np.float32], Tensor | None]:
        """start, end: s in the row's file, or in `sound`, its bytes."""
        source = row.audio if sound is None else sound
        audio = load_audio(source, self.sample_rate, start=start, end=end, resampler=self.resampler)
        return audio.waveform, self._frames(row, start, end)

    def _frames(self, row: Row, start: float, end: float) -> Tensor | None:
        if self.frame_rate is None or row.video is None:
            return None
        if Path(row.video).suffix != ".npy":
            size = self.picture_size
            return prepare_frames(sample_frames(row.video, self.frame_rate, start, end, size)[0], size)
        features = np.load(row.video, mmap_mode="r", allow_pickle=False)  # [N, D], from the row's start on
        first, last = (round((t - row.start) * self.frame_rate) for t in (start, end))
        return torch.from_numpy(np.array(features[first : max(last, first + 1)], np.float32))


def cropped(
    row: Row, whole: float, longest: float, read: Reader, rng: np.random.Generator, sound: bytes | None = None
) -> Example:
    """Read a row as an example without a caption: its `whole` seconds, or a random crop of `longest`."""
    start = row.start + rng.random() * max(0.0, whole - longest)
    waveform, frames = read(row, start, start + min(whole, longest), sound)
    return Example(row.id, waveform, "", frames, row.retrieved, int(rng.integers(2**31)))


def drawn_caption(row: Row, paraphrases: Mapping[str, Sequence[str]], rng: np.random.Generator) -> str:
    """Draw one of a row's captions and their paraphrases."""
    own = [*captions_of(row), *paraphrases.get(row.id, ())]
    return own[int(rng.integers(len(own)))]


def mixed(one: Example, other: Example, rng: np.random.Generator) -> Example:
    """Mix two clips at similar levels and join their captions by "and"; the images are the first clip's."""
    a, b = one.waveform, other.waveform[: len(one.waveform)]
    level = np.sqrt(np.mean(a**2) / max(float(np.mean(b**2)), 1e-12))
    gain = level * 10 ** (rng.uniform(-MIXED_DB, MIXED_DB) / 20)
    both = a.copy()
    both[: len(b)] += np.float32(gain) * b
    both /= max(1.0, float(np.abs(both).max()))
    caption = f"{normalise_caption(one.caption)} and {normalise_caption(other.caption)}"
    return Example(one.id, both, caption, one.frames, one.retrieved, one.seed)


def read_paraphrases(path: str) -> dict[str, list[str]]:
    """Read JSONL rows {"id", "captions"}; return the captions by id. Raises ConfigError."""
    found: dict[str, list[str]] = {}
    number = 0
    try:
        with open(path, encoding="utf-8-sig") as lines:
            for line in lines:
                number += 1
                row = json.loads(line)
                found.setdefault(row["id"], []).extend(c for c in row["captions"] if normalise_caption(c))
    except OSError as error:
        raise ConfigError(f"paraphrases: {path} cannot be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError):
        raise ConfigError(f"paraphrases: {path}, line {number}: not a row with id and captions") from None
    return found


class ClipCollator:
    """Examples -> {"sound": {"log_mel", "frames"}, "ids", "mask"}, with pictures "video", and "captions".

    Batches of a stream have its position as "place". front_end: waveforms [B, S], lengths [B] -> features [B,
    64, F], frames [B], on the CPU. captions: whether to include the retrieved ones. masks: of SpecAugment.
    """

    def __init__(
        self,
        front_end: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]],
        encode: CaptionEncoder,
        *,
        captions: bool = False,
        masks: dict[str, int] | None = None,
    ):
        self.front_end, self.encode, self.captions, self.masks = front_end, encode, captions, masks

    def __call__(self, examples: list[Example]) -> dict[str, Any]:
        lengths = torch.tensor([len(e.waveform) for e in examples])
        waveforms = _padded([torch.from_numpy(e.waveform) for e in examples])
        features, frames = self.front_end(waveforms, lengths)
        if self.masks:
            features = spec_augment(features, examples[0].seed, **self.masks)
        ids, mask = self.encode([normalise_caption(e.caption) for e in examples])
        batch: dict[str, Any] = {"sound": {"log_mel": features, "frames": frames}, "ids": ids, "mask": mask}
        shown = [e.frames for e in examples if e.frames is not None]
        if shown:
            pictures = [shown[0][:0] if e.frames is None else e.frames for e in examples]
            batch["video"] = {"frames": _padded(pictures), "counts": torch.tensor([len(p) for p in pictures])}
        if examples[-1].place is not None:
            batch["place"] = examples[-1].place
        if all(e.references for e in examples):
            batch["references"] = [list(e.references) for e in examples]
        if self.captions:
            batch["captions"] = [[normalise_caption(c) for c in e.retrieved or ()] for e in examples]
        return batch


def _padded(rows: list[Tensor]) -> Tensor:
    return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
