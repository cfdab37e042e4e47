"""Progress of a run: a line at each log, full sample captions, the remaining time."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

from transformers import TrainerCallback

from earwitness.training.evaluation import sample_parts

SHOWN = ("loss", "grad_norm", "learning_rate")  # of a line; metrics.jsonl has every value


class Display(TrainerCallback):
    """Prints what is logged.

    stage: its name. clips: of a step. later: clips of later stages, for the remaining time of the recipe,
    which assumes this stage's time per clip. say: prints a line; None: nothing is printed.
    """

    def __init__(
        self, stage: str, *, clips: int, later: int = 0, say: Callable[[str], None] | None = None
    ) -> None:
        self.stage, self.clips, self.later, self.say = stage, clips, later, say
        self._start: tuple[float, int] | None = None  # time and step

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if self._start is None:
            self._start = time.monotonic(), state.global_step

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        if self.say is None or not state.is_world_process_zero or not logs:
            return
        for line in evaluation_lines(logs) if "eval_loss" in logs else [self._line(state, logs)]:
            self.say(line)

    def _line(self, state: Any, logs: dict[str, Any]) -> str:
        words = [f"{self.stage}: step {state.global_step} of {state.max_steps}"]
        if state.epoch is not None:
            words.append(f"epoch {state.epoch:.2f}")
        words += [f"{name} {logs[name]:.4g}" for name in SHOWN if name in logs]
        return ", ".join(words + self._time(state))

    def _time(self, state: Any) -> list[str]:
        if self._start is None or state.global_step == self._start[1]:
            return []
        step = (time.monotonic() - self._start[0]) / (state.global_step - self._start[1])
        left = step * (state.max_steps - state.global_step)
        words = [f"{step:.3g} s a step", f"{duration(left)} left"]
        if self.later:
            words.append(f"about {duration(left + step * self.later / self.clips)} of the recipe")
        return words


def evaluation_lines(logs: dict[str, Any]) -> list[str]:
    """Return the figures of an evaluation as one line, then each sample caption above its target."""
    numbers = {k.removeprefix("eval_"): v for k, v in logs.items() if k.startswith("eval_")}
    figures = ", ".join(f"{k} {v:.4g}" for k, v in numbers.items() if isinstance(v, float))
    samples = [sample_parts(value) for name, value in logs.items() if name.startswith("sample_")]
    lines = [f"    {title:8} {text}" for pair in samples for title, text in zip(("caption", "wanted"), pair)]
    return [f"  validation: {figures}", *lines]


def to_stderr(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def duration(seconds: float) -> str:
    """45 s, 12 min, 3.4 h."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
