"""Captioned recordings as training data: mixtures, crops, choice of captions, windows for validation.

What a batch holds hangs on the seed and the numbers of its draws alone, so that a resumed run hears what an
uninterrupted one would have heard, whatever the processes and workers. Draw n of a run belongs to epoch
n // (clips an epoch).
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, count, islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from earwitness.config import ConfigError, ManifestData
from earwitness.data.manifest import Manifest, Row
from earwitness.data.render import spec_augment
from earwitness.decoding.language_model import normalise_caption
from earwitness.encoders.frames import IMAGE_SIZE, prepare_frames
from earwitness.media import MediaError, load_audio, sample_frames
from earwitness.training.clip_index import ClipIndex, captions_of
from earwitness.training.scene_data import CaptionEncoder

log = logging.getLogger("earwitness")

GROUPED_BATCHES = 50  # batches that are sorted by length together
ATTEMPTS = 8  # other clips tried in place of one that does not decode
MIXED_DB = 5.0  # of two clips that sound together, the largest difference in level


@dataclass
class Example:
    """A clip with the caption it should get. frames: pictures or features, one a row, [N, ...]."""

    id: str
    waveform: NDArray[np.float32]
    caption: str
    frames: Tensor | None
    retrieved: Sequence[str] | None
    seed: int


@dataclass(frozen=True)
class Reader:
    """Rows to sound and pictures. frame_rate: pictures a second, None for a model without vision."""

    sample_rate: int
    frame_rate: float | None = None
    picture_size: int = IMAGE_SIZE  # pixels

    def __call__(self, row: Row, start: float, end: float) -> tuple[NDArray[np.float32], Tensor | None]:
        """start, end: s in the row's file."""
        audio = load_audio(row.audio, self.sample_rate, start=start, end=end)
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


class CaptionedClips:
    """One set of a mixture: its rows, what is known of them, and the paraphrases of its captions."""

    def __init__(self, path: str, index: ClipIndex, paraphrases: str | None, *, over_captions: bool):
        self.manifest, self.index = Manifest.open(path), index
        self.rows = index.kept
        self.paraphrases = read_paraphrases(paraphrases) if paraphrases else {}
        self.ends = np.cumsum(index.captions[self.rows]) if over_captions else None

    def __len__(self) -> int:
        return len(self.rows) if self.ends is None else int(self.ends[-1])

    def place(self, i: int) -> tuple[int, int | None]:
        """Item i -> its row, and its caption where each caption is an item of its own."""
        if self.ends is None:
            return int(self.rows[i]), None
        k = int(np.searchsorted(self.ends, i, side="right"))
        return int(self.rows[k]), i - int(self.ends[k - 1] if k else 0)

    def caption(self, row: Row, number: int | None, rng: np.random.Generator) -> str:
        own = [*captions_of(row), *self.paraphrases.get(row.id, ())]
        return own[int(rng.integers(len(own))) if number is None else number]


class Mixture(Dataset):
    """Weighted sets as one. Item n is draw n of the run, for n up to epochs x clips an epoch.

    A set of weight w gives w times its clips to each epoch; of w < 1 the next part each time, in an order
    drawn once.
    """

    def __init__(self, sets: Sequence[CaptionedClips], section: ManifestData, read: Reader, seed: int):
        self.sets, self.section, self.read, self.seed = sets, section, read, seed
        self.sizes = [max(1, round(s.weight * len(clips))) for s, clips in zip(section.train, sets)]
        rng = np.random.default_rng((seed, 2))
        self.orders = [rng.permutation(len(clips)).astype(np.uint32) for clips in sets]
        self.epoch_size = sum(self.sizes)

    def __len__(self) -> int:
        return round(self.section.epochs * self.epoch_size)

    def sampler(self, batch_size: int, seed: int) -> Draws:
        return Draws(self, batch_size, seed)

    def place(self, n: int) -> tuple[CaptionedClips, int, int | None]:
        """Draw n -> its set, row, and caption (None: any)."""
        epoch, item = divmod(n, self.epoch_size)
        for clips, size, order in zip(self.sets, self.sizes, self.orders):
            if item < size:
                return clips, *clips.place(int(order[(epoch * size + item) % len(order)]))
            item -= size
        raise IndexError(n)

    def seconds(self, n: int) -> float:
        clips, row, _ = self.place(n)
        return min(float(clips.index.seconds[row]), self.section.seconds)

    def __getitem__(self, n: int) -> Example:
        """A clip that does not decode is told of, and another stands in for it."""
        for attempt in range(ATTEMPTS):
            rng = np.random.default_rng((self.seed, n, attempt))
            try:
                example = self._draw(n if attempt == 0 else int(rng.integers(len(self))), rng)
                if rng.random() < self.section.mixup:
                    example = mixed(example, self._draw(int(rng.integers(len(self))), rng), rng)
                return example
            except MediaError as error:
                log.warning("%s; another clip stands in for it", error)
        raise ConfigError(f"{ATTEMPTS} clips in a row do not decode; see the warnings above")

    def _draw(self, n: int, rng: np.random.Generator) -> Example:
        clips, number, which = self.place(n)
        row = clips.manifest[number]
        whole, wanted = float(clips.index.seconds[number]), self.section.seconds
        start = row.start + rng.random() * max(0.0, whole - wanted)
        waveform, frames = self.read(row, start, start + min(whole, wanted))
        caption, seed = clips.caption(row, which, rng), int(rng.integers(2**31))
        return Example(row.id, waveform, caption, frames, row.retrieved, seed)


