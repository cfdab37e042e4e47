"""`earwitness train`: the stages of a preset, one after the other, in a run folder that can be resumed.

All that can be wrong with recipe, data and folder is looked for before a model is built.
"""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from safetensors.torch import load_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from earwitness.build import build_model
from earwitness.checkpoints.folder import CONFIG, fill, save_checkpoint, trained_tensors
from earwitness.config.errors import ConfigError
from earwitness.config.model import ModelConfig
from earwitness.config.preset import Preset
from earwitness.decoding.words import normalise_caption
from earwitness.model import AudioCaptioningModel
from earwitness.training.callbacks import save_tensors, whole
from earwitness.training.inputs.scene_data import SceneSource, read_captions
from earwitness.training.inputs.stage_data import stage_data
from earwitness.training.model_card import model_card
from earwitness.training.preflight import STAGE_WEIGHTS, chosen, data_files, look, weights_file
from earwitness.training.run_folder import begin
from earwitness.training.trainer import train_stage

VOCABULARY = 5000  # pieces of a tokenizer trained on the recipe's own captions
PATIENCE = timedelta(hours=2)  # that processes wait for the first one, which looks at all clips


def train_tokenizer(captions: list[str], size: int = VOCABULARY) -> PreTrainedTokenizerFast:
    """Byte-level BPE on normalised captions, with <s> and </s>; nothing is ever unknown to it."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=["<s>", "</s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator((normalise_caption(c) for c in captions), trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>")


def train(preset: Preset, out: Path) -> AudioCaptioningModel:
    """Runs every stage that is not done yet; the finished model is written to `out`/model.

    Under torchrun every process calls this; the folder must be one that all of them see. Raises ConfigError
    for all that is wrong with recipe or data, CheckpointError for weights that do not fit, Stopped if the run
    was asked to end, DiskFullError, WorkerLostError.
    """
    processes = PartialState(cpu=not torch.cuda.is_available(), timeout=PATIENCE)
    out.mkdir(parents=True, exist_ok=True)
    with processes.main_process_first():
        sources = look(preset, out)
        tokenizer = _tokenizer(preset, out)
    if processes.is_main_process:
        begin(out, preset, data_files(preset), processes.num_processes)
    config = _with_tags(preset.model, sources, preset.init)
    torch.manual_seed(preset.stages[0].seed if preset.stages else 0)
    model = build_model(config, tokenizer)
    if preset.init:
        fill(model, _beginning(model, preset.init), preset.init)
    reached: dict[str, Any] = {}
    for number, stage in chosen(preset):
        folder = out / f"{number}-{stage.name}"
        done = folder / "done.json"
        if not done.is_file():
            data = stage_data(stage, model, sources.get(stage.name), out.parent / "banks")
            start = {}
            if stage.blend < 1:
                start = {name: tensor.clone() for name, tensor in trained_tensors(model).items()}
            metrics = train_stage(model, stage, folder, *data, report_to=preset.report_to)
            trained = blended(start, whole(trained_tensors(model)), stage.blend)
            if processes.is_main_process:
                save_tensors(trained, folder / STAGE_WEIGHTS)
                done.write_text(json.dumps(metrics, indent=1) + "\n", encoding="utf-8")
            processes.wait_for_everyone()
            if any(hasattr(tensor, "placements") for tensor in model.parameters()):
                model = build_model(config, tokenizer)  # the other one is in parts, for good
        fill(model, load_file(folder / STAGE_WEIGHTS), folder)
        reached[stage.name] = json.loads(done.read_text(encoding="utf-8"))
    if processes.is_main_process:
        card = model_card(preset, model, list(sources.values()), reached)
        save_checkpoint(model.eval(), out / "model", half=True, card=card)
    processes.wait_for_everyone()
    return model


def _beginning(model: AudioCaptioningModel, init: str) -> dict[str, Tensor]:
    """The weights that training starts from; a joint space may be given to a model that had none."""
    tensors = load_file(weights_file(init))
    if any(name.startswith("space.") for name in tensors):
        return tensors
    return {k: v for k, v in trained_tensors(model).items() if k.startswith("space.")} | tensors


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


def _tokenizer(preset: Preset, out: Path) -> PreTrainedTokenizerFast | None:
    """That of a language model with random weights: where training starts from, or made from the captions."""
    if preset.model.language_model.source is not None:
        return None
    folder = out / "tokenizer"
    if not folder.is_dir():
        made = _tokenizer_of(preset.init) if preset.init else train_tokenizer(_captions(preset))
        made.save_pretrained(folder)
    return PreTrainedTokenizerFast.from_pretrained(folder, local_files_only=True)


def _tokenizer_of(init: str) -> PreTrainedTokenizerFast:
    start = weights_file(init).parent
    folder = start if (start / "tokenizer.json").is_file() else start.parent / "tokenizer"
    return PreTrainedTokenizerFast.from_pretrained(folder, local_files_only=True)


def _captions(preset: Preset) -> list[str]:
    """Those of the stages of scenes and of text."""
    paths = [p for s in preset.stages for p in getattr(s.data, "captions", [])]
    if captions := read_captions(list(dict.fromkeys(paths))):
        return captions
    raise ConfigError(
        "language_model.config: a tokenizer is made from the captions of stages of text or scenes; "
        "add such a stage, set init, or name a language_model.source"
    )


def _with_tags(config: ModelConfig, sources: dict[str, Any], init: str | None = None) -> ModelConfig:
    """The encoder's tag head names what the preset says, else what the bank holds or `init` named."""
    encoder = config.encoder
    names = next((s.tag_set.names for s in sources.values() if isinstance(s, SceneSource)), None)
    if names is None and init and (start := weights_file(init).with_name(CONFIG)).is_file():
        names = json.loads(start.read_text("utf-8"))["encoder"].get("tags")
    if encoder.kind != "conv" or encoder.tags or names is None:
        return config
    return config.model_copy(update={"encoder": encoder.model_copy(update={"tags": names})})
