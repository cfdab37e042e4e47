from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import LogitsProcessor, PreTrainedTokenizerFast

from earwitness.decoding import CausalLanguageModel, EncoderDecoderLanguageModel, normalise_caption
from earwitness.decoding.language_model import LanguageModel
from earwitness.decoding.packing import pack_right
from earwitness.embeds import Embeds

CAPTIONS = ["a dog barks", "rain falls on the engine and then a man speaks", "wind blows"]


@pytest.fixture(params=["causal", "encoder_decoder"])
def language_model(request: pytest.FixtureRequest) -> LanguageModel:
    return request.getfixturevalue(request.param)


@pytest.fixture
def prefix() -> Embeds:
    """Three rows of 6, 3 and 1 real tokens, with holes and nan between them."""
    torch.manual_seed(3)
    mask = torch.tensor([[1, 1, 1, 1, 1, 1], [0, 1, 0, 1, 1, 0], [0, 0, 0, 1, 0, 0]]).bool()
    values = torch.randn(3, 6, 16, dtype=torch.float64)
    return Embeds(torch.where(mask[..., None], values, torch.nan), mask)


def row(prefix: Embeds, i: int) -> Embeds:
    return Embeds.full(prefix.values[i][prefix.mask[i]][None])


@pytest.mark.parametrize(
    ("raw", "normalised"),
    [
        ("A dog barks, and then  a man speaks.", "a dog barks and then a man speaks"),
        ('Engine idling; metal clanks: "beep" ...', "engine idling metal clanks beep"),
        ("It's 10:30 - a clock\tticks!", "its 10 30 a clock ticks"),
        (" High-pitched “ring”…\n", "high pitched ring"),
        ("...", ""),
    ],
)
def test_normalise_caption(raw: str, normalised: str) -> None:
    assert normalise_caption(raw) == normalised


@settings(deadline=None)
@given(st.text())
def test_normalise_caption_is_idempotent_and_clean(text: str) -> None:
    clean = normalise_caption(text)
    assert normalise_caption(clean) == clean
    assert clean == " ".join(clean.split()) and not set(clean) & set(".,;:!?'\"-()<>|`")


def test_pack_right_keeps_order_and_trims(prefix: Embeds) -> None:
    packed = pack_right(
        Embeds(*(torch.nn.functional.pad(t, p) for t, p in zip(prefix, [(0, 0, 2, 3), (2, 3)])))
    )
    assert packed.mask.tolist() == [[True] * 6, [False] * 3 + [True] * 3, [False] * 5 + [True]]
    for i in range(3):
        assert torch.equal(packed.values[i][packed.mask[i]], prefix.values[i][prefix.mask[i]])
    with pytest.raises(ValueError, match=r"rows \[1\] have no token"):
        pack_right(Embeds(prefix.values, prefix.mask & torch.tensor([[True], [False], [True]])))


def test_captions_end_with_eos_and_have_no_bos(language_model: LanguageModel) -> None:
    ids, mask = language_model.encode_captions(CAPTIONS)
    assert mask.sum(1).tolist() == [4, 11, 3]
    for own, real, caption in zip(ids, mask, CAPTIONS):
        assert own[real][-1] == language_model.eos_id and (own[real][:-1] != language_model.eos_id).all()
        assert language_model.bos_id not in own[real].tolist()
        assert language_model.decode(own.tolist()) == caption
    cut, mask = language_model.encode_captions(CAPTIONS, max_tokens=4)
    assert mask.sum(1).tolist() == [4, 4, 3] and cut[1, -1] != language_model.eos_id


def test_special_tokens_neither_enter_nor_leave_through_text(language_model: LanguageModel) -> None:
    dirty = language_model.encode_captions(["<s>a dog</s> barks <pad>"])[0]
    assert torch.equal(dirty, language_model.encode_captions(["a dog barks"])[0])
    a, dog = language_model.tokenize("a dog")
    assert language_model.decode([1, a, 0, 3, dog, 1, 2, a, dog]) == "a dog"
    assert language_model.tokenize("<s> a", special=True) == [1, a]


def test_logits_do_not_depend_on_batch_mates_or_padding(
    language_model: LanguageModel, prefix: Embeds
) -> None:
    ids, mask = language_model.encode_captions(CAPTIONS)
    with torch.no_grad():
        together = language_model.logits(prefix, ids, mask)
        assert together.shape == (3, 11, language_model.vocabulary_size)
        for i, caption in enumerate(CAPTIONS):
            alone = language_model.logits(row(prefix, i), *language_model.encode_captions([caption]))[0]
            torch.testing.assert_close(together[i, : len(alone)], alone, atol=1e-9, rtol=0)


