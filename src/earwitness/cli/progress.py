"""A progress bar on standard error, with rate and time left, for jobs that take more than two seconds."""

from __future__ import annotations

from types import TracebackType

DELAY = 2.0  # s before the bar shows


class JobProgress:
    """Counts files and the seconds of audio captioned in them."""

    def __init__(self, files: int) -> None:
        from tqdm import tqdm

        self._bar = tqdm(total=files, unit=" files", delay=DELAY, leave=False)
        self._seconds = 0.0

    def __enter__(self) -> JobProgress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.close()

    def __call__(self, done: float, seconds: float) -> None:
        """`done` files are complete in all, and `seconds` more of audio."""
        self._seconds += seconds
        elapsed = self._bar.format_dict["elapsed"]
        if elapsed > 0:
            self._bar.set_postfix_str(f"{self._seconds / elapsed:.0f}x real time", refresh=False)
        self._bar.update(done - self._bar.n)
