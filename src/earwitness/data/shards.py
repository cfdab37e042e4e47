"""Reader of shards: WebDataset tars of audio and rows, from a folder or any address that fsspec opens.

    stream = ShardStream("s3://bucket/audiocaps", rank=rank, world_size=world_size)
    loader = DataLoader(stream, batch_size=None, num_workers=4)
    for sample in loader:
        audio = load_audio(sample.sound)

A shard holds KEY.flac (or .opus, .wav ...: the file's own bytes) and KEY.json (the row) for each clip;
index.json beside the shards names them. In each epoch every clip is read by exactly one worker of one rank,
in an order that depends on the seed and the epoch alone. A reader can resume from the place of any sample.
"""

from __future__ import annotations

import json
import logging
import re
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count, islice
from typing import IO, NamedTuple, TypeVar

import numpy as np
from torch.utils.data import IterableDataset, get_worker_info

from earwitness.data.manifest import Row

log = logging.getLogger("earwitness")

INDEX = "index.json"
NAME = re.compile(r"[\w.-]+\.tar", re.ASCII)  # of a shard
ROW = "json"  # ending of a clip's row
BLOCK = 256  # samples that are shuffled together: about 50 MB of 10 s FLAC
MAX_MEMBER = 1 << 29  # bytes of one sound
SHOWN = 10  # names of damaged clips in a warning

T = TypeVar("T")


class ShardError(ValueError):
    """Shards that cannot be read; the message names the file and the fix."""


class Place(NamedTuple):
    """Position of a reader: epoch, number of the shard among its own, samples taken of it."""

    epoch: int = 0
    shard: int = 0
    position: int = 0


@dataclass(frozen=True)
class Sample:
    """A clip. row.audio: SHARD/MEMBER. sound: a file's bytes. place: where `reader` continues after it."""

    row: Row
    sound: bytes
    reader: int
    place: Place


class ShardStream(IterableDataset[Sample]):
    """Stream of the samples of a set of shards, epoch after epoch.

    source: folder or address that holds index.json. epochs: None for no end. starts: for each reader, number
    rank x workers + worker, the place to resume from; the numbers of ranks and workers must be what they
    were. Damaged clips are skipped with a warning that names them.
    """

    def __init__(
        self,
        source: str,
        *,
        seed: int = 0,
        shuffle: bool = True,
        epochs: int | None = None,
        rank: int = 0,
        world_size: int = 1,
        starts: Mapping[int, Place] | None = None,
    ):
        self.source, self.seed, self.shuffle, self.epochs = source.rstrip("/"), seed, shuffle, epochs
        self.rank, self.world_size, self.starts = rank, world_size, dict(starts or {})
        self.shards = read_index(self.source)

    @property
    def rows(self) -> int:
        """Clips of an epoch, over all readers."""
        return sum(rows for _, rows in self.shards)

    def __iter__(self) -> Iterator[Sample]:
        worker = get_worker_info()
        workers = worker.num_workers if worker else 1
        return self.read(self.rank * workers + (worker.id if worker else 0), self.world_size * workers)

    def read(self, reader: int, readers: int) -> Iterator[Sample]:
        """Yield the samples of one of `readers` readers."""
        start = self.starts.get(reader, Place())
        for epoch in count(start.epoch) if self.epochs is None else range(start.epoch, self.epochs):
            place = Place(epoch)
            for number, part in enumerate(share(self._order(epoch), reader, readers)):
                done = start.position if (epoch, number) == start[:2] else 0
                if (epoch, number) < start[:2]:
                    continue
                samples = islice(self._shuffled(*part, epoch), done, None)
                for position, (row, sound) in enumerate(samples, done + 1):
                    place = Place(epoch, number, position)
                    yield Sample(row, sound, reader, place)
            if self.epochs is None and place == (epoch, 0, 0) and epoch > start.epoch:
                raise ShardError(f"{self.source}: {self.rows} clips are too few for {readers} readers")

    def _order(self, epoch: int) -> list[int]:
        """Numbers of the shards."""
        total = len(self.shards)
        rng = np.random.default_rng((self.seed, epoch))
        return rng.permutation(total).tolist() if self.shuffle else list(range(total))

    def _shuffled(self, shard: int, first: int, step: int, epoch: int) -> Iterator[tuple[Row, bytes]]:
        """Every step-th sample of a shard, shuffled block by block."""
        name, rows = self.shards[shard]
        rng = np.random.default_rng((self.seed, epoch, shard))
        with open_file(f"{self.source}/{name}") as file:
            own = islice(read_shard(file, name, rows), first, None, step)
            while block := list(islice(own, BLOCK)):
                order = rng.permutation(len(block)) if self.shuffle else range(len(block))
                yield from (found for i in order if (found := block[i]))


