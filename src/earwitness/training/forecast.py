"""Requirements of a recipe: steps of each stage, and from a dry run time, memory and disk space."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from resource import RUSAGE_SELF, getrusage
from typing import Any

import torch
from torch.utils.data import IterableDataset

from earwitness.build import build_model
from earwitness.checkpoints.folder import trained_tensors
from earwitness.config.preset import Preset
from earwitness.config.stages import Stage
from earwitness.model import AudioCaptioningModel
from earwitness.training.arguments import parameter_groups, training_arguments
from earwitness.training.beginning import load_starts, run_tokenizer, with_tags
from earwitness.training.callbacks import check_room
from earwitness.training.display import duration
from earwitness.training.evaluation import to_device
from earwitness.training.inputs.stage_data import stage_clips, stage_data, stage_steps
from earwitness.training.preflight import chosen, look
from earwitness.training.tower_check import tower_lines
from earwitness.training.trainer import prepared_task


def forecast(preset: Preset, out: Path, *, dry_run: bool = False) -> Iterator[str]:
    """Check recipe, data and weights, and yield lines on the run's requirements.

    dry_run: also build the model and time three steps of every stage. Raises ConfigError with all faults
    before anything is built.
    """
    out.mkdir(parents=True, exist_ok=True)
    processes = int(os.environ.get("WORLD_SIZE", 1))
    sources = look(preset, out, processes)
    yield from tower_lines(preset.model)
    total, model = 0.0, None
    if dry_run:
        model = build_model(with_tags(preset, sources), run_tokenizer(preset, out))
        load_starts(model, preset.starts)
        yield from _sizes(preset, model, out)
    for _, stage in chosen(preset):
        source = sources.get(stage.name)
        steps = stage_steps(stage, source, processes)
        line = f"{stage.name}: {stage_clips(stage, source)} clips in {steps} steps, "
        line += f"validated every {stage.evaluate_every}"
        if stage_clips(stage, source) < stage.batch_size * stage.accumulate:
            line += "; they do not fill a step: lower batch_size"
        if model is not None:
            seconds, memory = timed_steps(model, stage, source, out)
            total += steps * seconds
            line += f"; {seconds:.2g} s a step on this machine, {memory / 2**30:.1f} GB of memory, "
            line += f"{duration(steps * seconds)} without validation"
        yield line
        if "fsdp" in stage.trainer and processes == 1:
            yield f"{stage.name}: trainer.fsdp needs several processes: start it with torchrun"
    if model is not None:
        yield f"in all {duration(total)} on this machine, without validation"


def _sizes(preset: Preset, model: AudioCaptioningModel, out: Path) -> Iterator[str]:
    """Parameters, and room that the checkpoints of the largest stage need. Raises DiskFullError."""
    parameters = list(model.parameters())
    saved = sum(t.numel() * t.element_size() for t in trained_tensors(model).values())
    trained = sum(p.numel() for p in parameters if p.requires_grad)
    needed = 3 * (2 * saved + 8 * trained)  # three checkpoints at once: weights, average, AdamW's moments
    yield (
        f"model: {sum(p.numel() for p in parameters) / 1e6:.1f} million parameters, {trained / 1e6:.1f} "
        f"million trained; checkpoints take up to {needed / 1e6:.0f} MB, "
        f"{shutil.disk_usage(out).free / 1e6:.0f} MB are free"
    )
    check_room(out, needed)


def timed_steps(model: AudioCaptioningModel, stage: Stage, source: Any, out: Path) -> tuple[float, int]:
    """Seconds of a step, data included, over three after a first one, and the most memory used, in bytes.

    The model is trained a little by it.
    """
    arguments = training_arguments(stage, Path("."), [])
    task = prepared_task(model, stage, bf16=arguments.bf16, device=str(arguments.device)).to(arguments.device)
    train, _, collate, _ = stage_data(stage, model, source, out.parent / "banks")
    optimizer = torch.optim.AdamW(parameter_groups(task, stage), lr=stage.learning_rate)
    items = (
        islice(iter(train), 4 * stage.batch_size)
        if isinstance(train, IterableDataset)
        else (train[i % len(train)] for i in range(4 * stage.batch_size))
    )
    start = time.monotonic()
    for step in range(4):
        if step == 1:
            start = time.monotonic()
        batch = to_device(collate(list(islice(items, stage.batch_size))), arguments.device)
        batch.pop("place", None)
        with torch.autocast(arguments.device.type, torch.bfloat16, enabled=arguments.bf16):
            loss = task.train()(**batch)["loss"]
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        loss.item()  # waits for a GPU
    seconds = (time.monotonic() - start) / 3 * stage.accumulate
    on_gpu = arguments.device.type == "cuda"
    return seconds, torch.cuda.max_memory_allocated() if on_gpu else 1024 * getrusage(RUSAGE_SELF).ru_maxrss
