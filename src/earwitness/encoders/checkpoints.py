"""Readers of the audio encoders' published checkpoints, in each of their layouts.

A layout has one conversion function: state dict as published -> state dict with this package's names.
Nothing is filled in silently: a tensor that is missing, unexpected or of another shape is an error.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from earwitness import features

State = dict[str, Tensor]

SHARDS = "model.safetensors.index.json"  # says which shard holds which tensor
WEIGHT_NAMES = ("model.safetensors", SHARDS, "pytorch_model.bin", "model.pt")  # in order of preference
SUFFIXES = (".safetensors", ".bin", ".pt", ".pth")
WRAPPERS = ("model", "state_dict")  # keys under which training scripts store the tensors


def find_weights(path_or_name: str | Path) -> Path:
    """A weight file, a folder with one, or a hub name ("mispeech/ced-base") -> the local weight file."""
    path = Path(path_or_name)
    if path.is_file():
        return path
    if path.is_dir():
        for name in WEIGHT_NAMES:
            if (path / name).is_file():
                return path / name
        others = [file for file in path.iterdir() if file.suffix in SUFFIXES]  # under the name of a release
        if len(others) == 1:
            return others[0]
        raise FileNotFoundError(
            f"{path} holds none of {', '.join(WEIGHT_NAMES)}, nor a single other weight file"
        )
    name = str(path_or_name)
    if path.is_absolute() or path.suffix in SUFFIXES or name.count("/") != 1:
        raise FileNotFoundError(f"{name} is neither a file, nor a folder, nor a hub name like owner/model")
    from huggingface_hub import snapshot_download

    return find_weights(
        snapshot_download(name, allow_patterns=[*WEIGHT_NAMES, "model-*.safetensors", "config.json"])
    )


def read_state(path: Path) -> State:
    """The tensors of a .safetensors file, of its shards, or of a PyTorch file (weights_only=True)."""
    if path.name == SHARDS:
        files = {Path(name).name for name in json.loads(path.read_text())["weight_map"].values()}
        return {key: value for name in files for key, value in read_state(path.with_name(name)).items()}
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        return load_file(path)
    content: Any = torch.load(path, map_location="cpu", weights_only=True)
    for wrapper in WRAPPERS:
        if isinstance(content, dict) and isinstance(content.get(wrapper), dict):
            content = content[wrapper]
    wrong = not isinstance(content, dict) or [k for k, v in content.items() if not isinstance(v, Tensor)]
    if wrong:
        raise ValueError(f"{path} is not a state dict; not tensors: {wrong if wrong is not True else 'all'}")
    return content


def read_config(weights: Path) -> dict[str, Any]:
    """The config.json beside a weight file, or {} where there is none."""
    path = weights.parent / "config.json"
    return json.loads(path.read_text()) if path.is_file() else {}


def split_qkv(state: State) -> State:
    """`*.qkv.weight` and `*.qkv.bias` -> `*.q_proj.*`, `*.k_proj.*`, `*.v_proj.*`, in that order of rows."""
    split: State = {}
    for key, value in state.items():
        if ".qkv." not in key:
            split[key] = value
            continue
        for name, part in zip(("q_proj", "k_proj", "v_proj"), value.chunk(3), strict=True):
            split[key.replace(".qkv.", f".{name}.")] = part.clone()
    return split


def rename(state: State, names: Iterable[tuple[str, str]]) -> State:
    """Replace the prefixes of keys; the first that fits counts."""
    pairs = list(names)

    def new(key: str) -> str:
        for old, replacement in pairs:
            if key.startswith(old):
                return replacement + key.removeprefix(old)
        return key

    return {new(key): value for key, value in state.items()}


BODY = [("patch_embed.proj.", "patch_embed."), ("init_bn.1.", "init_bn.")]


def from_original(state: State) -> State:
    """The layout of the authors' own code, also with q, k and v apart (LOAE): front end buffers, `init_bn.1`.

    Raises ValueError if the checkpoint was trained on another front end than `features.log_mel`.
    """
    check_front_end(state)
    body = {key: value for key, value in state.items() if not key.startswith("front_end.")}
    return split_qkv(rename(body, [*BODY, ("outputlayer.", "head.")]))


def from_hugging_face(state: State) -> State:
    """The layout of the Hugging Face ports: "encoder." before everything but the head, no front end."""
    return split_qkv(rename(rename(state, [("encoder.", "")]), [*BODY, ("outputlayer.", "head.")]))


def from_lavcap(state: State) -> State:
    """The layout of LAVCap: no front end, the head called `output_layer`, q, k and v apart."""
    return split_qkv(rename(state, [*BODY, ("output_layer.", "head.")]))


def convert(state: State) -> State:
    """Recognise the layout by its keys and convert it; a state dict of this package passes unchanged."""
    if any(key.startswith("encoder.") for key in state):
        return from_hugging_face(state)
    if any(key.startswith("output_layer.") for key in state):
        return from_lavcap(state)
    return from_original(state)


def check_front_end(state: State) -> None:
    """Refuse stored front end buffers that differ from this package's log-mel."""
    expected = {
        "front_end.0.spectrogram.window": torch.hann_window(features.N_FFT),
        "front_end.0.mel_scale.fb": features.mel_filterbank(),
    }
    for key, value in expected.items():
        stored = state.get(key)
        if stored is None:
            continue
        if stored.shape != value.shape or not torch.allclose(stored.float(), value, atol=1e-3):
            raise ValueError(f"{key} of the checkpoint differs from this package's log-mel front end")


def read_published(
    path_or_name: str | Path, hub_name: str, sizes: Mapping[str, Mapping[str, int]]
) -> tuple[Path, State, dict[str, int]]:
    """Return the weights' path, the tensors under this package's names, and dim, depth, heads of the encoder.

    path_or_name: as for `find_weights`, or a key of `sizes`, the published ones, which replaces hub_name's
    braces. Weights do not determine the number of heads: it is that of the config.json beside them, or of the
    published size of this width, or dim / 64.
    """
    weights = find_weights(hub_name.format(path_or_name) if path_or_name in sizes else path_or_name)
    state = convert(read_state(weights))
    if "patch_embed.bias" not in state:
        raise ValueError(f"no patch_embed.bias; not an audio encoder's weights: {sorted(state)[:5]} ...")
    dim = len(state["patch_embed.bias"])
    depth = 1 + max((int(key.split(".")[1]) for key in state if key.startswith("blocks.")), default=-1)
    published = {size["dim"]: size["heads"] for size in sizes.values()}
    heads = read_config(weights).get("num_heads") or published.get(dim, max(1, dim // 64))
    return weights, state, {"dim": dim, "depth": depth, "heads": heads}


def resize_time_positions(state: State, steps: int) -> State:
    """Stretch the time position table [1, D, 1, T] to another number of steps, linearly."""
    table = state["time_pos_embed"]
    if table.shape[-1] == steps:
        return state
    stretched = F.interpolate(table[:, :, 0], size=steps, mode="linear", align_corners=False)
    return {**state, "time_pos_embed": stretched[:, :, None]}
