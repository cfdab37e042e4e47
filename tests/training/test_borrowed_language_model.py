"""Language models with a source: precision, memory, targets, and what is known of them before training."""

from __future__ import annotations

import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, GPT2Config, LlamaConfig, OPTConfig

from earwitness.build import build_model
from earwitness.checkpoints.folder import load_checkpoint
from earwitness.config.errors import ConfigError
from earwitness.config.model import ModelConfig
from earwitness.config.preset import Preset
from earwitness.training.forecast import forecast
from earwitness.training.preflight import look
from earwitness.training.recompute import set_recomputing
from earwitness.training.trainer import prepared_task

LONG = {"max_position_embeddings": 512, "vocab_size": 64}
FAMILIES = {
    "llama": LlamaConfig(
        hidden_size=32, intermediate_size=128, num_hidden_layers=4, num_attention_heads=2, **LONG
    ),
    "gpt2": GPT2Config(n_embd=32, n_layer=4, n_head=2, n_positions=512, vocab_size=64),
    "opt": OPTConfig(  # its layers drop out by a function, not by a module
        hidden_size=32,
        ffn_dim=128,
        num_hidden_layers=4,
        num_attention_heads=2,
        word_embed_proj_dim=32,
        **LONG,
    ),
}


def borrowed(data: dict[str, Any], folder: Path, **section: Any) -> dict[str, Any]:
    """The recipe with the tiny language model in a folder of its own, stored in bfloat16."""
    model = load_checkpoint(data["init"])
    model.language_model.model.to(torch.bfloat16).save_pretrained(folder)
    model.language_model.tokenizer.save_pretrained(folder)
    section = {"source": str(folder), "tune": "freeze"} | section
    return data | {"init": None, "model": data["model"] | {"language_model": section}}


