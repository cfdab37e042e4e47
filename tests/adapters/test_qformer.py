"""The windowed Q-Former against LOAE's own code (tests/golden/qformer.npz), transformers' BERT, and alone."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from earwitness.adapters.qformer import QFormerAdapter, qformer_state_from_released, time_windows
from earwitness.embeds import Embeds, length_mask

FOLDER = Path(__file__).parents[1] / "golden"
GOLDEN = {k: torch.from_numpy(v) for k, v in np.load(FOLDER / "qformer.npz").items()}
RELEASED = {k.removeprefix("state/"): v for k, v in GOLDEN.items() if k.startswith("state/")}


def released_adapter(queries: int = 1) -> QFormerAdapter:
    adapter = QFormerAdapter(
        dim=48, dim_llm=64, hidden=64, heads=4, feed_forward=128, queries=queries, fidelity="released"
    )
    adapter.projection = nn.Identity()
    state = dict(RELEASED)
    if queries == 3:
        state["speech_query_tokens"] = GOLDEN["query3"]
    adapter.load_state_dict(qformer_state_from_released(state))
    return adapter.eval()


def small_adapter(**changes) -> QFormerAdapter:
    torch.manual_seed(0)
    adapter = QFormerAdapter(dim=12, dim_llm=10, hidden=16, heads=4, **changes).eval()
    for parameter in adapter.parameters():  # BERT's small initial weights would hide a fault
        nn.init.normal_(parameter, std=0.3)
    return adapter


@pytest.mark.parametrize(
    ("queries", "mask", "expected"),
    [
        (1, None, "last_hidden_state"),
        (1, "enc_mask", "last_hidden_state_masked"),
        (3, None, "last_hidden_state_query3"),
    ],
)
@torch.no_grad()
def test_released_form_equals_the_released_code(queries, mask, expected):
    tokens = GOLDEN["audio_embeds"]
    real = torch.ones(2, 248, dtype=torch.bool)
    if mask:
        real[:, : 14 * 17] = GOLDEN[mask].view(2, 14 * 17)
    z = released_adapter(queries)(Embeds(tokens, real))
    assert z.values.shape == (2, 14 * queries, 64) and z.mask.all()
    torch.testing.assert_close(z.values.reshape(28, queries, 64), GOLDEN[expected], rtol=0, atol=1e-5)


def test_full_size_checkpoint_fits_name_by_name():
    shapes = json.loads((FOLDER / "qformer_keys.json").read_text())
    with torch.device("meta"):
        adapter = QFormerAdapter(dim=768, dim_llm=4096)
        state = {name: torch.empty(shape) for name, shape in shapes.items()}
        state |= {"enc_to_dec_proj.weight": torch.empty(4096, 768), "enc_to_dec_proj.bias": torch.empty(4096)}
        state["encoder.blocks.0.attn.proj.weight"] = torch.empty(768, 768)  # another part's
        adapter.load_state_dict(qformer_state_from_released(state), assign=True)
    assert sum(p.numel() for p in adapter.qformer.parameters()) == 18_905_856


def test_conversion_names_what_it_cannot_place():
    with pytest.raises(ValueError, match=r"no place .* speech_former\.bert\.pooler\.dense\.weight"):
        qformer_state_from_released({"speech_former.bert.pooler.dense.weight": torch.zeros(1)})


@torch.no_grad()
def test_released_form_drops_the_remainder_and_refuses_less_than_a_window():
    adapter = small_adapter(fidelity="released")
    tokens = torch.randn(1, 40, 12)
    z = adapter(Embeds.full(tokens))
    assert z.values.shape == (1, 2, 10)
    tokens[:, 34:] += 1
    torch.testing.assert_close(adapter(Embeds.full(tokens)).values, z.values)
    with pytest.raises(ValueError, match=r"at least 17 tokens \(0\.8 s\), not 16"):
        adapter(Embeds.full(tokens[:, :16]))


def test_windows_hold_whole_frames_of_one_time_span():
    frames = torch.arange(62.0).repeat_interleave(4)[None, :, None]  # a token's value is its frame
    values, mask = time_windows(Embeds.full(frames), 17, 4)
    assert values.shape == (1, 15, 20, 1)
    windows = [values[0, w, mask[0, w], 0].tolist() for w in range(15)]
    assert [token for window in windows for token in window] == frames.flatten().tolist()
    assert all(window.count(frame) == 4 for window in windows for frame in window)
    assert {len(window) for window in windows[:-1]} == {16, 20}
    assert sum(map(len, windows[:8])) / 8 == 17


@given(size=st.integers(1, 60), window=st.integers(1, 20), bands=st.integers(1, 5))
@settings(max_examples=80, deadline=None)
def test_windows_part_the_tokens(size, window, bands):
    if bands > window:
        return
    tokens = torch.arange(1.0, size + 1)[None, :, None]
    values, mask = time_windows(Embeds.full(tokens), window, bands)
    assert values[mask].flatten().tolist() == tokens.flatten().tolist()  # each once, in order
    assert mask.any(2).all() and (size % bands or mask.shape[1] == -(-size // window))
    assert (values[~mask] == 0).all()


@pytest.mark.parametrize("fidelity", ["paper", "released"])
@torch.no_grad()
def test_a_clip_alone_equals_a_clip_in_a_batch(fidelity):
    adapter = small_adapter(queries=2, fidelity=fidelity)
    lengths = torch.tensor([68, 36, 16, 52]) if fidelity == "paper" else torch.tensor([68, 37, 17, 50])
    tokens = torch.randn(4, 68, 12, generator=torch.Generator().manual_seed(1))
    mask = length_mask(lengths, 68)
    batch = adapter(Embeds(tokens.masked_fill(~mask[..., None], torch.nan), mask))
    for b, length in enumerate(lengths.tolist()):
        if fidelity == "released" and length % 17:
            continue  # alone its remainder is dropped
        alone = adapter(Embeds.full(tokens[b : b + 1, :length]))
        torch.testing.assert_close(batch.values[b, batch.mask[b]], alone.values[0], rtol=0, atol=1e-5)
        assert batch.mask[b].sum() == 2 * -(-length // 17)
    assert batch.values.isfinite().all()


@torch.no_grad()
def test_a_window_reads_its_own_tokens_only():
    adapter = small_adapter()
    tokens = torch.randn(1, 68, 12)
    before = adapter(Embeds.full(tokens)).values
    tokens[0, 17 * 2 + 1] += 3.0  # token 35, frame 8: the first of window 2
    moved = (adapter(Embeds.full(tokens)).values - before).abs().amax(2)[0] > 1e-6
    assert moved.tolist() == [False, False, True, False]


@torch.no_grad()
def test_a_layer_equals_berts():
    transformers = pytest.importorskip("transformers")
    from transformers.models.bert.modeling_bert import BertLayer

    from earwitness.attention import QueryLayer

    config = transformers.BertConfig(
        hidden_size=16,
        num_attention_heads=4,
        intermediate_size=32,
        is_decoder=True,
        add_cross_attention=True,
        attn_implementation="eager",
    )
    torch.manual_seed(3)
    theirs, ours = BertLayer(config).eval(), QueryLayer(dim=16, context_dim=16, heads=4, hidden=32).eval()
    pairs = {
        "attention.self.": "self_attention.",
        "attention.output.dense": "self_attention.output",
        "attention.output.LayerNorm": "self_attention.norm",
        "crossattention.self.": "cross_attention.",
        "crossattention.output.dense": "cross_attention.output",
        "crossattention.output.LayerNorm": "cross_attention.norm",
        "intermediate.dense": "feed_forward.up",
        "output.dense": "feed_forward.down",
        "output.LayerNorm": "feed_forward.norm",
    }
    state: dict[str, Tensor] = {}
    for name, tensor in theirs.state_dict().items():
        part = next(p for p in pairs if name.startswith(p))
        state[name.replace(part, pairs[part], 1)] = torch.randn_like(tensor)
        tensor.copy_(state[name.replace(part, pairs[part], 1)])
    ours.load_state_dict(state)
    x, context = torch.randn(2, 3, 16), torch.randn(2, 5, 16)
    mask = torch.tensor([[True] * 5, [True, False, True, False, False]])
    bias = torch.zeros(2, 1, 1, 5).masked_fill(~mask[:, None, None, :], torch.finfo(torch.float32).min)
    everything = torch.zeros(2, 1, 3, 3)
    expected = theirs(x, everything, encoder_hidden_states=context, encoder_attention_mask=bias)
    expected = expected[0] if isinstance(expected, tuple) else expected
    torch.testing.assert_close(ours(x, Embeds(context, mask)), expected, rtol=1e-5, atol=1e-5)


def test_every_parameter_learns_and_dropout_acts_in_training_only():
    adapter = small_adapter()
    x = Embeds.full(torch.randn(2, 34, 12))
    assert torch.equal(adapter(x).values, adapter(x).values)
    adapter.train()
    assert not torch.equal(adapter(x).values, adapter(x).values)
    adapter(x).values.square().sum().backward()
    idle = [n for n, p in adapter.named_parameters() if p.grad is None or not p.grad.any()]
    # With one query, self-attention has one weight, 1: its query and key cannot learn.
    single = [f"qformer.layers.{i}.self_attention.{part}.{kind}"
              for i in range(2) for part in ("query", "key") for kind in ("weight", "bias")]  # fmt: skip
    biases = [f"qformer.layers.{i}.cross_attention.key.bias" for i in range(2)]  # softmax ignores a shift
    assert set(idle) - set(biases) == set(single)


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"heads": 5}, "dim 16 is not a multiple of heads 5"), ({"window": 3}, "window of 3 tokens must hold")],
)
def test_refuses(changes, message):
    with pytest.raises(ValueError, match=message):
        QFormerAdapter(**({"dim": 12, "dim_llm": 10, "hidden": 16, "heads": 4} | changes))