def test_logits_never_see_the_token_they_predict(language_model: LanguageModel, prefix: Embeds) -> None:
    ids, mask = language_model.encode_captions(["a dog barks and then"] * 3)
    changed = ids.clone()
    changed[:, 2] = language_model.tokenize("rain")[0]
    with torch.no_grad():
        before, after = (language_model.logits(prefix, i, mask) for i in (ids, changed))
    torch.testing.assert_close(before[:, :3], after[:, :3], atol=1e-12, rtol=0)
    assert ((before[:, 3:] - after[:, 3:]).abs().amax((1, 2)) > 1e-3).all()


def test_gradients_reach_every_real_prefix_token_and_no_padding(
    language_model: LanguageModel, prefix: Embeds
) -> None:
    values = prefix.values.clone().requires_grad_()
    ids, mask = language_model.encode_captions(CAPTIONS)
    language_model.logits(Embeds(values, prefix.mask), ids, mask)[mask].square().sum().backward()
    assert values.grad is not None and values.grad.isfinite().all()
    assert torch.equal(values.grad.abs().sum(-1) > 0, prefix.mask)


@pytest.mark.parametrize("beams", [1, 3])
def test_a_clip_is_captioned_the_same_alone_and_in_a_batch(
    language_model: LanguageModel, prefix: Embeds, beams: int
) -> None:
    texts, scores = language_model.generate(prefix, beams=beams, max_new_tokens=9)
    assert scores.std() > 1e-3  # the prefixes matter
    for i in range(3):
        text, score = language_model.generate(row(prefix, i), beams=beams, max_new_tokens=9)
        assert text == [texts[i]]
        torch.testing.assert_close(score[0], scores[i], atol=1e-5, rtol=0)


@torch.no_grad()
def greedy_twin(
    language_model: LanguageModel, prefix: Embeds, steps: int, shortest: int
) -> tuple[str, float]:
    """No cache: every step computes everything anew through `logits`."""
    ids: list[int] = []
    total = 0.0
    for step in range(steps):
        row_ids = torch.tensor([[*ids, 0]])
        logits = language_model.logits(prefix, row_ids, torch.ones_like(row_ids, dtype=torch.bool))[0, -1]
        if step < shortest:
            logits[language_model.eos_id] = -torch.inf
        ids.append(int(logits.argmax()))
        total += float(logits.log_softmax(-1).max())
        if ids[-1] == language_model.eos_id:
            break
    return language_model.decode(ids), total / len(ids)


@pytest.mark.parametrize("shortest", [0, 2, 5])
def test_greedy_decoding_equals_an_uncached_twin(
    language_model: LanguageModel, prefix: Embeds, shortest: int
) -> None:
    texts, scores = language_model.generate(prefix, beams=1, max_new_tokens=7, min_new_tokens=shortest)
    for i in range(3):
        text, score = greedy_twin(language_model, row(prefix, i), 7, shortest)
        assert texts[i] == text
        assert scores[i].item() == pytest.approx(score, abs=1e-5)


