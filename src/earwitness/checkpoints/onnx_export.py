"""`earwitness export --onnx`: a checkpoint that ONNX Runtime computes, for installations without torch.

The folder stays a checkpoint that torch loads: the graphs refer into its model.safetensors. Each graph is
compared with the module it was made of before it counts.
"""

from __future__ import annotations

import json
import logging
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from torch import Tensor, nn
from torch.export import Dim

from earwitness.checkpoints.folder import CARD, WEIGHTS, load_checkpoint, resolve
from earwitness.checkpoints.onnx_graphs import Adapt, Encode, Prefix, ReadCaptions, Step
from earwitness.checkpoints.onnx_weights import linked_to_weights
from earwitness.config.start import CONFIG
from earwitness.model import AudioCaptioningModel
from earwitness.runtime.byte_pairs import unlike
from earwitness.runtime.settings import SETTINGS, TOKENIZER, ExportError, Settings
from earwitness.runtime.spectrogram import FRONT_ENDS
from earwitness.runtime.weights import layout
from earwitness.sample_rate import SAMPLE_RATE

OPSET = 18
ROTARY = ("default", "linear", "llama3")  # rotary embeddings whose frequencies do not depend on the length
NEAR = 1e-3  # largest difference between a graph and its module, beside values of about one
COPIED = (CONFIG, WEIGHTS, TOKENIZER, "tokenizer_config.json", CARD)


@dataclass
class Part:
    """A graph to be made. inputs: sizes -> example inputs. axes: names of each input's axes of any length."""

    module: nn.Module
    axes: tuple[dict[int, str], ...]
    inputs: Any


def export_onnx(name_or_folder: str | Path, target: Path) -> None:
    """Write the checkpoint and its graphs into `target`, which may be the checkpoint's own folder.
    Raises ExportError that names what of the model cannot be exported; CheckpointError, ConfigError.
    """
    source = resolve(name_or_folder)
    model = load_checkpoint(source).requires_grad_(False)
    if lacks := list(unexportable(model)):
        raise ExportError(f"{name_or_folder} cannot be exported for ONNX Runtime: {'; '.join(lacks)}")
    target.mkdir(parents=True, exist_ok=True)
    for name in COPIED:
        if (source / name).is_file() and source.resolve() != target.resolve():
            shutil.copyfile(source / name, target / name)
    (target / SETTINGS).unlink(missing_ok=True)  # until the graphs are whole
    for name, part in parts_of(model).items():
        write_graph(part, model, target / f"{name}.onnx")
    settings_of(model, target / WEIGHTS).write(target)


def write_graph(part: Part, model: AudioCaptioningModel, path: Path) -> None:
    """Write a part beside the model's weights. Raises ExportError if the graph differs from the part."""
    onnx.save(_graph_of(part, model, path.with_name(WEIGHTS)), path)
    onnx.checker.check_model(path)
    _compare(part, path)


def unexportable(model: AudioCaptioningModel) -> Iterator[str]:
    """What of the model has no form in ONNX here."""
    config, llama = model.config, model.language_model.model
    if getattr(model.encoder, "front_end", None) not in FRONT_ENDS:
        yield f"encoder.kind: {config.encoder.kind}"
    elif model.encoder.sample_rate != SAMPLE_RATE:
        yield f"encoder.sample_rate: {model.encoder.sample_rate}"
    elif not model.tag_names:
        yield "encoder.tags: none"
    if config.vision is not None:
        yield f"vision.kind: {config.vision.kind}"
    if config.fusion is not None and config.fusion.kind != "audio_only":
        yield f"fusion.kind: {config.fusion.kind}"
    if not hasattr(model.adapter, "adapt_whole"):
        yield f"adapter: {', '.join(section.kind for section in config.adapter)}"
    if config.retrieval is not None:
        yield "retrieval"
    if config.fidelity != "paper":
        yield f"fidelity: {config.fidelity}"
    if config.language_model.source is not None:
        yield "language_model.source: its weights are not in the checkpoint"
    elif (lacks := unlike(json.loads(model.language_model.tokenizer.backend_tokenizer.to_str()))) is not None:
        yield f"language_model's tokenizer: {lacks}"
    if llama.config.model_type != "llama":
        yield f"language_model: {llama.config.model_type}"
    elif (kind := llama.model.rotary_emb.rope_type) not in ROTARY:
        yield f"language_model: {kind} rotary embeddings"


