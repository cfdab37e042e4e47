"""A language model in 8 or 4 bits: loaded, adapted by LoRA, saved without its base, loaded again."""

import logging

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from earwitness.build import build_model
from earwitness.checkpoints.folder import WEIGHTS, load_checkpoint, save_checkpoint
from earwitness.config.model import ModelConfig
from earwitness.config.stages import Losses
from earwitness.training.beginning import train_tokenizer
from earwitness.training.objective import CaptioningTask

bitsandbytes = pytest.importorskip("bitsandbytes")

CAPTIONS = ["a dog barks", "rain falls as a bell rings", "a man speaks while an engine runs"]
LAYERS = {"8bit": bitsandbytes.nn.Linear8bitLt, "4bit": bitsandbytes.nn.Linear4bit}
OFF = {"8bit": 0.03, "4bit": 0.3}  # of the logits' size, that rounding may take them away


@pytest.fixture(scope="module")
def llama(tmp_path_factory):
    folder = tmp_path_factory.mktemp("llama")
    tokenizer = train_tokenizer(CAPTIONS, 300)
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    shape = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = LlamaConfig(vocab_size=len(tokenizer), bos_token_id=0, eos_token_id=1, **shape)
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


def model(llama, quantize):
    torch.manual_seed(1)
    return build_model(
        ModelConfig.model_validate(
            {
                "encoder": {"kind": "ced", "dim": 16, "depth": 1, "heads": 2},
                "adapter": [{"kind": "linear"}],
                "language_model": {"source": str(llama), "tune": "lora", "quantize": quantize},
                "prompt": "<audio><bos>",
            }
        )
    )


def sound():
    generator = torch.Generator().manual_seed(2)
    waveforms = 0.1 * torch.randn(2, 16_000, generator=generator)
    return {"waveforms": waveforms, "lengths": torch.tensor([16_000, 12_000])}


@pytest.mark.parametrize("bits", LAYERS)
def test_what_is_held_in_few_bits_says_nearly_the_same(llama, bits, caplog):
    whole, few = model(llama, None), model(llama, bits)
    assert sum(isinstance(m, LAYERS[bits]) for m in few.modules()) == 14  # all projections of two layers
    ids = torch.arange(10)[None]
    with torch.no_grad(), caplog.at_level(logging.WARNING):
        a, b = (m.eval().language_model.model(input_ids=ids).logits for m in (whole, few))
    assert 0 < (a - b).norm() / a.norm() < OFF[bits]
    assert not caplog.records


@pytest.mark.parametrize("bits", LAYERS)
def test_lora_learns_on_it_and_the_base_stays_where_it_is(llama, bits, tmp_path):
    few = model(llama, bits)
    held = {n: p.detach().clone() for n, p in few.named_parameters() if not p.requires_grad}
    task = CaptioningTask(few, Losses(caption=1.0))
    task.train()
    ids, mask = few.language_model.encode_captions(CAPTIONS[:2], 40, device="cpu")
    optimizer = torch.optim.AdamW([p for p in few.parameters() if p.requires_grad], 1e-2)
    losses = []
    for _ in range(5):
        out = task(sound=sound(), ids=ids, mask=mask)
        optimizer.zero_grad()
        out["loss"].backward()
        optimizer.step()
        losses.append(float(out["loss"].detach()))
    assert losses[-1] < losses[0] - 0.2
    assert all(torch.equal(held[n], p) for n, p in few.named_parameters() if n in held)
    learnt = [n for n, p in few.named_parameters() if "lora" in n and p.grad is not None and p.grad.any()]
    assert len(learnt) >= 4

    said = few.eval().caption(sound(), beams=2, max_new_tokens=6)
    save_checkpoint(few, tmp_path / "saved", half=False)
    assert (tmp_path / "saved" / WEIGHTS).stat().st_size < 120_000  # LoRA, adapter, encoder: not the base
    again = load_checkpoint(tmp_path / "saved").caption(sound(), beams=2, max_new_tokens=6)
    assert again.texts == said.texts and torch.allclose(again.scores, said.scores, atol=1e-4)
