"""`earwitness train`: the stages of a preset, one after the other, in a run folder that can be resumed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_model, save_model
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from earwitness.build import build_model
from earwitness.checkpoint import save_checkpoint
from earwitness.config import ConfigError, ModelConfig, Preset, SceneData, Stage, TextData
from earwitness.data.bank import Bank
from earwitness.decoding.language_model import normalise_caption
from earwitness.model import AudioCaptioningModel
from earwitness.training.model_card import model_card
from earwitness.training.scene_data import (
    MAX_CAPTION_TOKENS,
    Items,
    SceneCollator,
    SceneSource,
    TextCollator,
    Texts,
    read_captions,
)
from earwitness.training.trainer import train_stage

VOCABULARY = 5000  # pieces of a tokenizer trained on the recipe's own captions


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
    """Runs every stage that is not done yet; the finished model is written to `out`/model."""
    out.mkdir(parents=True, exist_ok=True)
    sources = _scene_sources(preset, out)
    tokenizer = _tokenizer(preset, out)
    config = _with_tags(preset.model, sources)
    torch.manual_seed(preset.stages[0].seed if preset.stages else 0)
    model = build_model(config, tokenizer)
    reached: dict[str, Any] = {}
    for number, stage in enumerate(preset.stages):
        folder = out / f"{number}-{stage.name}"
        done = folder / "done.json"
        if not done.is_file():
            metrics = train_stage(model, stage, folder, *_data(stage, model, sources))
            save_model(model, str(folder / "stage.safetensors"))
            done.write_text(json.dumps(metrics, indent=1) + "\n", encoding="utf-8")
        load_model(model, str(folder / "stage.safetensors"))
        reached[stage.name] = json.loads(done.read_text(encoding="utf-8"))
    banks = list({id(source.bank): source.bank for source in sources.values()}.values())
    save_checkpoint(model.eval(), out / "model", half=True, card=model_card(preset, model, banks, reached))
    return model


def _scene_sources(preset: Preset, out: Path) -> dict[str, SceneSource]:
    """A source for each stage of scenes; a bank is opened once, its frames kept beside the run folder."""
    sections = {s.name: s.data for s in preset.stages if isinstance(s.data, SceneData)}
    banks = {name: Bank.open(name, out.parent / "banks") for name in {s.bank for s in sections.values()}}
    return {name: SceneSource(section, banks[section.bank]) for name, section in sections.items()}


def _tokenizer(preset: Preset, out: Path) -> PreTrainedTokenizerFast | None:
    if preset.model.language_model.source is not None:
        return None
    folder = out / "tokenizer"
    if not folder.is_dir():
        paths = [p for s in preset.stages for p in getattr(s.data, "captions", [])]
        train_tokenizer(read_captions(list(dict.fromkeys(paths)))).save_pretrained(folder)
    return PreTrainedTokenizerFast.from_pretrained(folder, local_files_only=True)


def _with_tags(config: ModelConfig, sources: dict[str, SceneSource]) -> ModelConfig:
    """The encoder's tag head names what the bank holds, unless the preset says otherwise."""
    encoder = config.encoder
    if encoder.kind != "conv" or encoder.tags or not sources:
        return config
    names = next(iter(sources.values())).tag_set.names
    return config.model_copy(update={"encoder": encoder.model_copy(update={"tags": names})})


def _data(
    stage: Stage, model: AudioCaptioningModel, sources: dict[str, SceneSource]
) -> tuple[Any, Any, Any, Any]:
    """Training items, validation items and the collators of both."""

    def encode(captions: list[str]) -> tuple[torch.Tensor, torch.Tensor]:
        return model.language_model.encode_captions(captions, MAX_CAPTION_TOKENS)

    if isinstance(stage.data, TextData):
        train_items = read_captions(stage.data.captions)
        known = set(train_items)
        validation = [c for c in read_captions(stage.data.validation_captions) if c not in known]
        return (
            Texts(train_items, stage.data.epochs),
            Items(validation),
            TextCollator(encode),
            TextCollator(encode),
        )
    if isinstance(stage.data, SceneData):
        source = sources[stage.name]
        encoder = encode if stage.task == "captioning" else None
        return (
            Items(range(stage.data.count)),
            Items(range(stage.data.validation_count)),
            SceneCollator(source.composer(validation=False), encoder, masks=True, lengths=stage.data.lengths),
            SceneCollator(source.composer(validation=True), encoder, masks=False),
        )
    raise ConfigError(f"stage {stage.name}: data of kind {stage.data.kind} is not known to this task")