@pytest.mark.parametrize(
    ("dtype", "found"), [(None, torch.float32), ("bfloat16", torch.bfloat16), ("float16", torch.float16)]
)
def test_bf16_weights_compute_in_fp32_on_a_cpu_unless_told(clip_recipe, tmp_path, dtype, found, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    data = borrowed(clip_recipe(), tmp_path, dtype=dtype)
    model = build_model(ModelConfig.model_validate(data["model"]))
    assert {p.dtype for p in model.language_model.parameters()} == {found}
    stage = Preset.model_validate(data).stages[0]
    for bf16 in (False, True):
        prepared_task(model, stage, bf16=bf16)
        wanted = torch.bfloat16 if bf16 and dtype is None else found
        assert {p.dtype for p in model.language_model.parameters()} == {wanted}


def test_dtype_that_cannot_act_is_refused():
    for section in (
        {"config": {"model_type": "llama"}},
        {"source": "x", "tune": "full"},
        {"source": "x", "quantize": "4bit", "tune": "lora"},
    ):
        encoder = {"kind": "conv", "tags": ["a"]}
        model = {
            "encoder": encoder,
            "adapter": [{"kind": "linear"}],
            "language_model": section | {"dtype": "float32"},
        }
        with pytest.raises(ValueError, match="dtype is of weights that stay as their source has them"):
            ModelConfig.model_validate(model)


def noted(sizes: dict[int, int], weights: set[int], tensor: torch.Tensor) -> torch.Tensor:
    if tensor.data_ptr() not in weights:
        sizes[tensor.data_ptr()] = tensor.nbytes
    return tensor


@pytest.mark.parametrize("family", FAMILIES)
def test_a_frozen_language_model_recomputes_its_layers(family):
    """In eval mode, where transformers' own checkpointing keeps everything: less memory, equal gradients."""
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(FAMILIES[family]).eval().requires_grad_(False)
    embeddings = torch.randn(2, 64, 32, requires_grad=True)
    weights = {parameter.data_ptr() for parameter in model.parameters()}
    kept, gradients = [], []
    for wanted in (False, True, False):
        set_recomputing(model, wanted, frozen=True)
        sizes: dict[int, int] = {}
        embeddings.grad = None
        with torch.autograd.graph.saved_tensors_hooks(partial(noted, sizes, weights), lambda t: t):
            loss = model(inputs_embeds=embeddings, use_cache=False, logits_to_keep=1).logits.square().mean()
        loss.backward()
        kept.append(sum(sizes.values()))
        gradients.append(embeddings.grad)
    assert kept[1] < 0.4 * kept[0] and kept[2] == kept[0]
    assert torch.allclose(gradients[1], gradients[0], atol=1e-7) and torch.equal(gradients[2], gradients[0])


def test_checkpointing_acts_in_a_stage_with_a_frozen_language_model(clip_recipe, tmp_path):
    data = borrowed(clip_recipe(gradient_checkpointing=True), tmp_path)
    model = build_model(ModelConfig.model_validate(data["model"]))
    prepared_task(model, Preset.model_validate(data).stages[0], bf16=False).train()
    layer = model.language_model.model.model.layers[0]
    assert "forward" in vars(layer) and not layer.training
    stage = Preset.model_validate(clip_recipe()).stages[0]
    prepared_task(model, stage, bf16=False)
    assert "forward" not in vars(layer)


def test_settings_that_cannot_act_are_refused(clip_recipe):
    with pytest.raises(ValueError, match="encoder_learning_rate needs an encoder that is trained"):
        Preset.model_validate(clip_recipe(freeze=["encoder"], encoder_learning_rate=1e-4))
    data = clip_recipe(gradient_checkpointing=True)
    data["model"]["decoding"] |= {"joint_space": {"dim": 8}, "alignment": 1.0}
    data["stages"][0] |= {"task": "alignment", "losses": {}}
    with pytest.raises(ValueError, match="gradient_checkpointing: task alignment does not train through"):
        Preset.model_validate(data)


def test_wrong_lora_targets_are_named_before_anything_is_built(clip_recipe, tmp_path):
    """One of several too, which peft passes over."""
    data = borrowed(clip_recipe(), tmp_path, tune="lora", lora={"targets": ["q_proj", "value_proj"]})
    wanted = r"has no projection value_proj; did you mean 'v_proj'\?; it has .*q_proj, up_proj, v_proj"
    with pytest.raises(ConfigError, match=wanted):
        look(Preset.model_validate(data), tmp_path / "run")
    with pytest.raises(ConfigError, match=wanted):
        build_model(ModelConfig.model_validate(data["model"]))


def test_a_missing_source_and_a_small_set_are_found_by_the_check(clip_recipe, tmp_path):
    data = borrowed(clip_recipe(), tmp_path / "llama")
    (tmp_path / "llama" / "config.json").unlink()
    with pytest.raises(ConfigError, match=r"language_model.source .* cannot be loaded"):
        look(Preset.model_validate(data), tmp_path / "run")
    small = Preset.model_validate(clip_recipe(batch_size=32, accumulate=2))
    assert any("do not fill a step: lower batch_size" in line for line in forecast(small, tmp_path / "run"))
    with pytest.raises(ConfigError, match="its data are 24 clips .*one step takes 128 .*set batch_size=3,"):
        look(small, tmp_path / "run", processes=2)


def test_a_dry_run_forecasts_steps_time_memory_and_disk(clip_recipe, tmp_path):
    data = borrowed(clip_recipe(data={"epochs": 3}), tmp_path / "llama", tune="lora")
    lines = list(forecast(Preset.model_validate(data), tmp_path / "run", dry_run=True))
    told = "\n".join(lines)
    assert "language_model: " in told and "tune: lora, 0 million parameters" in told
    assert "train: 72 clips in 18 steps, validated every 2; " in told
    assert " s a step on this machine, " in told and "MB are free" in told and lines[-1].startswith("in all ")
    assert not list((tmp_path / "run").glob("0-*"))


def test_a_wrong_key_is_answered_without_importing_torch():
    """The nearest key of that section first; torch alone takes seconds to import."""
    code = (
        "import sys\nfrom typer.testing import CliRunner\nfrom earwitness.cli import app\n"
        "told = CliRunner().invoke(app, ['train', 'mini', 'stages.0.bach_size=3'])\n"
        "print(told.output, told.exit_code, 'torch' in sys.modules)"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "stages.0.bach_size: unknown key; did you mean 'batch_size'?" in told and told.endswith(
        "2 False\n"
    )