@pytest.mark.parametrize("length_penalty", [1.0, 0.3, 2.0])
def test_beam_scores_are_mean_log_probabilities(
    language_model: LanguageModel, prefix: Embeds, length_penalty: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[list[int]] = []
    monkeypatch.setattr(language_model, "decode", decoded.append)
    _, scores = language_model.generate(
        prefix, beams=4, max_new_tokens=8, min_new_tokens=0, length_penalty=length_penalty
    )
    for i, ids in enumerate(decoded):
        end = ids.index(language_model.eos_id) + 1 if language_model.eos_id in ids else len(ids)
        tokens = torch.tensor([ids[:end]])
        with torch.no_grad():
            logits = language_model.logits(row(prefix, i), tokens, torch.ones_like(tokens, dtype=torch.bool))
        mean = logits[0].log_softmax(-1).gather(1, tokens.T).mean()
        torch.testing.assert_close(scores[i].double(), mean, atol=1e-5, rtol=0)


def test_more_beams_find_no_worse_captions(language_model: LanguageModel, prefix: Embeds) -> None:
    """With every caption forced to one length the beam's best sum is at least the greedy one."""
    greedy = language_model.generate(prefix, beams=1, max_new_tokens=3, min_new_tokens=3)[1]
    every = language_model.generate(prefix, beams=26**2, max_new_tokens=3, min_new_tokens=3)[1]  # exhaustive
    assert (every >= greedy - 1e-6).all()


class Forbid(LogitsProcessor):
    def __init__(self, ids: list[int]) -> None:
        self.ids = ids
        self.rows: set[int] = set()

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        self.rows.add(len(scores))
        scores = scores.clone()
        scores[:, self.ids] = -torch.inf
        return scores


@pytest.mark.parametrize("beams", [1, 3])
def test_guides_see_batch_times_beams_rows_and_are_obeyed(
    language_model: LanguageModel, prefix: Embeds, beams: int
) -> None:
    dog, rain = language_model.tokenize("dog rain")
    everything_else = [i for i in range(language_model.vocabulary_size) if i not in (dog, rain)]
    guide = Forbid(everything_else)
    texts, scores = language_model.generate(prefix, beams=beams, max_new_tokens=4, logits_processors=[guide])
    assert guide.rows == {3 * beams}
    assert all(set(text.split()) <= {"dog", "rain"} and len(text.split()) == 4 for text in texts)
    assert (scores <= 0).all() and (scores >= -(2**0.5)).all()  # renormalised over the two words left


def test_a_checkpoints_own_settings_do_not_leak(language_model: LanguageModel) -> None:
    own = language_model.model.generation_config
    assert own.forced_eos_token_id is None and own.forced_bos_token_id is None and not own.do_sample
    assert own.num_beams in (None, 1)


def test_sampling_returns_several_captions_a_clip(language_model: LanguageModel, prefix: Embeds) -> None:
    torch.manual_seed(0)
    texts, scores = language_model.generate(
        prefix, beams=1, do_sample=True, top_p=0.95, num_return_sequences=4, max_new_tokens=6
    )
    assert len(texts) == len(scores) == 12 and len(set(texts)) > 3 and (scores <= 0).all()


def test_from_pretrained_round_trip(causal: CausalLanguageModel, prefix: Embeds, tmp_path: Path) -> None:
    causal.model.save_pretrained(tmp_path)
    causal.tokenizer.save_pretrained(tmp_path)
    again = CausalLanguageModel.from_pretrained(tmp_path, dtype=torch.float64).eval()
    assert torch.equal(again.token_table, causal.token_table) and again.dim == 16
    assert again.generate(prefix, max_new_tokens=5)[0] == causal.generate(prefix, max_new_tokens=5)[0]


def test_bart_checkpoints_start_with_their_forced_bos(
    encoder_decoder: EncoderDecoderLanguageModel, prefix: Embeds
) -> None:
    model = encoder_decoder.model
    model.generation_config.forced_bos_token_id = 1
    with_bos = EncoderDecoderLanguageModel(model, encoder_decoder.tokenizer)
    assert with_bos.decoder_start == [2, 1] and encoder_decoder.decoder_start == [2]
    texts, scores = with_bos.generate(prefix, beams=1, max_new_tokens=5)
    for i in range(3):
        text, score = greedy_twin(with_bos, row(prefix, i), 5, 2)
        assert (texts[i], scores[i].item()) == (text, pytest.approx(score, abs=1e-5))


def test_faults_are_named(causal: CausalLanguageModel, tokenizer: PreTrainedTokenizerFast) -> None:
    with pytest.raises(ValueError, match="lacks model_type"):
        CausalLanguageModel.from_config({"hidden_size": 16}, tokenizer)
    small = {
        "model_type": "llama",
        "vocab_size": 5,
        "hidden_size": 8,
        "num_hidden_layers": 1,
        "num_attention_heads": 1,
    }
    with pytest.raises(ValueError, match="the tokenizer has 26 tokens, the model's table only 5"):
        CausalLanguageModel.from_config({**small, "intermediate_size": 8}, tokenizer)
    with pytest.raises(ValueError, match="no end-of-sequence token"):
        CausalLanguageModel(
            causal.model, PreTrainedTokenizerFast(tokenizer_object=tokenizer.backend_tokenizer)
        )


SMALL = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
ARCHITECTURES = {
    "llama": SMALL,
    "qwen2": SMALL | {"num_key_value_heads": 2},
    "mistral": SMALL | {"num_key_value_heads": 2},
    "gpt2": {"n_embd": 16, "n_layer": 2, "n_head": 4},
}


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("model_type", ARCHITECTURES)
def test_branches_equal_their_prefixes_one_by_one(
    model_type: str, attention: str, tokenizer: PreTrainedTokenizerFast, prefix: Embeds
) -> None:
    torch.manual_seed(0)
    config = {"model_type": model_type, "vocab_size": len(tokenizer), "initializer_range": 0.4}
    config |= {"attn_implementation": attention}
    language_model = CausalLanguageModel.from_config(config | ARCHITECTURES[model_type], tokenizer)
    language_model.double().eval()
    assert language_model.model.config._attn_implementation == attention
    longer = Embeds(torch.randn(3, 9, 16, dtype=torch.float64), torch.rand(3, 9) > 0.3)
    ids, mask = language_model.encode_captions(CAPTIONS)
    tokens: list[int] = []
    language_model.model.register_forward_pre_hook(
        lambda _, __, inputs: tokens.append(inputs["inputs_embeds"].shape[1]), with_kwargs=True
    )
    with torch.no_grad():
        both = language_model.branches([prefix, longer], ids, mask)
        longest = int(longer.mask.sum(1).max())
        assert tokens == [6 + 10 + longest + 10]  # in one pass, and neither is padded for the other
        for together, own in zip(both, (prefix, longer), strict=True):
            for i, caption in enumerate(CAPTIONS):
                alone = language_model.logits(row(own, i), *language_model.encode_captions([caption]))[0]
                torch.testing.assert_close(together[i, : len(alone)], alone, atol=1e-4, rtol=0)


@pytest.mark.parametrize("model_type", ["bloom", "mamba"])
def test_models_with_masks_of_their_own_take_one_branch_a_row(
    model_type: str, tokenizer: PreTrainedTokenizerFast, prefix: Embeds
) -> None:
    torch.manual_seed(0)
    config = {"model_type": model_type, "vocab_size": len(tokenizer), "hidden_size": 16}
    config |= {"num_hidden_layers": 2, "n_layer": 2, "n_head": 4, "initializer_range": 0.4}
    language_model = CausalLanguageModel.from_config(config, tokenizer).eval()
    longer = Embeds(torch.randn(3, 9, 16), torch.rand(3, 9) > 0.3)
    prefix = Embeds(prefix.values.float(), prefix.mask)
    ids, mask = language_model.encode_captions(CAPTIONS)
    with torch.no_grad():
        both = language_model.branches([prefix, longer], ids, mask)
        for together, own in zip(both, (prefix, longer), strict=True):
            torch.testing.assert_close(
                together[mask], language_model.logits(own, ids, mask)[mask], atol=1e-4, rtol=0
            )


@pytest.mark.parametrize("model_type", [*ARCHITECTURES, "bloom"])
def test_several_captions_of_a_clip_get_the_logits_that_each_gets_alone(
    model_type: str, tokenizer: PreTrainedTokenizerFast, prefix: Embeds
) -> None:
    torch.manual_seed(0)
    config = {"model_type": model_type, "vocab_size": len(tokenizer), "initializer_range": 0.4}
    config |= ARCHITECTURES.get(model_type, {"hidden_size": 16, "n_layer": 2, "n_head": 4})
    language_model = CausalLanguageModel.from_config(config, tokenizer).eval()
    ids, mask = language_model.encode_captions([*CAPTIONS, *CAPTIONS[::-1]])
    ids, mask = (x.view(2, 3, -1).transpose(0, 1) for x in (ids, mask))  # two captions of each of three clips
    values = prefix.values.float().masked_fill(~prefix.mask[..., None], 0.0).requires_grad_()
    logits = language_model.logits_of_several(Embeds(values, prefix.mask), ids, mask)
    for k in range(2):
        alone = language_model.logits(Embeds(values, prefix.mask), ids[:, k], mask[:, k])
        torch.testing.assert_close(logits[:, k][mask[:, k]], alone[mask[:, k]], atol=1e-4, rtol=0)
        ours, theirs = (
            torch.autograd.grad(x[mask[:, k]].square().sum(), values, retain_graph=True)[0]
            for x in (logits[:, k], alone)
        )
        torch.testing.assert_close(ours, theirs, atol=1e-3, rtol=1e-3)


def test_gradients_of_a_branch_stay_in_it(language_model: LanguageModel, prefix: Embeds) -> None:
    values = prefix.values.nan_to_num()
    own, other = (values.clone().requires_grad_() for _ in range(2))
    ids, mask = language_model.encode_captions(CAPTIONS)
    first, second = language_model.branches([Embeds(v, prefix.mask) for v in (own, other)], ids, mask)
    torch.testing.assert_close(first[mask], second[mask])
    first[mask].square().sum().backward()
    assert own.grad is not None and own.grad.abs().sum() > 0
    assert other.grad is None or not other.grad.any()
