"""The corrector: whom it asks, what it accepts, and a tiny chat model end to end."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from earwitness.correction.corrector import PROMPT, THRESHOLD, Corrector, caption_in, lost_words

sys.path.append(str(Path(__file__).parents[1]))  # test modules are imported on their own
from tiny_parts import CHAT, write_chat_model

ORIGINAL = "a man is speaking and a dog bark in background"
NO_SYSTEM = (
    "{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
)


@pytest.mark.parametrize(
    ("answer", "caption"),
    [
        (
            "a man is speaking and a dog barks in the background",
            "a man is speaking and a dog barks in the background",
        ),
        ("A man is speaking and a dog barks.", "A man is speaking and a dog barks"),
        ('"a man is speaking and a dog barks"', "a man is speaking and a dog barks"),
        ("“a man is speaking and a dog barks.”", "a man is speaking and a dog barks"),
        (f"{ORIGINAL} ==> a man speaks and a dog barks", "a man speaks and a dog barks"),
        (f"{ORIGINAL.upper()}. ==> a man speaks and a dog barks.", "a man speaks and a dog barks"),
        ("==> a man is speaking and a dog barks", "a man is speaking and a dog barks"),
        (ORIGINAL, ORIGINAL),
    ],
)
def test_accepts_captions(answer, caption):
    answer = answer if not answer.startswith("==>") else f"{ORIGINAL} {answer}"
    assert caption_in(answer, ORIGINAL) == caption


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "   ",
        ".",
        '""',
        "Sure! a man is speaking and a dog barks in the background",
        "Here is the revised sentence: a man is speaking and a dog barks",
        "Here's a man speaking and a dog barking",
        "a man is speaking and a dog barks\nI changed the verb.",
        "a man is speaking and a dog barks. I hope this helps",
        "a man is speaking and a dog barks in the corrected sentence",
        "I'm ready to help! Please provide the sentence about a man speaking and a dog",
        "is a man speaking and a dog barking in background?",
        "**a man is speaking and a dog barks**",
        "1: a man is speaking and a dog barks",
        "rain is falling on a tin roof ==> rain is falling on the tin roof",
        "something else ==> a man is speaking and a dog barks",
        f"{ORIGINAL} ==> ",
        f"{ORIGINAL} ==> a man is speaking ==> a man is speaking and a dog barks",
        "rain is falling on the tin roof of an old house",
        "a man",
        "a man is speaking and a dog bark in background " * 3,
    ],
)
def test_refuses_what_is_no_caption(answer):
    assert caption_in(answer, ORIGINAL) is None


class ScriptedTokenizer:
    """Characters as ids; a chat template that only frames."""

    chat_template = "given"
    eos_token_id = 0

    def __init__(self, system: bool = True) -> None:
        self.system = system

    def apply_chat_template(self, turns, tokenize, add_generation_prompt):
        assert not tokenize and add_generation_prompt
        if not self.system and turns[0]["role"] == "system":
            raise RuntimeError("System role not supported")
        return "".join(f"<{turn['role']}>{turn['content']}" for turn in turns) + "<assistant>"

    def __call__(self, text, add_special_tokens):
        assert not add_special_tokens  # the template has put them
        return {"input_ids": [ord(c) for c in text]}

    def decode(self, ids, skip_special_tokens):
        return "".join(chr(i) for i in ids if i)


class ScriptedModel(torch.nn.Module):
    """Answers a caption from a table; records the prompts it saw."""

    def __init__(self, answers: dict[str, str], ends: bool = True) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.answers, self.ends, self.prompts = answers, ends, []
        self.generation_config = type("Config", (), {"eos_token_id": [0, 1]})()

    def generate(self, ids, attention_mask, generation_config):
        assert not generation_config.do_sample and generation_config.eos_token_id == [0, 1]
        rows = []
        for row, mask in zip(ids, attention_mask):
            assert mask.tolist() == sorted(mask.tolist())  # padding on the left
            prompt = "".join(chr(i) for i in row[mask.bool()])
            self.prompts.append(prompt)
            answer = self.answers[
                prompt.rsplit("<user>", 1)[1].removesuffix("<assistant>").rsplit("\n\n", 1)[-1]
            ]
            rows.append([ord(c) for c in answer] + [1] * self.ends)
        longest = max(map(len, rows))
        answers = torch.tensor([row + [0] * (longest - len(row)) * self.ends for row in rows])
        return torch.cat([ids, answers], 1)


FAULTY = {
    "a dog bark loudly": "a dog barks loudly",
    "rain and": "Sure, what is the sentence?",
    "wind blow and and": "wind blow and and",
}


def probabilities(captions):
    return torch.tensor([0.95 if caption in FAULTY else 0.10 for caption in captions])


@pytest.mark.parametrize(
    ("answer", "lost"),
    [
        ("a man speaks and a dog barks", []),
        ("a man speaks while dogs were barking", []),
        ("a man speaks", ["dog", "bark"]),
        ("a person is speaking and a dog barks in the background", ["man"]),
    ],
)
def test_names_the_words_that_an_answer_lost(answer, lost):
    assert lost_words(ORIGINAL, answer) == lost


def corrector(**settings) -> Corrector:
    return Corrector(ScriptedModel(FAULTY), ScriptedTokenizer(), probabilities, **settings)


def test_only_faulty_captions_are_sent_and_everything_is_recorded():
    correct = corrector(batch_size=2)
    captions = ["birds sing", *FAULTY, "", "a dog barks"]
    results = correct(captions)
    assert [r.original for r in results] == captions
    assert [r.outcome for r in results] == ["kept", "corrected", "refused", "kept", "kept", "kept"]
    assert [r.text for r in results] == [captions[0], "a dog barks loudly", *captions[2:]]
    assert [r.answer for r in results] == [None, *FAULTY.values(), None, None]
    assert results[1].error_probability == pytest.approx(0.95)
    assert correct.model.prompts == [f"<system>{PROMPT}<user>{caption}<assistant>" for caption in FAULTY]
    assert not any(p.requires_grad for p in correct.model.parameters())
    assert correct([]) == []


def test_an_answer_that_loses_a_sound_is_refused_and_recorded(caplog):
    answers = {"a dog bark and rain fall": "a dog barks loudly", "a man speak": "a man speaks"}
    with caplog.at_level("INFO", "earwitness"):
        correct = Corrector(
            ScriptedModel(answers), ScriptedTokenizer(), lambda c: [0.95 if x in answers else 0.1 for x in c]
        )
        lost, kept = correct(list(answers))
    assert lost == (
        *2 * ("a dog bark and rain fall",),
        0.95,
        "refused",
        "a dog barks loudly",
        "without rain, fall",
    )
    assert kept.outcome == "corrected" and "refused (without rain, fall): 'a dog barks loudly'" in caplog.text


def test_an_answer_in_another_order_is_refused():
    """SmolLM2-135M made another person speak so."""
    answers = {
        "a woman speak while a man": "A man speaks while a woman.",
        "a dog bark and a dog": "a dog barks",
    }
    correct = Corrector(
        ScriptedModel(answers), ScriptedTokenizer(), lambda c: [0.95 * (x in answers) for x in c]
    )
    swapped, kept = correct(list(answers))
    assert (swapped.outcome, swapped.reason) == (
        "refused",
        "in another order",
    ) and kept.outcome == "corrected"


def test_an_answer_that_the_detector_finds_no_better_is_refused():
    for after, outcome in ((0.95, "refused"), (0.97, "refused"), (0.94, "corrected")):
        correct = Corrector(
            ScriptedModel(FAULTY),
            ScriptedTokenizer(),
            lambda c, p=after: [0.95 if x in FAULTY else p for x in c],
        )
        (result,) = correct(["a dog bark loudly"])
        assert result.outcome == outcome and (result.text == "a dog barks loudly") == (outcome == "corrected")
    assert result.reason is None and correct(["rain and"])[0].reason == "no caption"


def test_the_threshold_itself_is_not_above():
    model = ScriptedModel({"a dog bark": "a dog barks"})
    for probability, outcome in ((THRESHOLD, "kept"), (THRESHOLD + 1e-6, "corrected")):
        correct = Corrector(
            model,
            ScriptedTokenizer(),
            lambda captions, p=probability: [p * (c == "a dog bark") for c in captions],
        )
        assert correct(["a dog bark"])[0].outcome == outcome


def test_an_answer_that_was_cut_off_is_refused():
    correct = Corrector(ScriptedModel(FAULTY, ends=False), ScriptedTokenizer(), probabilities)
    assert correct(["a dog bark loudly"])[0].outcome == "refused"


def test_templates_without_a_system_turn_get_it_in_the_users():
    correct = Corrector(ScriptedModel(FAULTY), ScriptedTokenizer(system=False), probabilities)
    assert correct(["a dog bark loudly"])[0].outcome == "corrected"
    assert correct.model.prompts == [f"<user>{PROMPT}\n\na dog bark loudly<assistant>"]


def test_normalise_brings_answers_into_form():
    correct = Corrector(
        ScriptedModel({"rain and": "Rain AND."}), ScriptedTokenizer(), lambda c: [1.0], normalise=str.lower
    )
    assert correct(["rain and"])[0] == ("rain and", "rain and", 1.0, "kept", "Rain AND.", None)


def test_a_real_chat_model_batch_equals_one_by_one(tmp_path):
    from transformers import AutoTokenizer, LlamaForCausalLM

    folder = write_chat_model(tmp_path)
    tokenizer, model = AutoTokenizer.from_pretrained(folder), LlamaForCausalLM.from_pretrained(folder)
    tokenizer.chat_template = None
    with pytest.raises(ValueError, match="has no chat template"):
        Corrector(model, tokenizer, lambda c: [1.0] * len(c))
    captions = ["a dog bark", "rain is falling and and", "x"]
    for template in (CHAT, NO_SYSTEM + CHAT):
        tokenizer.chat_template = template
        correct = Corrector(model, tokenizer, lambda c: [1.0] * len(c), max_new_tokens=6, batch_size=3)
        together = correct(captions)
        assert all(r.text == r.original and r.outcome == "refused" and r.answer for r in together)
        assert together == [correct([caption])[0] for caption in captions]


def test_refuses_settings_and_names_the_way_to_gated_weights(tmp_path):
    with pytest.raises(ValueError, match=r"threshold must be a probability, not 90"):
        corrector(threshold=90)
    with pytest.raises(OSError, match=r"accept the terms on .*nothing.*a local folder"):
        Corrector.from_pretrained(tmp_path / "nothing", probabilities)


def test_what_is_stored_in_bfloat16_is_computed_in_float32_on_a_cpu(tmp_path):
    from transformers import LlamaForCausalLM

    folder = write_chat_model(tmp_path)
    LlamaForCausalLM.from_pretrained(folder, dtype=torch.bfloat16).save_pretrained(folder)
    for options, dtype in ({}, torch.float32), ({"dtype": "bfloat16"}, torch.bfloat16):
        correct = Corrector.from_pretrained(folder, probabilities, **options)
        assert {parameter.dtype for parameter in correct.model.parameters()} == {dtype}
