"""Captioned recordings streamed from shards: each is read from its beginning, none is looked up.

Every reader (a worker of a process) draws its own sequence, which hangs on the seed and its number alone; a
batch says how far its reader has come, and a checkpoint keeps that of every reader.
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

# How far a reader has come: its number, examples drawn, and its place in each set (a Place as a plain tuple).
Progress = tuple[int, int, list[tuple[int, int, int]]]


class ClipStream(IterableDataset[Example]):
    """Weighted shards as one endless stream of examples. starts: the progress of each reader to go on from.

    shift: batches taken before, for batches come from one worker after the other. excluded, foreign: ids that
    are passed over, and ids that must not be there.
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
        """Of so many clips each, in all epochs."""
        return max(1, int(self.section.epochs * self.epoch_size) // clips)

    def __iter__(self) -> Iterator[Example]:
        worker = get_worker_info()
        workers, own = (worker.num_workers, worker.id) if worker else (1, 0)
        return self.examples(self.rank * workers + (own + self.shift) % workers, self.world_size * workers)

    def examples(self, reader: int, readers: int) -> Iterator[Example]:
        """What one of `readers` readers draws."""
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
        """The next clip of a set chosen by weight; None, with a warning, if it cannot be used."""
        chosen = int(np.searchsorted(self.shares, rng.random(), side="right"))
        sample = next(streams[chosen])
        places[chosen] = sample.place
        row = sample.row
        if row.id in self.excluded:
            return None
        if not self.foreign.isdisjoint(clip_keys(row.id)):
            raise ConfigError(f"{row.audio}: {row.id} is validated on too; leave it out of the shards")
        try:
            if not captions_of(row):
                raise RowFault("has no caption")
            whole = duration(row, sample.sound)
            example = cropped(row, whole, self.section.seconds, self.read, rng, sample.sound)
        except (MediaError, RowFault) as error:
            log.warning("%s (%s): %s; it is left out", row.audio, row.id, error)
            return None
        return replace(example, caption=drawn_caption(row, self.paraphrases[chosen], rng))


class KeepPlace(TrainerCallback):
    """Writes into each checkpoint how far the readers of this process have come.

    taken: of each reader, after the batches that were trained on.
    """

    def __init__(self, stream: ClipStream, workers: int):
        self.stream, self.workers = stream, max(1, workers)
        self.taken: dict[int, Progress] = {}
        self.batches = 0

    def take(self, place: Progress) -> None:
        """place: of the batch that is trained on now."""
        self.taken[place[0]] = place
        self.batches += 1

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        told = {"workers": self.workers, "batches": self.batches, "readers": list(self.taken.values())}
        self._file(checkpoint(args, state)).write_text(json.dumps(told), encoding="utf-8")

    def resume(self, folder: Path) -> None:
        """Raises ConfigError if the readers are not those the run had."""
        told = json.loads(self._file(folder).read_text("utf-8"))
        if told["workers"] != self.workers:
            raise ConfigError(
                f"workers: shards were read by {told['workers']} a process before, now {self.workers}; "
                "a run over shards goes on with as many"
            )
        self.batches = self.stream.shift = told["batches"]
        self.taken = self.stream.starts = {place[0]: place for place in told["readers"]}

    def _file(self, folder: Path) -> Path:
        return folder / f"places-{self.stream.rank}.json"


def stream_loader(stream: ClipStream, batch_size: int, workers: int, collate: Any) -> DataLoader[Any]:
    """Batches of the stream, each of one worker. It draws no random number of the process."""
    options: dict[str, Any] = {"num_workers": workers, "collate_fn": collate}
    return DataLoader(stream, batch_size, generator=torch.Generator(), **options)
