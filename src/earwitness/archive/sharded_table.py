"""A table that many processes write together, in shards that appear whole or not at all.

    table = ShardedTable(Path("captions.jsonl"), "mini", resume=True)
    for file in (file for file in files if not table.has(file)):
        table.write(file, captions)  # or table.fail(file, reason)
    table.close()

Rows gather in captions.jsonl.shards/ and become one table when all is done. A process that is killed loses
the rows of its last seconds; they are captioned again.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import time
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from earwitness.captions import Caption
from earwitness.tables import FORMATS, Row, read_rows, row, write_lines, write_rows

SHARD_FILES, SHARD_SECONDS = 1000, 10.0  # a shard is written when it holds so many files, or after so long


class Share(NamedTuple):
    """One of several processes that share an archive: a file belongs to exactly one of them."""

    rank: int = 0
    world: int = 1

    @classmethod
    def from_environment(cls) -> Share:
        """What torchrun, a Slurm array or srun says of this process."""
        at = os.environ.get
        if "WORLD_SIZE" in os.environ:
            return cls(int(at("RANK", "0")), int(at("WORLD_SIZE", "1")))
        if "SLURM_ARRAY_TASK_COUNT" in os.environ:
            first = int(at("SLURM_ARRAY_TASK_MIN", "0"))
            step = int(at("SLURM_ARRAY_TASK_STEP", "1"))
            return cls(
                (int(at("SLURM_ARRAY_TASK_ID", "0")) - first) // step, int(at("SLURM_ARRAY_TASK_COUNT", "1"))
            )
        return cls(int(at("SLURM_PROCID", "0")), int(at("SLURM_STEP_NUM_TASKS", "1")))

    def has(self, file: str) -> bool:
        """Depends on the file's name alone, so that it stays when the archive grows."""
        return zlib.crc32(os.fsencode(file)) % self.world == self.rank


class DiskFull(OSError):
    """No space is left where a table is written; says what is kept and how to resume."""


@contextmanager
def _naming_a_full_disk(out: Path, folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        raise DiskFull(
            f"{out}: no space is left on the disk. The captions written so far are kept in {folder}; free "
            "some space and run the same command with --resume"
        ) from error


class ShardedTable:
    """The table OUT, written by way of shards in OUT.shards/: JSON lines of rows, or of {"path", "error"}.

    resume: keep what OUT and its shards hold; else a process that works alone begins anew. When the last of
    the processes that share the work closes, the shards become OUT, and the files that could not be
    captioned are listed in OUT.failed.jsonl. ids: of files, in place of their paths without extension. Raises
    ValueError for an OUT that is no table of captions, DiskFull as soon as a shard cannot be written.
    """

    def __init__(
        self,
        out: Path,
        model: str,
        *,
        resume: bool = False,
        corrected: bool = False,
        share: Share = Share(),  # noqa: B008 - immutable
        ids: Mapping[str, str] | None = None,
    ) -> None:
        if out.suffix.lower() not in FORMATS:
            raise ValueError(f"--out {out}: choose a name that ends in {', '.join(FORMATS)}")
        self.out, self.model, self.corrected, self.share, self.ids = out, model, corrected, share, ids or {}
        self.folder = out.with_name(out.name + ".shards")
        self.failures = out.with_name(out.name + ".failed.jsonl")
        if not resume and share.world == 1:
            shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.resume = resume
        self._closed(share.rank).unlink(missing_ok=True)
        self.done = {each["path"] for each in self._rows() if "error" not in each}
        numbers = [int(shard.stem.split("-")[1]) for shard in self._shards() if self._is_own(shard)]
        self._next = 1 + max(numbers, default=-1)
        self._begin()

    def has(self, path: str) -> bool:
        """Whether its captions are there already, or are another process's work."""
        return path in self.done or not self.share.has(path)

    def refuses(self, path: str) -> str | None:
        return None

    def write(self, path: str, captions: list[Caption]) -> None:
        """All captions of one file."""
        self.done.add(path)
        self._hold(row(caption, self.model, self.ids.get(path)) for caption in captions)

    def fail(self, path: str, reason: str) -> None:
        """This file has no captions."""
        self._hold([{"path": path, "error": reason}])

    def close(self) -> None:
        self._flush()
        if self.share.world > 1:
            self._closed(self.share.rank).touch()
        if self.share.world == 1 or all(self._closed(r).exists() for r in range(self.share.world)):
            self._merge()

    def _hold(self, rows: Iterable[Row]) -> None:
        self._held += rows
        self._files += 1
        if self._files >= SHARD_FILES or time.monotonic() - self._began >= SHARD_SECONDS:
            self._flush()

    def _begin(self) -> None:
        self._held: list[Row] = []
        self._files, self._began = 0, time.monotonic()

    def _flush(self) -> None:
        if self._held:
            with _naming_a_full_disk(self.out, self.folder):
                write_lines(self._held, self.folder / f"{self.share.rank:05}-{self._next:08}.jsonl")
            self._next += 1
        self._begin()

    def _merge(self) -> None:
        """Two processes that end together may both come here: each writes the whole, or finds it written."""
        failed: dict[str, str] = {}
        captioned: set[str] = set()
        try:
            with _naming_a_full_disk(self.out, self.folder):
                write_rows(self._sound_rows(failed, captioned), self.out, corrected=self.corrected)
        except FileNotFoundError:  # a shard is gone: the other process has merged it
            return
        self.failures.unlink(missing_ok=True)
        if lost := [{"path": path, "error": why} for path, why in failed.items() if path not in captioned]:
            write_lines(lost, self.failures)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _sound_rows(self, failed: dict[str, str], captioned: set[str]) -> Iterator[Row]:
        for each in self._rows():
            if "error" in each:
                failed[each["path"]] = each["error"]
            else:
                captioned.add(each["path"])
                yield each

    def _rows(self) -> Iterator[Row]:
        """Those of OUT, if it is kept, then those of the shards: each file's once.

        The shards are listed before OUT is opened: one that is merged meanwhile is then found in OUT.
        """
        shards = self._shards()
        merged: set[str] = set()
        if (self.resume or self.share.world > 1) and self.out.is_file():
            for each in read_rows(self.out):
                merged.add(each["path"])
                yield each
        for shard in shards:
            with shard.open("rb") as lines:
                yield from (each for each in map(json.loads, lines) if each["path"] not in merged)

    def _shards(self) -> list[Path]:
        return sorted(self.folder.glob("*-*.jsonl"))

    def _is_own(self, shard: Path) -> bool:
        return int(shard.stem.split("-")[0]) == self.share.rank

    def _closed(self, rank: int) -> Path:
        return self.folder / f"{rank:05}-of-{self.share.world:05}.closed"
