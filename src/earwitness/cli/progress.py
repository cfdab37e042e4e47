"""Progress bars on standard error, for jobs that take more than two seconds."""

from __future__ import annotations

from threading import Timer
from types import TracebackType

DELAY = 2.0  # s before the bar appears


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
        """Set the number of completed files and add `seconds` of audio."""
        self._seconds += seconds
        elapsed = self._bar.format_dict["elapsed"]
        if elapsed > 0:
            self._bar.set_postfix_str(f"{self._seconds / elapsed:.0f}x real time", refresh=False)
        self._bar.update(done - self._bar.n)


class StepProgress:
    """Shows the current step and the number of completed ones, after DELAY, even within a step."""

    def __init__(self) -> None:
        from tqdm import tqdm

        self._bar = tqdm(unit=" metrics", delay=DELAY, leave=False)
        self._timer = Timer(DELAY, self._bar.refresh)
        self._timer.daemon = True

    def __enter__(self) -> StepProgress:
        self._timer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timer.cancel()
        self._timer.join()
        self._bar.close()

    def __call__(self, name: str, done: int, total: int) -> None:
        """Begin step `name`, after `done` of `total`."""
        self._bar.total = total
        self._bar.set_description_str(name, refresh=False)
        self._bar.update(done - self._bar.n)
