"""One row of a table: its preset with its overrides, every width shrunk, trained and measured."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_model
from torch import nn
from transformers import AutoTokenizer

from benchmarks.ablations import heard
from benchmarks.ablations.heard import Heard
from earwitness.build import build_model
from earwitness.checkpoints.folder import CONFIG
from earwitness.config.data import SceneData
from earwitness.config.model import ModelConfig
from earwitness.config.preset import Preset, load_preset
from earwitness.encoders.cached import CachedFrames
from earwitness.metrics import score
from earwitness.model import AudioCaptioningModel
from earwitness.scenes.bank import Bank
from earwitness.scenes.composer import FRAME_RATE, Composer
from earwitness.training.inputs.scene_data import MAX_CAPTION_TOKENS, Items, SceneSource
from earwitness.training.trainer import train_stage

BATCH = 16
STAGE = [
    f"stages.*.{setting}"
    for setting in (
        f"batch_size={BATCH}",
        "learning_rate=0.001",
        "warmup=0.1",
        "data.epochs=1",
        "evaluate_every=1000000",
        "workers=0",
    )
]


@dataclass
class Study:
    """What all rows of a set start from. encoder: trained on tags, frozen. language_model: a folder."""

    encoder: nn.Module
    encoder_config: dict[str, Any]
    language_model: Path
    composers: dict[str, Composer]  # train, validation
    clips: dict[str, list[Heard]]


def prepare(
    run: Path, bank: Path, cache: Path, captions: Path, scenes: dict[str, int], folder: Path
) -> Study:
    """run: of `earwitness train mini`, whose stage `language` is where every row starts."""
    data = ModelConfig.model_validate_json((run / "model" / CONFIG).read_text("utf-8"))
    start = build_model(data, AutoTokenizer.from_pretrained(run / "tokenizer", local_files_only=True))
    load_model(start, str(run / "1-language" / "stage.safetensors"))
    start.language_model.model.save_pretrained(folder)
    start.language_model.tokenizer.save_pretrained(folder)
    section = SceneData(
        kind="scenes",
        bank=str(bank),
        captions=[str(captions / name) for name in ("audiocaps_train.csv", "clotho_development.csv")],
        validation_captions=[str(captions / "audiocaps_val.csv")],
        count=1,
        human=0.85,
    )
    source = SceneSource(section, Bank.open(bank, cache))
    composers = {part: source.composer(validation=part == "validation") for part in scenes}
    encoder = start.encoder.eval()
    clips = {part: heard.hear(composers[part], encoder, range(n)) for part, n in scenes.items()}
    for part in clips.values():
        heard.retrieve(part, clips["train"])
    return Study(encoder, data.encoder.model_dump(), folder, composers, clips)


def shrunk(preset: str, overrides: list[str], study: Study) -> Preset:
    """The row at the size of the embedded default: its convolutional encoder, its language model."""
    data = load_preset(preset, [*overrides, *STAGE]).model_dump()
    model = data["model"]
    full = model["encoder"]["tune"] == "full"
    model["encoder"] = study.encoder_config | {"tune": "full" if full else "freeze"}
    model["language_model"]["source"] = str(study.language_model)
    if model["vision"]:
        model["vision"] = {"kind": "cached", "dim": heard.FRAME_DIM}
    if model["fusion"] and "heads" in model["fusion"]:
        model["fusion"]["heads"] = 4
    for adapter in model["adapter"]:
        if adapter["kind"] == "qformer":  # as many embeddings a second as from CED's four bands
            adapter |= {"hidden": 256, "heads": 4, "window": 4}
    data["stages"] = data["stages"][:1]
    return Preset.model_validate(data)


def run_row(preset: str, overrides: list[str], study: Study, seed: int) -> dict[str, float]:
    """Trains the row from the common start and measures it on the validation scenes."""
    row = shrunk(preset, overrides, study)
    torch.manual_seed(seed)
    model = build_model(row.model)
    live = row.model.encoder.tune == "full"
    model.encoder.load_state_dict(study.encoder.state_dict())
    if not live:
        model.encoder = CachedFrames(dim=study.encoder_config["dim"])
    stage = row.stages[0].model_copy(update={"seed": seed})
    informed = bool(stage.losses.distillation or stage.losses.retrieval_caption)
    batches = [
        collator(model, study.composers[part] if live else None, captions=informed)
        for part in ("train", "validation")
    ]
    items = [Items(study.clips[part]) for part in ("train", "validation")]
    with tempfile.TemporaryDirectory() as folder:
        metrics = train_stage(model, stage, Path(folder), *items, *batches)
    model.eval()
    composer = study.composers["validation"] if live else None
    figures = {"loss": metrics["eval_caption"], **gap(model, study, composer)}
    figures["cider_d"] = cider_d(model, study, composer, captions=False)
    if row.model.retrieval:
        figures["retrieval_cider_d"] = cider_d(model, study, composer, captions=True)
    return figures


def collator(
    model: AudioCaptioningModel, live: Composer | None, *, captions: bool
) -> Callable[[list[Heard]], dict[str, Any]]:
    """Heard scenes -> a batch of the captioning task. live: composes them again, for a trained encoder."""

    def collate(clips: list[Heard]) -> dict[str, Any]:
        ids, mask = model.language_model.encode_captions([c.caption for c in clips], MAX_CAPTION_TOKENS)
        return inputs(model, clips, live, captions=captions) | {"ids": ids, "mask": mask}

    return collate


def inputs(
    model: AudioCaptioningModel, clips: list[Heard], live: Composer | None, *, captions: bool
) -> dict[str, Any]:
    batch: dict[str, Any] = {}
    if live is None:
        tokens = torch.stack([clip.tokens for clip in clips])
        batch["sound"] = {"waveforms": tokens, "lengths": torch.full((len(clips),), tokens.shape[1])}
    else:
        scenes = [live.plan(clip.index, heard.SECONDS * FRAME_RATE) for clip in clips]
        mel = heard.log_mel(scenes, live)
        batch["sound"] = {"log_mel": mel, "frames": torch.full((len(clips),), mel.shape[2])}
    if model.vision is not None:
        batch["video"] = {"frames": torch.stack([clip.frames for clip in clips])}
    if captions:
        batch["captions"] = [clip.retrieved for clip in clips]
    return batch


def cider_d(model: AudioCaptioningModel, study: Study, live: Composer | None, *, captions: bool) -> float:
    """CIDEr-D of the validation scenes with three beams, each against the caption it was composed after."""
    clips = study.clips["validation"]
    found: list[str] = []
    for part in parts(clips):
        batch = inputs(model, part, live, captions=captions)
        found += model.caption(**batch, beams=3, max_new_tokens=30).texts
    report = score(found, [[clip.caption] for clip in clips], metrics=["cider_d"])
    return float(report.corpus["cider_d"])


@torch.no_grad()
def gap(model: AudioCaptioningModel, study: Study, live: Composer | None) -> dict[str, float]:
    """Distance and cosine between the mean audio and the mean caption embedding (LAMB, Table 2)."""
    pairs = []
    for part in parts(study.clips["validation"]):
        batch = collator(model, live, captions=False)(part)
        trace = model(batch.pop("sound"), batch.pop("ids"), batch.pop("mask"), **batch)
        pairs.append(torch.stack([trace.z_a.mean(), trace.z_t.mean()]))
    audio, text = torch.cat(pairs, 1)
    cosine = torch.cosine_similarity(audio, text).mean().item()
    return {"gap_l2": (audio - text).norm(dim=1).mean().item(), "gap_cosine": cosine}


def parts(clips: list[Heard]) -> Iterator[list[Heard]]:
    return (clips[first : first + heard.AT_ONCE] for first in range(0, len(clips), heard.AT_ONCE))
