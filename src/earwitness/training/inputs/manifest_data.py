"""Training data of captioned recordings: mixtures, crops, choice of captions, windows for validation.

A batch depends on the seed and the numbers of its draws alone, so that a resumed run gets the batches of an
uninterrupted one, whatever the processes and workers. Draw n of a run belongs to epoch n // (clips an epoch).
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain, count, islice
from typing import Any

import numpy as np
from torch.utils.data import Dataset, Sampler

from earwitness.config.data import ManifestData
from earwitness.config.errors import ConfigError
from earwitness.data.manifest import Manifest, Row
from earwitness.media.containers import MediaError
from earwitness.training.inputs.clip_index import ClipIndex, captions_of
from earwitness.training.inputs.examples import (
    Example,
    Reader,
    cropped,
    drawn_caption,
    mixed,
    read_paraphrases,
)

log = logging.getLogger("earwitness")

GROUPED_BATCHES = 50  # batches that are sorted by length together
ATTEMPTS = 8  # other clips tried in place of one that does not decode


class CaptionedClips:
    """One set of a mixture: its rows, their index, and the paraphrases of its captions."""

    def __init__(self, path: str, index: ClipIndex, paraphrases: str | None, *, over_captions: bool):
        self.manifest, self.index = Manifest.open(path), index
        self.rows = index.kept
        self.paraphrases = read_paraphrases(paraphrases) if paraphrases else {}
        self.ends = np.cumsum(index.captions[self.rows]) if over_captions else None

    def __len__(self) -> int:
        return len(self.rows) if self.ends is None else int(self.ends[-1])

    def place(self, i: int) -> tuple[int, int | None]:
        """Return the row of item i, and its caption's number where each caption is an item."""
        if self.ends is None:
            return int(self.rows[i]), None
        k = int(np.searchsorted(self.ends, i, side="right"))
        return int(self.rows[k]), i - int(self.ends[k - 1] if k else 0)

    def caption(self, row: Row, number: int | None, rng: np.random.Generator) -> str:
        return drawn_caption(row, self.paraphrases, rng) if number is None else captions_of(row)[number]


class Mixture(Dataset[Any]):
    """Weighted sets as one dataset. Item n is draw n of the run, for n up to epochs x clips an epoch.

    An epoch has w times the clips of a set of weight w; for w < 1 the next part of the set each time, in an
    order drawn once.
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
        """Return the set, row, and caption (None: any) of draw n."""
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
        """Return draw n. A clip that does not decode is logged and replaced by another one."""
        for attempt in range(ATTEMPTS):
            rng = np.random.default_rng((self.seed, n, attempt))
            try:
                example = self._draw(n if attempt == 0 else int(rng.integers(len(self))), rng)
                if rng.random() < self.section.mixup:
                    example = mixed(example, self._draw(int(rng.integers(len(self))), rng), rng)
                return example
            except MediaError as error:
                log.warning("%s; replaced by another clip", error)
        raise ConfigError(f"{ATTEMPTS} clips in a row do not decode; see the warnings above")

    def _draw(self, n: int, rng: np.random.Generator) -> Example:
        clips, number, which = self.place(n)
        row = clips.manifest[number]
        whole = float(clips.index.seconds[number])
        example = cropped(row, whole, self.section.seconds, self.read, rng)
        return replace(example, caption=clips.caption(row, which, rng))


class Draws(Sampler[int]):
    """Sampler of draws, shuffled anew each epoch, with clips of similar length in a batch.

    batch_size: clips of a step, over all processes and accumulated batches.
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
        """Yield full batches in random order; the rest of the run's last group comes last."""
        whole = len(draws) - len(draws) % self.batch_size
        ordered = sorted(draws[:whole], key=self.mixture.seconds)
        for first in self.batch_size * rng.permutation(whole // self.batch_size):
            yield from ordered[first : first + self.batch_size]
        yield from draws[whole:]


class ValidationClips(Dataset[Any]):
    """Every clip in full with its first caption; one longer than `seconds` in windows of that length."""

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
        captions = captions_of(row)
        return Example(row.id, waveform, captions[0], frames, row.retrieved, i, captions)


def window_starts(whole: float, seconds: float) -> list[float]:
    """Start times of a clip's windows, s; a rest of less than 0.1 s joins the window before."""
    count = max(1, int(np.ceil((whole - 0.1) / seconds)))
    return [i * seconds for i in range(count)]
