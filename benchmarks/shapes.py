"""The papers' systems with random weights, at the published shape or smaller, and batches for them."""

from __future__ import annotations

from importlib import resources
from typing import Any

import torch
from transformers import AutoTokenizer

from earwitness.build import build_model
from earwitness.config.model import ModelConfig
from earwitness.config.preset import load_preset
from earwitness.model import AudioCaptioningModel

LLAMA = {"model_type": "llama", "vocab_size": 32000, "max_position_embeddings": 2048}
# name -> (language model, CED size)
SHAPES: dict[str, tuple[dict[str, int], str]] = {
    "7b": (
        {"hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32, "num_attention_heads": 32},
        "base",
    ),
    "small": (
        {"hidden_size": 768, "intermediate_size": 2048, "num_hidden_layers": 8, "num_attention_heads": 12},
        "tiny",
    ),
    "tiny": (
        {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2},
        "tiny",
    ),
}
FRAME_DIM, FRAMES = 768, 20  # CLIP ViT-L/14, projected; two frames a second
CAPTION = "a man speaks while birds chirp in the background and a car passes by slowly"
NEIGHBOURS = [CAPTION, "a dog barks several times as wind blows into a microphone", "people talk near a road"]


def shaped(preset: str, shape: str, device: str, dtype: torch.dtype, *overrides: str) -> AudioCaptioningModel:
    """The preset at a shape, random weights made on the device: what is frozen in dtype, the rest in fp32."""
    size, encoder = SHAPES[shape]
    data = load_preset(preset, list(overrides)).model.model_dump()
    data["encoder"] |= {"source": None, "size": encoder}
    data["language_model"] |= {"source": None, "config": LLAMA | size}
    if data["vision"]:
        data["vision"] = {"kind": "cached", "dim": FRAME_DIM}
    for part in [*data["adapter"], data["fusion"] or {}]:
        part |= {"heads": 4, "hidden": 256} if "hidden" in part and shape != "7b" else {}
        part |= {"heads": 4} if "heads" in part and shape != "7b" else {}
    with resources.as_file(resources.files("earwitness.assets").joinpath("mini")) as folder:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    previous = torch.get_default_dtype()
    with torch.device(device):
        torch.set_default_dtype(dtype)
        try:
            model = build_model(ModelConfig.model_validate(data), tokenizer)
        finally:
            torch.set_default_dtype(previous)
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()
    model.encoder.float()
    return model


def batch(model: AudioCaptioningModel, clips: int, device: str, *, captions: bool = False) -> dict[str, Any]:
    """Ten seconds of noise a clip, a caption each, frames and retrieved captions if the model takes them."""
    generator = torch.Generator().manual_seed(0)
    sound = 0.1 * torch.randn(clips, 160_000, generator=generator)
    ids, mask = model.language_model.encode_captions([CAPTION] * clips)
    made: dict[str, Any] = {"sound": {"waveforms": sound, "lengths": torch.full((clips,), 160_000)}}
    made["sound"] = {name: value.to(device) for name, value in made["sound"].items()}
    if model.vision is not None:
        made["video"] = {"frames": torch.randn(clips, FRAMES, FRAME_DIM, generator=generator).to(device)}
    if captions:
        made["captions"] = [NEIGHBOURS] * clips
    return made | {"ids": ids, "mask": mask}
