"""Beams that share a prefix against transformers' own cache, which copies all of it at every step."""

import pytest
import torch
from transformers import AutoModelForCausalLM, DynamicCache, PreTrainedTokenizerFast
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from earwitness.decoding import CausalLanguageModel, beam_cache
from earwitness.decoding.beam_cache import BeamLayer, share_prefix
from earwitness.embeds import Embeds

BEAMS = 3


def filled(clips: int, length: int) -> DynamicCache:
    cache = DynamicCache()
    for layer in range(2):
        cache.update(torch.randn(clips, 2, length, 4), torch.randn(clips, 2, length, 4), layer)
    return cache


@pytest.mark.parametrize("room", [1, 4, 16])
def test_a_search_in_buffers_equals_one_that_copies(room: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beam_cache, "ROOM", room)
    torch.manual_seed(0)
    shared, copied = filled(2, 5), DynamicCache()
    for i, layer in enumerate(shared.layers):
        copied.update(layer.keys, layer.values, i)
    share_prefix(shared, BEAMS)
    copied.batch_repeat_interleave(BEAMS)
    for step in range(11):
        new = 3 if step == 4 else 1  # several tokens at once, too
        for i in range(2):
            pair = torch.randn(2, 2 * BEAMS, 2, new, 4)
            for ours, theirs in zip(shared.update(*pair, i), copied.update(*pair, i)):
                assert torch.equal(ours, theirs)
        beams = torch.cat([clip * BEAMS + torch.randint(BEAMS, (BEAMS,)) for clip in range(2)])
        for cache in (shared, copied):
            cache.reorder_cache(beams)
        assert shared.get_seq_length() == copied.get_seq_length()
    for i in range(2):
        assert torch.equal(shared.layers[i].keys, copied.layers[i].keys)
        assert torch.equal(shared.layers[i].values, copied.layers[i].values)


@pytest.mark.parametrize("kind", ["llama", "qwen2", "gemma3_text", "mistral", "gpt2"])
def test_captions_are_those_of_a_cache_that_copies(
    kind: str, tokenizer: PreTrainedTokenizerFast, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
    sizes |= {"num_key_value_heads": 2, "head_dim": 4, "sliding_window": 8, "vocab_size": len(tokenizer)}
    if kind == "gpt2":
        sizes = {"n_embd": 16, "n_layer": 2, "n_head": 4, "vocab_size": len(tokenizer)}
    torch.manual_seed(1)
    model = AutoModelForCausalLM.from_config(CONFIG_MAPPING[kind](**sizes))
    for weight in model.parameters():
        if weight.ndim == 2:
            torch.nn.init.normal_(weight, std=2.0 * weight.shape[1] ** -0.5)
    causal = CausalLanguageModel(model.eval(), tokenizer)
    prefix = Embeds.full(torch.randn(3, 6, 16))
    ours = causal.generate(prefix, beams=4, max_new_tokens=24)
    monkeypatch.setattr("earwitness.decoding.causal.share_prefix", DynamicCache.batch_repeat_interleave)
    theirs = causal.generate(prefix, beams=4, max_new_tokens=24)
    assert ours[0] == theirs[0]
    torch.testing.assert_close(ours[1], theirs[1])


def test_layers_with_a_window_are_left_to_transformers() -> None:
    config = CONFIG_MAPPING["mistral"](num_hidden_layers=1, sliding_window=4)
    cache = DynamicCache(config=config)
    cache.update(torch.randn(2, 2, 5, 4), torch.randn(2, 2, 5, 4), 0)
    share_prefix(cache, BEAMS)
    assert not isinstance(cache.layers[0], BeamLayer) and len(cache.layers[0].keys) == 2 * BEAMS
