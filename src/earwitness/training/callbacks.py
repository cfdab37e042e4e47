"""Trainer callbacks: weight averaging, complete checkpoints, stop on request; disk and worker failures."""

from __future__ import annotations

import errno
import multiprocessing
import shutil
import signal
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.util import Finalize
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.utils.data import DataLoader
from transformers import TrainerCallback

from earwitness.atomic_write import atomic_path

Tensors = dict[str, Tensor]

LEAST_FREE = 16 * 2**20  # bytes; a write error with less than this free is taken for a full disk


class WeightAverage(TrainerCallback):
    """Exponential moving average of the trained weights, batch-norm statistics included.

    The averaged weights are evaluated and saved: on small data they generalise better than the last step's.
    weights: returns the live tensors by name.
    """

    FILE = "average.safetensors"

    def __init__(self, weights: Callable[[], Tensors], decay: float):
        self.weights, self.decay = weights, decay
        self.average = {k: v.detach().clone() for k, v in self._live()}

    def _live(self) -> Iterator[tuple[str, Tensor]]:
        return ((k, v) for k, v in self.weights().items() if v.is_floating_point())

    @torch.no_grad()
    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        decay = min(self.decay, (1 + state.global_step) / (10 + state.global_step))
        for name, value in self._live():
            self.average[name] = self.average[name].to(value.device).lerp_(value, 1 - decay)

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.is_world_process_zero:
            save_tensors(self.average, checkpoint(args, state) / self.FILE)

    def resume(self, folder: Path) -> None:
        self.average = load_file(folder / self.FILE)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Give the model the averaged weights for the duration of the context."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    @torch.no_grad()
    def _swap(self) -> None:
        for name, value in self._live():
            kept = value.clone()
            value.copy_(self.average[name])
            self.average[name] = kept


class Seal(TrainerCallback):
    """Mark a checkpoint as complete; a run killed while writing one resumes from the checkpoint before."""

    FILE = "complete"

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if torch.distributed.is_initialized():
            torch.distributed.barrier()  # each process writes its own random state
        if state.is_world_process_zero:
            (checkpoint(args, state) / self.FILE).touch()

    @classmethod
    def last(cls, folder: Path, *, tidy: bool) -> Path | None:
        """The newest complete checkpoint. tidy: remove incomplete ones."""
        for found in sorted(folder.glob("checkpoint-*"), key=_step, reverse=True):
            if (found / cls.FILE).is_file():
                return found
            if tidy:
                shutil.rmtree(found)
        return None


class StopOnSignal(TrainerCallback):
    """SIGTERM, which schedulers send before a time limit: finish the step, write a checkpoint, end the run.

    All processes stop after the same step, as soon as one of them gets the signal.
    """

    def __init__(self) -> None:
        self.asked = False
        self._before: Any = None

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._before = signal.signal(signal.SIGTERM, self._ask)

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        signal.signal(signal.SIGTERM, self._before)

    @staticmethod
    def spare(loader: DataLoader[Any]) -> DataLoader[Any]:
        """Make a loader's workers ignore a SIGTERM to the process group: their batches are still needed."""
        before = loader.worker_init_fn
        Finalize(None, _end_children, exitpriority=0)

        def begin(worker: int) -> None:
            if before:
                before(worker)
            signal.signal(signal.SIGTERM, signal.SIG_IGN)

        getattr(loader, "base_dataloader", loader).worker_init_fn = begin  # inside accelerate's wrapper
        return loader

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if args.world_size > 1:
            asked = torch.tensor(float(self.asked), device=args.device)
            torch.distributed.all_reduce(asked)
            self.asked = bool(asked)
        if self.asked:
            control.should_save = control.should_training_stop = True
            control.should_evaluate = False  # the time limit may be near

    def _ask(self, *_: Any) -> None:
        self.asked = True


def _end_children() -> None:
    """Kill workers at exit: Python would send them SIGTERM, which they ignore, and wait for ever."""
    if hasattr(signal, "SIGCHLD"):  # torch's handler would report their end as an error
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for process in multiprocessing.active_children():
        if process.daemon:
            process.kill()


class Stopped(RuntimeError):
    """The run was stopped by request, at a checkpoint."""


class DiskFullError(RuntimeError):
    """The run folder's disk is full; the message states the free space and the fix."""


@contextmanager
def disk_full_named(folder: Path) -> Iterator[None]:
    """Raise DiskFullError in place of the various errors that writers raise on a full disk."""
    try:
        yield
    except (OSError, RuntimeError, ValueError, SafetensorError) as error:
        free = shutil.disk_usage(folder).free
        full = getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT) or "No space left" in str(error)
        if not full and free > LEAST_FREE:
            raise
        raise DiskFullError(
            f"the disk of {folder} is full ({free / 2**20:.0f} MB left): free some space and repeat the "
            "command; it resumes from the last complete checkpoint"
        ) from error


class WorkerLostError(RuntimeError):
    """A data-loading worker was killed; the message states the likely cause and the fix."""


@contextmanager
def lost_worker_named() -> Iterator[None]:
    """Raise WorkerLostError in place of the errors that DataLoader raises.

    No checkpoint is written then: the loss is signalled in the middle of a step.
    """
    try:
        yield
    except (RuntimeError, ConnectionError, EOFError) as error:
        if not (str(error).startswith("DataLoader worker (pid") or _while_fetching(error)):
            raise
        raise WorkerLostError(
            f"a data-loading worker was killed ({str(error).rstrip('. ')}), probably because memory ran out: "
            "repeat the command, which resumes from the last complete checkpoint; if it happens again, set "
            "fewer stages.*.workers"
        ) from error


def _while_fetching(error: BaseException) -> bool:
    """Whether a worker died while it transferred a batch: its connection then breaks first."""
    if not isinstance(error, ConnectionError | EOFError):
        return False
    return any("/multiprocessing/" in frame.filename for frame in traceback.extract_tb(error.__traceback__))


def check_room(folder: Path, needed: int) -> None:
    """Raise DiskFullError if the disk of `folder` has less than `needed` bytes free."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise DiskFullError(
            f"the checkpoints of {folder} need about {needed / 2**30:.1f} GB, its disk has "
            f"{free / 2**30:.1f} GB left: free some space or set another folder with --out"
        )


def whole(tensors: Tensors) -> Tensors:
    """Gather tensors sharded over processes (FSDP). All processes must call this together."""
    return {k: v.full_tensor() if hasattr(v, "full_tensor") else v for k, v in tensors.items()}


def save_tensors(tensors: Tensors, path: Path) -> None:
    """Write a safetensors file, complete or not at all."""
    with atomic_path(path) as part:
        save_file({k: v.detach().cpu().contiguous() for k, v in tensors.items()}, part)


def checkpoint(args: Any, state: Any) -> Path:
    """The folder of the checkpoint that is written at this step."""
    return Path(args.output_dir) / f"checkpoint-{state.global_step}"


def _step(folder: Path) -> int:
    number = folder.name.rpartition("-")[2]
    return int(number) if number.isdigit() else -1
