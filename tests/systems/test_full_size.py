"""The presets at full size, counted without memory on the meta device, against the published models."""

from __future__ import annotations

import pytest
import torch
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast

from earwitness.build import build_model
from earwitness.config.model import ModelConfig
from earwitness.config.preset import load_preset

LLAMA_2_7B = {"model_type": "llama", "vocab_size": 32000, "hidden_size": 4096, "intermediate_size": 11008} | {
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
}
BART_BASE = {"model_type": "bart", "vocab_size": 50265, "d_model": 768, "decoder_start_token_id": 2} | {
    f"{side}_{what}": n
    for side in ("encoder", "decoder")
    for what, n in [("layers", 6), ("ffn_dim", 3072), ("attention_heads", 12)]
}
CLIP_VIT_L_14 = {"hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24} | {
    "num_attention_heads": 16,
    "image_size": 224,
    "patch_size": 14,
    "projection_dim": 768,
}
LLAMA_PARAMETERS, BART_PARAMETERS = 6_738_415_616, 139_420_416
LLAMA_LORA = 32 * 2 * 8 * (4096 + 4096)  # layers, projections, rank, both sides
CED_LORA = 12 * 2 * 8 * (768 + 768)


def full_size(preset: str):
    data = load_preset(preset).model.model_dump()
    data["encoder"]["source"] = None
    config = BART_BASE if data["language_model"]["kind"] == "seq2seq" else LLAMA_2_7B
    data["language_model"] |= {"source": None, "config": config}
    if data["vision"]:
        data["vision"] |= {"source": None, "config": CLIP_VIT_L_14}
    words = Tokenizer(models.WordLevel({"<s>": 0, "</s>": 1}))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, bos_token="<s>", eos_token="</s>")
    with torch.device("meta"):
        return build_model(ModelConfig.model_validate(data), tokenizer)


def count(module, trained: bool | None = None, lora: bool | None = None) -> int:
    return sum(
        p.numel()
        for n, p in module.named_parameters()
        if trained in (None, p.requires_grad) and lora in (None, "lora_" in n)
    )


@pytest.mark.parametrize(
    "preset, encoder",
    [
        ("lamb", 86e6),
        ("lavcap", 86e6),
        ("loae", 86e6),
        ("loae-dasheng-base", 86e6),
        ("loae-dasheng-0.6b", 630e6),
        ("loae-bart", 86e6),
        ("distillcaps", 86e6),
        ("all", 86e6),
    ],
)
def test_parameters_of_the_published_models(preset, encoder):
    model = full_size(preset)
    assert count(model.encoder, lora=False) == pytest.approx(encoder, rel=0.02)
    language_model = BART_PARAMETERS if preset == "loae-bart" else LLAMA_PARAMETERS
    assert count(model.language_model, lora=False) == language_model
    if preset != "loae-bart":
        assert count(model.language_model, trained=True) == LLAMA_LORA
    if preset == "distillcaps":
        assert count(model.encoder, trained=True) == 0
    elif "dasheng" not in preset:
        assert count(model.encoder, trained=True) == CED_LORA
    if preset in ("lavcap", "all"):
        assert count(model.vision) == 303_179_776 + 1024 * 768
        assert count(model.vision, trained=True) == 0
    if preset.startswith("loae"):
        assert count(model.adapter.qformer) == pytest.approx(
            18_905_856, rel=0.15
        )  # wider keys for Dasheng-0.6B
