"""A recording that threads read while a process decodes it."""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Iterator
from functools import partial

import numpy as np

SAMPLE = np.dtype(np.float32)
READ_SECONDS = 1.0  # of sound read at once


class Closed(Exception):
    """The recording is no longer needed: its client has disconnected."""


class Recording:
    """with Recording(16_000) as recording: the decoder writes samples to `file`, readers wait for them.

    The samples, float32, are in a file without a name: they take no memory, and the file is gone when it is
    closed. `grow`, `finish` and `fail` report what was written; `blocks`, `waveform` and `longer_than` block
    until what they need is known, and raise what `fail` was called with. faults, covered: known at the end:
    why the file is damaged, and the share of what it declares that could be decoded, 0..1.
    """

    def __init__(self, sample_rate: int) -> None:
        self.sample_rate = sample_rate
        self.faults: list[str] = []
        self.covered = 1.0
        self.file = tempfile.TemporaryFile()  # noqa: SIM115
        self._samples, self._complete = 0, False
        self._error: Exception | None = None
        self._news = threading.Condition()

    def __enter__(self) -> Recording:
        return self

    def __exit__(self, *_: object) -> None:
        """End all waiting: readers raise Closed."""
        with self._news:
            self._error = Closed()
            self._news.notify_all()
            self.file.close()

    @property
    def duration(self) -> float:
        """Duration decoded so far, s."""
        return self._samples / self.sample_rate

    def grow(self, samples: int) -> None:
        """Report the number of samples written so far."""
        with self._news:
            self._samples = samples
            self._news.notify_all()

    def finish(self, faults: list[str], covered: float) -> None:
        with self._news:
            self.faults, self.covered, self._complete = faults, covered, True
            self._news.notify_all()

    def fail(self, error: Exception) -> None:
        with self._news:
            self._error = self._error or error
            self._news.notify_all()

    def longer_than(self, seconds: float) -> bool:
        """Whether the recording is longer; blocks until that is known."""
        most = round(seconds * self.sample_rate)
        with self._news:
            self._news.wait_for(partial(self._known, most))
            self._check(self._samples > most)
            return self._samples > most

    def waveform(self) -> np.ndarray:
        """Return the whole recording, float32 [S]; blocks until it is decoded."""
        with self._news:
            self._news.wait_for(lambda: self._complete or self._error)
            self._check(False)
            return self._read(0, self._samples)

    def blocks(self) -> Iterator[np.ndarray]:
        """Yield float32 [n] from the beginning as they are decoded; decoded audio comes before an error."""
        at, most = 0, round(READ_SECONDS * self.sample_rate)
        while True:
            with self._news:
                self._news.wait_for(partial(self._known, at))
                self._check(self._samples > at)
                if self._samples == at:
                    return
                block = self._read(at, min(self._samples - at, most))
            at += len(block)
            yield block

    def _known(self, samples: int) -> bool:
        """Whether there are more samples than these, or the end is reached."""
        return self._samples > samples or self._complete or self._error is not None

    def _check(self, more: bool) -> None:
        """Raise the error, unless there is `more` to read before it."""
        if self._error and (not more or isinstance(self._error, Closed)):
            raise self._error

    def _read(self, first: int, count: int) -> np.ndarray:
        """Read samples. Called with the lock held, so that the file is open."""
        size = SAMPLE.itemsize
        content = os.pread(self.file.fileno(), count * size, first * size)
        return np.frombuffer(content, SAMPLE)
