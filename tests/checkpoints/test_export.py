"""What is given away behaves as the model it was made from."""

from __future__ import annotations

import copy
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors import safe_open
from transformers import AutoModelForCausalLM

from earwitness.build import build_model
from earwitness.captioner import Captioner
from earwitness.checkpoints.export import merge_lora, push_to_hub, save_merged, save_peft
from earwitness.checkpoints.folder import load_checkpoint, save_checkpoint
from earwitness.config.model import ModelConfig
from earwitness.runtime import TorchModel
from earwitness.weights.errors import CheckpointError

LORA = {"tune": "lora", "lora": {"r": 2, "alpha": 8, "dropout": 0.0}}
ENCODER = {"kind": "ced", "dim": 24, "depth": 1, "heads": 2, **LORA}
WAVEFORMS = torch.randn(2, 9_000, generator=torch.Generator().manual_seed(0))
SOUND = {"waveforms": WAVEFORMS, "lengths": torch.tensor([9_000, 7_000])}


@pytest.fixture
def model(tiny_model, tmp_path) -> Any:
    """LoRA on an encoder and on a language model of its own folder, all of it random."""
    folder = tmp_path / "llama"
    tiny_model.language_model.model.save_pretrained(folder)
    tiny_model.language_model.tokenizer.save_pretrained(folder)
    data = {"encoder": ENCODER, "adapter": [{"kind": "linear"}]}
    config = ModelConfig.model_validate(data | {"language_model": {"source": str(folder), **LORA}})
    torch.manual_seed(0)
    built = build_model(config)
    for name, parameter in built.named_parameters():
        if "lora_" in name or name.startswith("adapter."):
            torch.nn.init.normal_(parameter, std=0.3)
    built.card = "# a card\n"
    return built.eval()


def logits(model: Any) -> torch.Tensor:
    ids, mask = model.language_model.encode_captions(["a dog barks", "rain falls on a roof"])
    with torch.no_grad():
        return model(SOUND, ids, mask).logits[mask]


def test_merged_weights_are_the_same_function(model, tmp_path):
    wanted = logits(model)
    plain = copy.deepcopy(model)
    for name, parameter in plain.named_parameters():
        if "lora_B" in name:
            parameter.data.zero_()
    assert (logits(plain) - wanted).abs().max() > 0.05  # LoRA does something here
    save_merged(model, tmp_path / "merged")
    loaded = load_checkpoint(tmp_path / "merged")
    assert not [name for name in loaded.state_dict() if "lora_" in name]
    assert torch.equal(logits(loaded), logits(model))
    torch.testing.assert_close(logits(loaded), wanted, rtol=1e-4, atol=1e-5)
    assert loaded.card == "# a card\n"
    with safe_open(tmp_path / "merged" / "model.safetensors", "pt") as file:
        assert not [name for name in file.keys() if name.startswith("language_model.")]  # noqa: SIM118
    moved = (tmp_path / "merged").rename(tmp_path / "moved")
    (tmp_path / "llama").rename(tmp_path / "gone")
    assert torch.equal(logits(load_checkpoint(moved)), logits(model))


def test_random_weights_are_merged_into_the_checkpoint(tiny_model, tmp_path):
    data = tiny_model.config.model_dump()
    data["language_model"] |= LORA
    built = build_model(ModelConfig.model_validate(data), tiny_model.language_model.tokenizer).eval()
    for name, parameter in built.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.3)
    wanted = logits(built)
    save_checkpoint(merge_lora(built), tmp_path / "merged")
    torch.testing.assert_close(logits(load_checkpoint(tmp_path / "merged")), wanted, rtol=1e-4, atol=1e-5)


def test_peft_reads_the_adapter(model, tmp_path):
    from peft import PeftModel

    folders = save_peft(model, tmp_path / "adapters")
    assert [folder.name for folder in folders] == ["encoder", "language_model"]
    theirs = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(tmp_path / "llama"), folders[1])
    ids = torch.arange(5)[None]
    with torch.no_grad():
        assert torch.equal(theirs.eval()(ids).logits, model.language_model.model(ids).logits)


def test_without_lora_there_is_no_adapter(tiny_model, tmp_path):
    with pytest.raises(CheckpointError, match="no tower of this model was trained with LoRA"):
        save_peft(tiny_model, tmp_path)


def test_the_hub_gets_the_whole_checkpoint_with_its_card(model, tmp_path, monkeypatch):
    def upload_folder(*, repo_id: str, folder_path: str, commit_message: str) -> None:
        save_checkpoint(load_checkpoint(folder_path), tmp_path / "hub" / repo_id)

    hub = SimpleNamespace(create_repo=lambda name, **_: f"https://hub/{name}", upload_folder=upload_folder)
    monkeypatch.setattr("huggingface_hub.HfApi", lambda: hub)
    assert Captioner(TorchModel(model)).push_to_hub("someone/lamb") == "https://hub/someone/lamb"
    there = tmp_path / "hub" / "someone" / "lamb"
    assert (there / "README.md").read_text() == "# a card\n"
    assert torch.equal(logits(load_checkpoint(there)), logits(model))
    model.card = None
    with pytest.raises(CheckpointError, match="no card"):
        push_to_hub(model, "someone/lamb")
