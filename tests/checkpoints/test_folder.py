"""A checkpoint is loaded whole or not at all."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from earwitness.checkpoints.folder import load_checkpoint, save_checkpoint, trained_tensors
from earwitness.config.errors import ConfigError
from earwitness.weights.errors import CheckpointError


@pytest.fixture
def folder(tiny_checkpoint, tmp_path):
    return shutil.copytree(tiny_checkpoint, tmp_path / "checkpoint")


def change(folder, edit) -> None:
    tensors = load_file(folder / "model.safetensors")
    edit(tensors)
    save_file(tensors, folder / "model.safetensors")


def test_every_tensor_comes_back(tiny_model, folder):
    loaded = load_checkpoint(folder)
    assert not loaded.training
    wanted, found = tiny_model.state_dict(), loaded.state_dict()
    assert wanted.keys() == found.keys()
    assert all(torch.equal(wanted[name], found[name]) for name in wanted)
    assert loaded.config == tiny_model.config
    assert loaded.language_model.tokenizer.get_vocab() == tiny_model.language_model.tokenizer.get_vocab()


def test_tied_weights_are_saved_once_and_stay_tied(tiny_model, folder):
    saved = load_file(folder / "model.safetensors")
    assert sum("embed_tokens" in name or "lm_head" in name for name in saved) == 1
    language_model = load_checkpoint(folder).language_model.model
    assert language_model.lm_head.weight.data_ptr() == language_model.get_input_embeddings().weight.data_ptr()


def test_half_precision_for_shipping(tiny_model, tmp_path):
    save_checkpoint(tiny_model, tmp_path / "half", half=True)
    saved = load_file(tmp_path / "half" / "model.safetensors")
    assert {t.dtype for t in saved.values()} == {torch.float16, torch.int64}
    for name, tensor in trained_tensors(load_checkpoint(tmp_path / "half")).items():
        assert tensor.dtype in (torch.float32, torch.int64)
        assert torch.equal(tensor, saved[name].to(tensor.dtype))


@pytest.mark.parametrize(
    "edit, fault",
    [
        (lambda t: t.pop("adapter.projection.weight"), "missing adapter.projection.weight"),
        (lambda t: t.update(stray=torch.zeros(2)), "unexpected stray"),
        (
            lambda t: t.update({"encoder.tag_head.bias": torch.zeros(3)}),
            r"encoder.tag_head.bias is \[3\] instead of \[8\]",
        ),
    ],
)
def test_tensors_that_do_not_fit_are_named(folder, edit, fault):
    change(folder, edit)
    with pytest.raises(CheckpointError, match=fault):
        load_checkpoint(folder)


def test_unknown_key_of_the_config_is_named(folder):
    data = json.loads((folder / "config.json").read_text())
    data["encoder"]["widhts"] = [1, 2, 3]
    (folder / "config.json").write_text(json.dumps(data))
    with pytest.raises(ConfigError, match="widhts: unknown key; did you mean 'widths'"):
        load_checkpoint(folder)


def test_damaged_folders_say_what_is_wrong(folder, tmp_path):
    weights = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(weights[: len(weights) // 2])
    with pytest.raises(CheckpointError, match=r"model\.safetensors is damaged"):
        load_checkpoint(folder)
    (folder / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"has no model\.safetensors"):
        load_checkpoint(folder)
    (folder / "config.json").write_text("{")
    (folder / "model.safetensors").write_bytes(weights)
    with pytest.raises(ConfigError, match="not valid JSON"):
        load_checkpoint(folder)
    with pytest.raises(CheckpointError, match="no such checkpoint folder"):
        load_checkpoint(tmp_path / "nowhere")