def parts_of(model: AudioCaptioningModel) -> dict[str, Part]:
    """The graphs by name. Example inputs are made for so many clips, and `more` of everything else."""
    llama, width = model.language_model.model.config, model.language_model.dim
    layers, heads, head_width = llama.num_hidden_layers, llama.num_attention_heads, llama.head_dim
    audio, tokens = audio_tokens(model), model.encoder.dim

    def prompts(clips: int, more: int) -> tuple[Tensor, ...]:
        real = torch.ones(clips, 5 + more, dtype=torch.bool)
        real[0, 0] = False
        ids, order = (
            torch.randint(most, (clips, n)) for most, n in ((llama.vocab_size, 3 + more), (3, 5 + more))
        )
        return ids, torch.randn(clips, audio, width), order, real

    def beams(clips: int, more: int) -> tuple[Tensor, ...]:
        prefix = [torch.randn(layers, clips, heads, 5 + more, head_width) for _ in range(2)]
        own = [torch.randn(layers, clips, heads, 1 + more, more, head_width) for _ in range(2)]
        token = torch.randint(llama.vocab_size, (clips, 1 + more))
        return token, *prefix, prompts(clips, more)[3], *own

    def captions(clips: int, more: int) -> tuple[Tensor, ...]:
        mask = torch.ones(clips, 3 + more, dtype=torch.bool)
        mask[0, 2:] = False
        return torch.randint(llama.vocab_size, mask.shape), mask

    clip, of_beams = {0: "clips"}, {1: "clips", 3: "beams", 4: "said"}
    prompt, said = {0: "clips", 1: "prompt"}, {0: "captions", 1: "length"}
    keys = {1: "clips", 3: "prompt"}
    bands = FRONT_ENDS[front_end_of(model)](np.zeros(SAMPLE_RATE, np.float32)).shape[0]
    return {
        "encode": Part(
            Encode(model),
            ({0: "clips", 2: "frames"},),
            lambda clips, more: (20 * torch.randn(clips, bands, 70 + 40 * more) - 40,),
        ),
        "adapt": Part(
            Adapt(model),
            ({0: "clips", 1: "tokens"},),
            lambda clips, more: (torch.randn(clips, 7 * more, tokens),),
        ),
        "prefix": Part(Prefix(model), ({0: "clips", 1: "text"}, clip, prompt, prompt), prompts),
        "step": Part(Step(model), ({0: "clips", 1: "beams"}, keys, keys, prompt, of_beams, of_beams), beams),
        "read": Part(ReadCaptions(model), (said, said), captions),
    }


def audio_tokens(model: AudioCaptioningModel) -> int:
    """N_g, of any sound."""
    with torch.no_grad():
        waveform = torch.zeros(1, model.encoder.sample_rate)
        h_a = model.encoder(waveform, torch.tensor([waveform.shape[1]]))
        return int(model.adapter(h_a).values.shape[1])


def front_end_of(model: AudioCaptioningModel) -> str:
    """The name of the encoder's front end in runtime/spectrogram.py."""
    encoder: Any = model.encoder
    return str(encoder.front_end)


def settings_of(model: AudioCaptioningModel, weights: Path) -> Settings:
    config, language_model = model.config, model.language_model
    tokenizer = language_model.tokenizer
    return Settings(
        layout=layout(weights),
        front_end=front_end_of(model),
        sample_rate=model.encoder.sample_rate,
        max_seconds=config.max_seconds,
        tags=model.tag_names,
        prompt=config.prompt,
        audio_tokens=audio_tokens(model),
        **config.decoding.model_dump(exclude={"guide", "joint_space"}),
        joint_space=config.decoding.joint_space is not None,
        vocabulary_size=language_model.vocabulary_size,
        bos_id=language_model.bos_id,
        eos_id=language_model.eos_id,
        unknown_id=language_model._unknown_id,
        special_ids=sorted(tokenizer.all_special_ids),
    )


def _graph_of(part: Part, model: AudioCaptioningModel, weights: Path) -> onnx.ModelProto:
    dims: dict[str, Dim] = {name: Dim(name) for axes in part.axes for name in axes.values()}
    shapes = tuple({axis: dims[name] for axis, name in axes.items()} for axes in part.axes)
    with _quiet(), torch.no_grad():
        program = torch.onnx.export(
            part.module.eval(),
            part.inputs(3, 2),
            dynamo=True,
            dynamic_shapes=shapes,
            opset_version=OPSET,
            optimize=False,
            verbose=False,
        )
    assert program is not None
    names = {id(t): name for name, t in reversed(model.state_dict(keep_vars=True).items())}  # tied: the first
    renamed = {name: names.get(id(t), name) for name, t in part.module.state_dict(keep_vars=True).items()}
    return linked_to_weights(program.model_proto, weights, renamed)


def _compare(part: Part, path: Path) -> None:
    """Raise ExportError if the graph differs from its module, for one clip or for several."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [each.name for each in session.get_inputs()]
    for clips, more in ((1, 1), (2, 4)):
        inputs = part.inputs(clips, more)
        with torch.no_grad():
            wanted = part.module(*inputs)
        wanted = wanted if isinstance(wanted, tuple) else (wanted,)
        found = session.run(None, dict(zip(names, (x.numpy() for x in inputs))))
        for a, b in zip(found, wanted, strict=True):
            if a.shape != b.shape or not np.allclose(a, b, rtol=NEAR, atol=NEAR):
                raise ExportError(
                    f"{path.name} differs from the model it was made of: {a.shape}, {tuple(b.shape)}"
                )


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's notes on missing packages and on torch's own deprecated functions."""
    log = logging.getLogger("torch.onnx")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(level)