class Draws(Sampler[int]):
    """Each epoch's draws in an order of its own, clips of like length sharing a batch; epoch after epoch.

    batch_size: clips of a step, over all processes and batches that it accumulates.
    """

    def __init__(self, mixture: Mixture, batch_size: int, seed: int):
        self.mixture, self.batch_size, self.seed = mixture, batch_size, seed

    def __len__(self) -> int:
        return len(self.mixture)

    def __iter__(self) -> Iterator[int]:
        draws = islice(chain.from_iterable(map(self._epoch, count())), len(self))
        for group in count():
            drawn = list(islice(draws, GROUPED_BATCHES * self.batch_size))
            if not drawn:
                return
            yield from self._grouped(drawn, np.random.default_rng((self.seed, 3, group)))

    def _epoch(self, epoch: int) -> list[int]:
        size = self.mixture.epoch_size
        rng = np.random.default_rng((self.seed, 4, epoch))
        return (epoch * size + rng.permutation(size)).tolist()

    def _grouped(self, draws: list[int], rng: np.random.Generator) -> Iterator[int]:
        """Whole batches in random order; what is left over of the run's last group comes last."""
        whole = len(draws) - len(draws) % self.batch_size
        ordered = sorted(draws[:whole], key=self.mixture.seconds)
        for first in self.batch_size * rng.permutation(whole // self.batch_size):
            yield from ordered[first : first + self.batch_size]
        yield from draws[whole:]


class ValidationClips(Dataset):
    """Every clip in full with its first caption; a longer one than `seconds` in windows of that length."""

    def __init__(self, paths: Sequence[str], indices: Sequence[ClipIndex], read: Reader, seconds: float):
        self.manifests, self.read = [Manifest.open(path) for path in paths], read
        self.windows = [
            (manifest, int(row), start, min(start + seconds, float(index.seconds[row])))
            for manifest, index in zip(self.manifests, indices)
            for row in index.kept
            for start in window_starts(float(index.seconds[row]), seconds)
        ]

    def __len__(self) -> int:
        return len(self.windows)

    def __getitem__(self, i: int) -> Example:
        manifest, number, start, end = self.windows[i]
        row = manifest[number]
        waveform, frames = self.read(row, row.start + start, row.start + end)
        return Example(row.id, waveform, captions_of(row)[0], frames, row.retrieved, i)


class ClipCollator:
    """Examples -> {"sound": {"log_mel", "frames"}, "ids", "mask"}, with pictures "video", and "captions".

    hear: waveforms [B, S], lengths [B] -> features [B, 64, F], frames [B], on the CPU. captions: whether the
    retrieved ones are asked for.
    """

    def __init__(
        self,
        hear: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]],
        encode: CaptionEncoder,
        *,
        captions: bool = False,
        masks: bool = False,
    ):
        self.hear, self.encode, self.captions, self.masks = hear, encode, captions, masks

    def __call__(self, examples: list[Example]) -> dict[str, Any]:
        lengths = torch.tensor([len(e.waveform) for e in examples])
        waveforms = _padded([torch.from_numpy(e.waveform) for e in examples])
        features, frames = self.hear(waveforms, lengths)
        if self.masks:
            features = spec_augment(features, examples[0].seed)
        ids, mask = self.encode([normalise_caption(e.caption) for e in examples])
        batch: dict[str, Any] = {"sound": {"log_mel": features, "frames": frames}, "ids": ids, "mask": mask}
        shown = [e.frames for e in examples if e.frames is not None]
        if shown:
            pictures = [shown[0][:0] if e.frames is None else e.frames for e in examples]
            batch["video"] = {"frames": _padded(pictures), "counts": torch.tensor([len(p) for p in pictures])}
        if self.captions:
            batch["captions"] = [[normalise_caption(c) for c in e.retrieved or ()] for e in examples]
        return batch


def mixed(one: Example, other: Example, rng: np.random.Generator) -> Example:
    """Both clips at once, of like level, and both captions joined by "and"; the pictures are the first's."""
    a, b = one.waveform, other.waveform[: len(one.waveform)]
    level = np.sqrt(np.mean(a**2) / max(float(np.mean(b**2)), 1e-12))
    gain = level * 10 ** (rng.uniform(-MIXED_DB, MIXED_DB) / 20)
    both = a.copy()
    both[: len(b)] += np.float32(gain) * b
    both /= max(1.0, float(np.abs(both).max()))
    caption = f"{normalise_caption(one.caption)} and {normalise_caption(other.caption)}"
    return Example(one.id, both, caption, one.frames, one.retrieved, one.seed)


def read_paraphrases(path: str) -> dict[str, list[str]]:
    """JSONL rows {"id", "captions"} -> captions by id."""
    found: dict[str, list[str]] = {}
    number = 0
    try:
        with open(path, encoding="utf-8") as lines:
            for line in lines:
                number += 1
                row = json.loads(line)
                found.setdefault(row["id"], []).extend(c for c in row["captions"] if normalise_caption(c))
    except OSError as error:
        raise ConfigError(f"paraphrases: {path} cannot be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError):
        raise ConfigError(f"paraphrases: {path}, line {number}: not a row with id and captions") from None
    return found


def window_starts(whole: float, seconds: float) -> list[float]:
    """Where the windows of a clip begin, s; less than 0.1 s at its end joins the window before."""
    count = max(1, int(np.ceil((whole - 0.1) / seconds)))
    return [i * seconds for i in range(count)]


def _padded(rows: list[Tensor]) -> Tensor:
    return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
