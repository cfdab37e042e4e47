"""A progress bar on standard error, with rate and time left, for jobs that take more than two seconds."""

from __future__ import annotations

import time
from types import TracebackType

DELAY = 2.0  # s before the bar shows


class JobProgress:
    """Counts files and the seconds of sound heard in them."""

    def __init__(self, files: int) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        columns = [BarColumn(), TextColumn("{task.fields[files]}"), TextColumn("{task.fields[rate]}")]
        self._bar = Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True)
        self._task = self._bar.add_task("", total=files, files="", rate="")
        self._total, self._heard, self._began, self._shown = files, 0.0, time.monotonic(), False

    def __enter__(self) -> JobProgress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._shown:
            self._bar.stop()

    def __call__(self, done: float, heard: float) -> None:
        """So many files are done, and so many seconds more were heard."""
        self._heard += heard
        elapsed = time.monotonic() - self._began
        if elapsed < DELAY:
            return
        if not self._shown:
            self._bar.start()
            self._shown = True
        rate = f"{done / elapsed:.1f} files/s, {self._heard / elapsed:.0f}x real time"
        self._bar.update(self._task, completed=done, files=f"{int(done)}/{self._total} files", rate=rate)
