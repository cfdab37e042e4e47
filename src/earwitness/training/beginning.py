"""Initial state of training: weights of other runs and models, their tokenizer and tags."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from safetensors.torch import load_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from earwitness.built_in import local_folder
from earwitness.checkpoints.folder import WEIGHTS, fill, resolve, trained_tensors
from earwitness.config.errors import ConfigError
from earwitness.config.model import ModelConfig
from earwitness.config.preset import Preset
from earwitness.config.start import CONFIG, RUN_MODEL, Start, model_section
from earwitness.decoding.words import normalise_caption
from earwitness.model import AudioCaptioningModel
from earwitness.training.inputs.scene_data import SceneSource, read_captions

STAGE_WEIGHTS = "stage.safetensors"
VOCABULARY = 5000  # tokens of a tokenizer trained on the recipe's own captions


def weights_file(source: str) -> Path:
    """Return the file of trained tensors of a stage's folder, a run's last stage, or a checkpoint."""
    folder = local_folder(source)
    if folder is None:
        return resolve(source) / WEIGHTS
    done = sorted(folder.glob(f"*/{STAGE_WEIGHTS}"), key=lambda file: int(file.parent.name.partition("-")[0]))
    if (folder / STAGE_WEIGHTS).is_file():
        return folder / STAGE_WEIGHTS
    if done:
        return done[-1]
    if not (folder / CONFIG).is_file():
        raise ConfigError(f"init: {source} holds neither a finished stage nor a checkpoint ({CONFIG})")
    return folder / WEIGHTS


def load_starts(model: AudioCaptioningModel, starts: list[Start]) -> None:
    """Fill the model in place with the parts that each start names.

    Raises CheckpointError for tensors that do not fit, ConfigError for a part that a start has no tensor of.
    """
    for start in starts:
        fill(model, _beginning(model, start), start.source)


def _beginning(model: AudioCaptioningModel, start: Start) -> dict[str, Tensor]:
    """Return the model's tensors with those of the start's parts replaced; missing ones are not filled in.

    The start may lack a joint space.
    """
    file = weights_file(start.source)
    found, own = load_file(file), trained_tensors(model)
    if start.parts is None:
        spaceless = not any(name.startswith("space.") for name in found)
        return {k: v for k, v in own.items() if spaceless and k.startswith("space.")} | found
    chosen = {name: tensor for name, tensor in found.items() if start.covers(_part(name))}
    for part in start.parts:
        trained = any(_part(name) == part for name in own)
        if trained and not any(_part(name) == part for name in chosen):
            raise ConfigError(
                f"init: {start.source} has no trained weights of the part {part} ({file}); parts with some: "
                + ", ".join(dict.fromkeys(map(_part, found)))
            )
    return {name: tensor for name, tensor in own.items() if not start.covers(_part(name))} | chosen


def _part(tensor: str) -> str:
    return tensor.partition(".")[0]


def with_tags(preset: Preset, sources: dict[str, Any]) -> ModelConfig:
    """Return the model's config with the names of the encoder's tags.

    They are the preset's, else those of `init`, else the bank's. Raises ConfigError naming tags that differ
    from those of `init`.
    """
    encoder = preset.model.encoder
    if not hasattr(encoder, "tags"):
        return preset.model
    before = started_tags(preset)
    if encoder.tags and before and encoder.tags != before:
        changed = sorted(set(encoder.tags) ^ set(before)) or ["the same in another order"]
        raise ConfigError(
            f"model.encoder.tags: not those of the encoder that init names ({', '.join(changed[:8])}); leave "
            "tags out, or load other parts than the encoder"
        )
    names = encoder.tags or before
    if not names and encoder.kind == "conv":  # others have names of their own
        names = next((s.tag_set.names for s in sources.values() if isinstance(s, SceneSource)), [])
    return preset.model.model_copy(update={"encoder": encoder.model_copy(update={"tags": names})})


def started_tags(preset: Preset) -> list[str]:
    """Return the tags of the encoder that `init` names; empty if it names none."""
    for start in reversed(preset.starts):
        if start.covers("encoder"):
            return list(model_section(start.source).get("encoder", {}).get("tags") or [])
    return []


def train_tokenizer(captions: list[str], size: int = VOCABULARY) -> PreTrainedTokenizerFast:
    """Train byte-level BPE on normalised captions, with <s> and </s>; it has no unknown token."""
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


def run_tokenizer(preset: Preset, out: Path) -> PreTrainedTokenizerFast | None:
    """Return the tokenizer of a language model without a source: of its weights, or trained on the captions.

    It is kept in `out`/tokenizer. None for a language model with its own tokenizer.
    """
    if preset.model.language_model.source is not None:
        return None
    folder = out / "tokenizer"
    if not folder.is_dir():
        start = next((s for s in reversed(preset.starts) if s.covers("language_model")), None)
        made = _tokenizer_of(start.source) if start else train_tokenizer(_captions(preset))
        made.save_pretrained(folder)
    return PreTrainedTokenizerFast.from_pretrained(folder, local_files_only=True)


def _tokenizer_of(source: str) -> PreTrainedTokenizerFast:
    weights = weights_file(source).parent
    places = [weights, weights.parent / "tokenizer", weights.parent / RUN_MODEL]
    for folder in places:
        if (folder / "tokenizer.json").is_file():
            return PreTrainedTokenizerFast.from_pretrained(folder, local_files_only=True)
    raise ConfigError(f"init: {source} has no tokenizer.json in any of {', '.join(map(str, places))}")


def _captions(preset: Preset) -> list[str]:
    """Return the captions of the stages of scenes and of text."""
    paths = [p for s in preset.stages for p in getattr(s.data, "captions", [])]
    if captions := read_captions(list(dict.fromkeys(paths))):
        return captions
    raise ConfigError(
        "language_model.config: a tokenizer is made from the captions of stages of text or scenes; "
        "add such a stage, set init, or name a language_model.source"
    )
