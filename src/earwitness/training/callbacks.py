"""What happens beside the steps: averaged weights, checkpoints that are whole, an end on request."""

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

LEAST_FREE = 16 * 2**20  # bytes; a writer that fails with less than this left failed for want of space


class WeightAverage(TrainerCallback):
    """Exponential moving average of the trained weights, batch-norm statistics included.

    It is what is evaluated and handed on: on small data it generalises better than the last step.
    weights: gives the live tensors by name.
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
        """Inside, the model's weights are the averaged ones."""
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
    """Marks a checkpoint as wholly written; a run killed while writing one goes back to the one before."""

    FILE = "complete"

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if torch.distributed.is_initialized():
            torch.distributed.barrier()  # each process writes its own random state
        if state.is_world_process_zero:
            (checkpoint(args, state) / self.FILE).touch()

    @classmethod
    def last(cls, folder: Path, *, tidy: bool) -> Path | None:
        """The newest whole checkpoint. tidy: those written in part are removed."""
        for found in sorted(folder.glob("checkpoint-*"), key=_step, reverse=True):
            if (found / cls.FILE).is_file():
                return found
            if tidy:
                shutil.rmtree(found)
        return None


class StopOnSignal(TrainerCallback):
    """SIGTERM, which schedulers send before a time limit: finish the step, write a checkpoint, end the run.

    All processes stop after the same step, as soon as one was asked to.
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
        """Lets a loader's workers live through a SIGTERM to all: its batches are still needed."""
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
            control.should_evaluate = False  # there may not be the time

    def _ask(self, *_: Any) -> None:
        self.asked = True


def _end_children() -> None:
    """As this process ends: Python would send them SIGTERM, which they live through, and wait for ever."""
    if hasattr(signal, "SIGCHLD"):  # torch's handler would call their end an error
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for process in multiprocessing.active_children():
        if process.daemon:
            process.kill()


class Stopped(RuntimeError):
    """The run was asked to stop and did, at a checkpoint."""


class DiskFullError(RuntimeError):
    """The run folder's disk has no room; the message says how much there is and what to do."""


@contextmanager
def disk_full_named(folder: Path) -> Iterator[None]:
    """Turns what writers raise on a full disk, each something else, into one DiskFullError."""
    try:
        yield
    except (OSError, RuntimeError, ValueError, SafetensorError) as error:
        free = shutil.disk_usage(folder).free
        told = getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT) or "No space left" in str(error)
        if not told and free > LEAST_FREE:
            raise
        raise DiskFullError(
            f"the disk of {folder} is full ({free / 2**20:.0f} MB left): make room and give the same command "
            "again, which goes on from the last whole checkpoint"
        ) from error


class WorkerLostError(RuntimeError):
    """A process that loads data was killed; the message says what may have done it and what to do."""


@contextmanager
def lost_worker_named() -> Iterator[None]:
    """Turns what DataLoader raises into a WorkerLostError.

    No checkpoint is written then: the signal that tells of the loss comes in the midst of a step.
    """
    try:
        yield
    except (RuntimeError, ConnectionError, EOFError) as error:
        if not (str(error).startswith("DataLoader worker (pid") or _while_fetching(error)):
            raise
        raise WorkerLostError(
            f"a process that loads data was lost ({str(error).rstrip('. ')}), as the system does when memory "
            "runs out: give the same command again, which goes on from the last whole checkpoint; if it "
            "happens again, set fewer stages.*.workers"
        ) from error


def _while_fetching(error: BaseException) -> bool:
    """Whether a worker was lost in the middle of handing over a batch: then its connection breaks first."""
    if not isinstance(error, ConnectionError | EOFError):
        return False
    return any("/multiprocessing/" in frame.filename for frame in traceback.extract_tb(error.__traceback__))


def check_room(folder: Path, needed: int) -> None:
    """Raises DiskFullError if the disk of `folder` has less than `needed` bytes left."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise DiskFullError(
            f"the checkpoints of {folder} need about {needed / 2**30:.1f} GB, its disk has "
            f"{free / 2**30:.1f} GB left: make room, or name another folder with --out"
        )


def whole(tensors: Tensors) -> Tensors:
    """Those that are spread over processes (FSDP) put together, which all processes must ask for at once."""
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
