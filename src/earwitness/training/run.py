"""`earwitness train`: the stages of a preset, one after the other, in a run folder that can be resumed.

All that can be wrong with recipe, data and folder is looked for before a model is built.
"""

from __future__ import annotations

import json
import shutil
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from safetensors.torch import load_file
from torch import Tensor

from earwitness.build import build_model
from earwitness.checkpoints.folder import fill, save_checkpoint, trained_tensors
from earwitness.config.preset import Preset
from earwitness.model import AudioCaptioningModel
from earwitness.training.beginning import STAGE_WEIGHTS, load_starts, run_tokenizer, with_tags
from earwitness.training.callbacks import save_tensors, whole
from earwitness.training.inputs.stage_data import stage_clips, stage_data
from earwitness.training.model_card import model_card
from earwitness.training.preflight import chosen, data_files, look
from earwitness.training.run_folder import begin
from earwitness.training.stage_trainer import BEST
from earwitness.training.trainer import train_stage

PATIENCE = timedelta(hours=2)  # that processes wait for the first one, which checks all clips


def train(preset: Preset, out: Path) -> AudioCaptioningModel:
    """Runs every stage that is not done yet; the finished model is written to `out`/model.

    Under torchrun every process calls this; the folder must be one that all of them see. Raises ConfigError
    for all that is wrong with recipe or data, CheckpointError for weights that do not fit, Stopped if the run
    was stopped by a signal, DiskFullError, WorkerLostError.
    """
    processes = PartialState(cpu=not torch.cuda.is_available(), timeout=PATIENCE)
    out.mkdir(parents=True, exist_ok=True)
    with processes.main_process_first():
        sources = look(preset, out, processes.num_processes)
        tokenizer = run_tokenizer(preset, out)
    if processes.is_main_process:
        begin(out, preset, data_files(preset), processes.num_processes)
    config = with_tags(preset, sources)
    torch.manual_seed(preset.stages[0].seed if preset.stages else 0)
    model = build_model(config, tokenizer)
    load_starts(model, preset.starts)
    reached: dict[str, Any] = {}
    clips = [stage_clips(stage, sources.get(stage.name)) for _, stage in chosen(preset)]
    for i, (number, stage) in enumerate(chosen(preset)):
        folder = out / f"{number}-{stage.name}"
        done = folder / "done.json"
        if not done.is_file():
            data = stage_data(stage, model, sources.get(stage.name), out.parent / "banks")
            start = {}
            if stage.blend < 1:
                start = {name: tensor.clone() for name, tensor in trained_tensors(model).items()}
            begins = i == 0 and any(source.parts is None for source in preset.starts)
            first = begins if stage.evaluate_start is None else stage.evaluate_start
            later, report_to = sum(clips[i + 1 :]), preset.report_to
            metrics = train_stage(model, stage, folder, data, report_to, evaluate_start=first, later=later)
            trained = blended(start, whole(trained_tensors(model)), stage.blend)
            if processes.is_main_process:
                save_tensors(trained, folder / STAGE_WEIGHTS)
                done.write_text(json.dumps(metrics, indent=1) + "\n", encoding="utf-8")
                tidy(folder)
            processes.wait_for_everyone()
            if any(hasattr(tensor, "placements") for tensor in model.parameters()):
                model = build_model(config, tokenizer)  # the other one stays sharded
        fill(model, load_file(folder / STAGE_WEIGHTS), folder)
        reached[stage.name] = json.loads(done.read_text(encoding="utf-8"))
    if processes.is_main_process:
        card = model_card(preset, model, list(sources.values()), reached)
        save_checkpoint(model.eval(), out / "model", half=True, card=card)
    processes.wait_for_everyone()
    return model


def tidy(folder: Path) -> None:
    """Removes what only a run that resumes needs; the stage's weights, figures and report stay."""
    for checkpoint in folder.glob("checkpoint-*"):
        shutil.rmtree(checkpoint)
    (folder / BEST).unlink(missing_ok=True)


def blended(start: dict[str, Tensor], trained: dict[str, Tensor], share: float) -> dict[str, Tensor]:
    """Weights on the line from where a stage began to where it ended (WiSE-FT, Wortsman et al. 2022).

    What a stage learns of new sounds is kept, and less of what was known is lost. Its metrics are of its end.
    """
    if share == 1.0:
        return trained
    return {
        name: torch.lerp(start[name].to(tensor), tensor, share) if tensor.is_floating_point() else tensor
        for name, tensor in trained.items()
    }