def share(items: Sequence[T], reader: int, readers: int) -> list[tuple[T, int, int]]:
    """A reader's shards, each with the first of its samples and the step between them.

    Whole shards, as long as there is one for each reader; else readers share a shard sample by sample.
    """
    if len(items) >= readers:
        return [(item, 0, 1) for item in items[reader::readers]]
    number = reader % len(items)
    return [(items[number], reader // len(items), len(range(number, readers, len(items))))]


def read_index(source: str) -> list[tuple[str, int]]:
    """Return the shards' names and numbers of clips. Raises ShardError."""
    place = f"{source}/{INDEX}"
    try:
        with open_file(place) as file:
            shards = list(json.load(file)["shards"].items())
    except FileNotFoundError:
        raise ShardError(f"there is no {place}: write shards with `earwitness data shard`") from None
    except (ValueError, KeyError, AttributeError, TypeError):
        raise ShardError(f"{place} is no index of shards") from None
    wrong = [
        name for name, rows in shards if not NAME.fullmatch(name) or not isinstance(rows, int) or rows < 1
    ]
    if wrong or not shards:
        raise ShardError(f"{place} is no index of shards: {wrong[0] if wrong else 'it names none'}")
    return shards


def read_shard(file: IO[bytes], name: str, rows: int) -> Iterator[tuple[Row, bytes] | None]:
    """Yield the samples of a tar; None for a damaged one. Warn at the end with their names.

    rows: how many there should be.
    """
    faults: list[str] = []
    good = 0
    for key, parts in _members(file, faults):
        try:
            sample = _sample(f"{name}/{key}", parts)
        except (ValueError, RecursionError) as error:
            faults.append(f"{key}: {error}")
            yield None
        else:
            good += 1
            yield sample
    if good < rows:
        shown = "; ".join(faults[:SHOWN]) + ("; ..." if len(faults) > SHOWN else "")
        log.warning("%s: %d of %d clips are damaged and skipped: %s", name, rows - good, rows, shown)


def _members(file: IO[bytes], faults: list[str]) -> Iterator[tuple[str, dict[str, bytes]]]:
    """Group adjacent members by name up to the first dot: key, bytes by ending. Skips damaged headers."""
    key, parts = "", dict[str, bytes]()
    try:
        with tarfile.open(fileobj=file, mode="r|", bufsize=1 << 20, ignore_zeros=True) as tar:
            for member in tar:
                own, _, ending = member.name.rpartition("/")[2].partition(".")
                if own != key and parts:
                    yield key, parts
                    parts = {}
                key = own
                if (content := tar.extractfile(member)) and member.size <= MAX_MEMBER:
                    parts[ending] = content.read()
    except tarfile.TarError as error:
        faults.append(f"{error} at {key or 'the beginning'}")
    if parts:
        yield key, parts


def _sample(place: str, parts: dict[str, bytes]) -> tuple[Row, bytes]:
    sounds = [ending for ending in parts if ending != ROW]
    if len(sounds) != 1 or ROW not in parts:
        raise ValueError(f"holds {' and '.join(sorted(parts))} in place of a sound and its row")
    row = Row.from_json(json.loads(parts[ROW].decode()))
    return replace(row, audio=f"{place}.{sounds[0]}"), parts[sounds[0]]


def open_file(place: str) -> IO[bytes]:
    """Open a local file or any address of fsspec. Raises ShardError where that needs another package."""
    if "://" not in place:
        return open(place, "rb")
    import fsspec

    try:
        return fsspec.open(place, "rb").open()
    except ImportError as error:
        raise ShardError(f"{place}: {error}") from None
