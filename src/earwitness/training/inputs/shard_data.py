"""Captioned recordings streamed from shards, which are read sequentially.

Every reader (a worker of a process) draws its own sequence, which depends on the seed and its number alone.
Each batch carries its reader's progress, and a checkpoint stores the progress of every reader.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, IterableDataset, get_worker_info
from transformers import TrainerCallback

from earwitness.config.data import ManifestData
from earwitness.config.errors import ConfigError
from earwitness.data.overlap import clip_keys
from earwitness.data.shards import Place, Sample, ShardStream
from earwitness.media.containers import MediaError
from earwitness.training.callbacks import checkpoint
from earwitness.training.inputs.clip_index import RowFault, captions_of, duration
from earwitness.training.inputs.examples import (
    Example,
    Reader,
    cropped,
    drawn_caption,
    mixed,
    read_paraphrases,
)

log = logging.getLogger("earwitness")

# A reader's progress: its number, examples drawn, and its position in each set (a Place as a plain tuple).
Progress = tuple[int, int, list[tuple[int, int, int]]]


class ClipStream(IterableDataset[Example]):
    """Endless stream of examples from weighted shards. starts: progress of each reader to resume from.

    shift: batches taken before the resume, since workers take turns. excluded: ids to skip. foreign: ids of
    the validation sets, which raise ConfigError if the shards hold them.
    """

    def __init__(
        self,
        section: ManifestData,
        read: Reader,
        seed: int,
        *,
        rank: int = 0,
        world_size: int = 1,
        excluded: frozenset[str] = frozenset(),
        foreign: frozenset[str] = frozenset(),
    ):
        self.section, self.read, self.seed, self.rank, self.world_size = section, read, seed, rank, world_size
        self.excluded, self.foreign = excluded, foreign
        self.sets = [ShardStream(s.path, seed=seed) for s in section.train]
        self.paraphrases = [read_paraphrases(s.paraphrases) if s.paraphrases else {} for s in section.train]
        sizes = np.array([s.weight * stream.rows for s, stream in zip(section.train, self.sets)])
        self.epoch_size, self.shares = round(sizes.sum()), np.cumsum(sizes / sizes.sum())
        self.starts: dict[int, Progress] = {}
        self.shift = 0

    def steps(self, clips: int) -> int:
        """Number of steps of `clips` clips in all epochs."""
        return max(1, int(self.section.epochs * self.epoch_size) // clips)

    def __iter__(self) -> Iterator[Example]:
        worker = get_worker_info()
        workers, own = (worker.num_workers, worker.id) if worker else (1, 0)
        return self.examples(self.rank * workers + (own + self.shift) % workers, self.world_size * workers)

    def examples(self, reader: int, readers: int) -> Iterator[Example]:
        """Yield the examples of one of `readers` readers."""
        _, drawn, reached = self.starts.get(reader, (reader, 0, [Place()] * len(self.sets)))
        places = [Place(*place) for place in reached]
        for stream, place in zip(self.sets, places):
            stream.starts[reader] = place
        streams = [stream.read(reader, readers) for stream in self.sets]
        while True:
            rng = np.random.default_rng((self.seed, 5, reader, drawn))
            drawn += 1
            example = self._draw(streams, places, rng)
            if example and rng.random() < self.section.mixup:
                other = self._draw(streams, places, rng)
                example = mixed(example, other, rng) if other else example
            if example:
                yield replace(example, place=(reader, drawn, [tuple(place) for place in places]))

    def _draw(
        self, streams: Sequence[Iterator[Sample]], places: list[Place], rng: np.random.Generator
    ) -> Example | None:
        """Return the next clip of a set chosen by weight; None, with a warning, if it cannot be used."""
        chosen = int(np.searchsorted(self.shares, rng.random(), side="right"))
        sample = next(streams[chosen])
        places[chosen] = sample.place
        row = sample.row
        if row.id in self.excluded:
            return None
        if not self.foreign.isdisjoint(clip_keys(row.id)):
            raise ConfigError(f"{row.audio}: {row.id} is also in the validation set; remove it there or here")
        try:
            if not captions_of(row):
                raise RowFault("has no caption")
            whole = duration(row, sample.sound)
            example = cropped(row, whole, self.section.seconds, self.read, rng, sample.sound)
        except (MediaError, RowFault) as error:
            log.warning("%s (%s) skipped: %s", row.audio, row.id, error)
            return None
        return replace(example, caption=drawn_caption(row, self.paraphrases[chosen], rng))


class KeepPlace(TrainerCallback):
    """Write the progress of this process's readers into each checkpoint.

    taken: progress of each reader after the batches that were trained on.
    """

    def __init__(self, stream: ClipStream, workers: int):
        self.stream, self.workers = stream, max(1, workers)
        self.taken: dict[int, Progress] = {}
        self.batches = 0

    def take(self, place: Progress) -> None:
        """Record the progress `place` of the current batch."""
        self.taken[place[0]] = place
        self.batches += 1

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        progress = {"workers": self.workers, "batches": self.batches, "readers": list(self.taken.values())}
        self._file(checkpoint(args, state)).write_text(json.dumps(progress), encoding="utf-8")

    def resume(self, folder: Path) -> None:
        """Resume from a checkpoint. Raises ConfigError if the number of workers has changed."""
        progress = json.loads(self._file(folder).read_text("utf-8"))
        if progress["workers"] != self.workers:
            raise ConfigError(
                f"workers: the run had {progress['workers']} a process, now {self.workers}; "
                "a run on shards resumes with the same number"
            )
        self.batches = self.stream.shift = progress["batches"]
        self.taken = self.stream.starts = {place[0]: place for place in progress["readers"]}

    def _file(self, folder: Path) -> Path:
        return folder / f"places-{self.stream.rank}.json"


def stream_loader(stream: ClipStream, batch_size: int, workers: int, collate: Any) -> DataLoader[Any]:
    """Load batches of the stream, each from one worker, without use of the process's random state."""
    options: dict[str, Any] = {"num_workers": workers, "collate_fn": collate}
    return DataLoader(stream, batch_size, generator=torch.Generator(), **options)
