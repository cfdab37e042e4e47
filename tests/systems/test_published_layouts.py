"""Every tower loads from a folder as it is published: names of files, of tensors, fused weights, shards."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from earwitness.build import build_model
from earwitness.config.preset import load_preset
from earwitness.config.sizes import SIZES as PUBLISHED_SIZES
from earwitness.encoders.ced import CedEncoder
from earwitness.encoders.checkpoints import convert
from earwitness.encoders.dasheng import DashengEncoder
from earwitness.features import N_FFT, mel_filterbank
from earwitness.training.beginning import train_tokenizer

sys.path.append(str(Path(__file__).parent))
from test_presets import CAPTIONS, TINY_BART, TINY_CLIP, TINY_LLAMA, batch

KEYS = json.loads((Path(__file__).parents[1] / "golden" / "published_keys.json").read_text())
SIZES = {"dim": 24, "depth": 2, "heads": 2}
FRONT_END = {
    "front_end.0.spectrogram.window": torch.hann_window(N_FFT),
    "front_end.0.mel_scale.fb": mel_filterbank(),
}


@pytest.mark.parametrize("layout", KEYS)
def test_tensors_of_the_published_files_are_those_of_the_encoder(layout: str) -> None:
    """Names and shapes at full size, without their 0.3 to 2.5 GB."""
    published = {name: torch.empty(shape, device="meta") for name, shape in KEYS[layout].items()}
    published |= {name: tensor for name, tensor in FRONT_END.items() if name in published}
    size = "0.6B" if "0.6B" in layout else "base"
    with torch.device("meta"):
        ced = layout.startswith("ced")
        encoder = (
            CedEncoder(**PUBLISHED_SIZES["ced"][size])
            if ced
            else DashengEncoder(**PUBLISHED_SIZES["dasheng"][size])
        )
    found = {name: tensor.shape for name, tensor in convert(published).items()}
    assert found == {name: tensor.shape for name, tensor in encoder.state_dict().items()}


def authors_names(encoder: torch.nn.Module) -> dict[str, Tensor]:
    """CED's and Dasheng's own layout: q, k and v in one, the front end's tables among the weights."""
    state = encoder.state_dict()
    renamed = {}
    for name, tensor in state.items():
        if "q_proj" in name:
            parts = [state[name.replace("q_proj", f"{x}_proj")] for x in "qkv"]
            renamed[name.replace("q_proj", "qkv")] = torch.cat(parts)
        elif "k_proj" not in name and "v_proj" not in name:
            for ours, theirs in [("patch_embed", "patch_embed.proj"), ("init_bn", "init_bn.1")]:
                name = name.replace(ours, theirs) if name.startswith(ours) else name
            renamed[name.replace("head.", "outputlayer.")] = tensor
    return renamed | FRONT_END


def hugging_face_names(encoder: torch.nn.Module) -> dict[str, Tensor]:
    """The ports' layout: "encoder." before all but the head, no front end; CED's without the 1 of init_bn."""
    state = {k: v for k, v in authors_names(encoder).items() if k not in FRONT_END}
    if isinstance(encoder, CedEncoder):
        state = {k.replace("init_bn.1", "init_bn"): v for k, v in state.items()}
    return {k if k.startswith("outputlayer") else f"encoder.{k}": v for k, v in state.items()}


def ced_original(encoder: torch.nn.Module, folder: Path) -> None:
    torch.save(authors_names(encoder), folder / "audiotransformer_base_mAP_4999.pt")


def dasheng_original(encoder: torch.nn.Module, folder: Path) -> None:
    torch.save({"model": authors_names(encoder), "config": {"embed_dim": 24}}, folder / "dasheng_base.pt")


def hugging_face(encoder: torch.nn.Module, folder: Path) -> None:
    save_file(hugging_face_names(encoder), folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "config.json").write_text(json.dumps({"embed_dim": 24, "depth": 2, "num_heads": 2}))


def sharded(encoder: torch.nn.Module, folder: Path) -> None:
    """As large weights come: Dasheng-1.2B is 5 GB."""
    state = hugging_face_names(encoder)
    names = sorted(state)
    places = {name: f"model-{1 + i % 2:05}-of-00002.safetensors" for i, name in enumerate(names)}
    for file in sorted({*places.values()}):
        save_file({name: state[name] for name in names if places[name] == file}, folder / file)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": places}))
    (folder / "config.json").write_text(json.dumps({"num_heads": 2}))


def write_language_model(folder: Path, config: dict[str, Any]) -> str:
    """Llama in two shards; BART as facebook/bart-base is stored, without its head."""
    from transformers import AutoConfig, AutoModelForCausalLM, BartModel

    tokenizer = train_tokenizer(CAPTIONS, 300)
    settings = AutoConfig.for_model(**config, vocab_size=len(tokenizer), initializer_range=0.3)
    bart = config["model_type"] == "bart"
    model = BartModel(settings) if bart else AutoModelForCausalLM.from_config(settings)
    model.save_pretrained(folder, max_shard_size="20KB" if not bart else "1GB")
    tokenizer.save_pretrained(folder)
    assert bart or (folder / "model.safetensors.index.json").is_file()
    return str(folder)


def write_clip(folder: Path) -> str:
    from transformers import CLIPConfig, CLIPModel

    text = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
    text |= {"vocab_size": 20}
    CLIPModel(CLIPConfig(text_config=text, vision_config=TINY_CLIP, projection_dim=20)).save_pretrained(
        folder
    )
    return str(folder)


@pytest.mark.parametrize(
    "preset, encoder_class, write",
    [
        ("lamb", CedEncoder, ced_original),
        ("lavcap", CedEncoder, hugging_face),
        ("loae-bart", CedEncoder, hugging_face),
        ("distillcaps", CedEncoder, sharded),
        ("loae-dasheng-base", DashengEncoder, dasheng_original),
        ("loae-dasheng-0.6b", DashengEncoder, hugging_face),
    ],
)
def test_presets_load_from_local_folders(
    preset: str, encoder_class: Any, write: Callable[[Any, Path], None], tmp_path: Path
) -> None:
    torch.manual_seed(0)
    encoder = encoder_class(**SIZES).eval()
    encoder.init_bn.running_mean.normal_()
    (tmp_path / "encoder").mkdir()
    write(encoder, tmp_path / "encoder")
    bart = preset == "loae-bart"
    folder = write_language_model(tmp_path / "lm", TINY_BART if bart else TINY_LLAMA)
    overrides = [
        f"model.encoder.source={tmp_path / 'encoder'}",
        "model.encoder.size=null",
        "model.encoder.heads=2",
        f"model.language_model.source={folder}",
    ]
    if preset == "lamb":
        overrides.append("model.adapter.0.heads=2")
    elif preset == "lavcap":
        overrides.append(f"model.vision.source={write_clip(tmp_path / 'clip')}")
    else:
        overrides.append("model.adapter=[{kind: qformer, hidden: 24, heads: 2}]")
    model = build_model(load_preset(preset, overrides).model).eval()
    loaded = {name: t for name, t in model.encoder.state_dict().items() if "lora_" not in name}
    for name, tensor in encoder.state_dict().items():
        assert torch.equal(loaded.get(name, loaded.get(name.replace("_proj.", "_proj.base_layer."))), tensor)
    decoded = model.caption(**batch(model), max_new_tokens=5)
    assert len(decoded.texts) == 4 and decoded.scores.isfinite().all()
