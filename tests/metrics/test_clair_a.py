"""CLAIR-A: a language model's verdicts, read strictly and kept with their reasons."""

from __future__ import annotations

import csv
import io
import json
import sys
from pathlib import Path

import pytest

from earwitness import score
from earwitness.metrics.clair_a import PROMPT, LocalJudge, clair_a, read_prompt, read_verdict
from earwitness.metrics.report import Report, report_csv

sys.path.append(str(Path(__file__).parents[1]))  # test modules are imported on their own
from tiny_parts import write_gguf

CANDIDATES = ["a dog barks", "rain {references}"]
REFERENCES = [["the dog barks", "barking"], ["rain falls"]]


def judge(prompt):
    """Knows dogs only."""
    verdict = (
        {"score": 80, "reason": "same dog"} if "the dog" in prompt else {"score": 20, "reason": "no dog"}
    )
    return f"Here you are: {json.dumps(verdict)}"


def test_scores_and_reasons_are_kept(tmp_path):
    report = score(CANDIDATES, REFERENCES, "clair_a", judge_model=judge)
    assert report.clips["clair_a"] == [0.8, 0.2] and report.corpus["clair_a"] == 0.5
    assert report.rows()[0]["clair_a.reason"] == "same dog" and report.missing == {}
    rows = list(csv.DictReader(io.StringIO(report_csv(report))))
    assert [row["clair_a.reason"] for row in rows] == ["same dog", "no dog"]
    assert "clair_a:function,prompt:" in report.signature
    report.to_json(tmp_path / "r.json")
    again = Report.from_json(tmp_path / "r.json")
    assert (again.clips, again.comments) == (report.clips, report.comments)


def test_the_prompt_holds_the_captions_as_they_are():
    seen = []
    clair_a(
        CANDIDATES,
        REFERENCES,
        lambda prompt: seen.append(prompt) or judge(prompt),
        "{references}|{candidate}",
    )
    assert seen == ["- the dog barks\n- barking|a dog barks", "- rain falls|rain {references}"]
    assert "{candidate}" in read_prompt(PROMPT)


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        ("I cannot judge that.", "is no JSON object"),
        ("", "is no JSON object"),
        ('{"score": 80', "is no JSON object"),
        ('{"score": "80", "reason": "x"}', "has no score from 0 to 100"),
        ('{"score": 180, "reason": "x"}', "has no score from 0 to 100"),
        ('{"score": true, "reason": "x"}', "has no score from 0 to 100"),
        ('{"score": NaN, "reason": "x"}', "has no score from 0 to 100"),
        ('{"score": 80}', "has no reason"),
        ('{"score": 80, "reason": " "}', "has no reason"),
    ],
)
def test_a_reply_that_is_no_verdict_is_an_error(reply, message):
    with pytest.raises(ValueError, match=message):
        read_verdict(reply)
    report = score(CANDIDATES, REFERENCES, "clair_a,rouge_l", judge_model=lambda prompt: reply)
    assert "clair_a: the reply on clip 0 ('a dog barks')" in report.missing["clair_a"]
    assert set(report.corpus) == {"rouge_l"}


def test_prompts_of_ones_own(tmp_path):
    path = tmp_path / "prompt.txt"
    path.write_text("Rate {candidate}.", encoding="utf-8")
    report = score(CANDIDATES, REFERENCES, "clair_a", judge_model=judge, judge_prompt=str(path))
    assert "the prompt lacks {references}" in report.missing["clair_a"]
    assert "name its folder with --judge-model" in score(CANDIDATES, REFERENCES, "clair_a").missing["clair_a"]


@pytest.fixture(scope="module")
def instruct(tmp_path_factory):
    """A Llama of width 64 that was taught one reply to every prompt, with a chat template of its own."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("instruct")
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {
        token: n for n, token in enumerate(["<pad>", "<s>", "</s>", "<user>", "<model>", *alphabet])
    }
    bytes_only = Tokenizer(models.BPE(vocabulary, []))
    bytes_only.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bytes_only.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bytes_only, pad_token="<pad>", bos_token="<s>", eos_token="</s>",
        additional_special_tokens=["<user>", "<model>"],
    )  # fmt: skip
    tokenizer.chat_template = "<user>{{ messages[0]['content'] }}<model>"
    torch.manual_seed(0)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(vocabulary), hidden_size=64, intermediate_size=96, num_hidden_layers=2,
            num_attention_heads=4, max_position_embeddings=128, eos_token_id=2, pad_token_id=0,
            bos_token_id=1,
        )
    )  # fmt: skip
    reply = '{"score": 7, "reason": "x"}'
    rows = [
        tokenizer(f"<user>{'a' * n} dog {n}<model>{reply}</s>", add_special_tokens=False)["input_ids"]
        for n in range(1, 9)
    ]
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    width = max(map(len, rows))
    inputs = torch.tensor([row + [0] * (width - len(row)) for row in rows])
    labels = torch.full_like(inputs, -100)
    for number, row in enumerate(rows):
        begin = row.index(vocabulary["<model>"]) + 1
        labels[number, begin : len(row)] = inputs[number, begin : len(row)]
    for _ in range(300):
        loss = model(input_ids=inputs, attention_mask=(inputs != 0).long(), labels=labels).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        if loss < 0.01:
            break
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def test_a_model_in_a_folder_judges(instruct, tmp_path):
    path = tmp_path / "prompt.txt"
    path.write_text("{candidate}{references}", encoding="utf-8")
    settings = {"judge_model": str(instruct), "judge_prompt": str(path)}
    first, second = (score(["aa", "aaa"], [["a dog"], ["dog 3"]], "clair_a", **settings) for _ in range(2))
    assert first.missing == {} and first.clips["clair_a"] == [0.07, 0.07]
    assert first.comments == second.comments == {"clair_a.reason": ["x", "x"]}
    assert f"clair_a:{instruct},prompt:" in first.signature
    assert LocalJudge(str(instruct))("aaaa dog 4").startswith('{"score": 7')
    missing = score(["a"], [["a"]], "clair_a", judge_model=str(tmp_path)).missing["clair_a"]
    assert "clair_a needs the model" in missing


def test_a_gguf_file_judges_in_float32(tmp_path, monkeypatch):
    """Its random weights say nothing that is a verdict: that they were asked is what counts."""
    pytest.importorskip("gguf")
    import torch

    monkeypatch.setenv("EARWITNESS_CACHE", str(tmp_path / "cache"))
    write_gguf(tmp_path)
    judge = LocalJudge(str(tmp_path / "tiny.gguf"))
    assert {parameter.dtype for parameter in judge._network.parameters()} == {
        torch.float32
    }  # stored in bfloat16
    path = tmp_path / "prompt.txt"
    path.write_text("{candidate}{references}", encoding="utf-8")
    settings = {"judge_model": str(tmp_path / "tiny.gguf"), "judge_prompt": str(path)}
    missing = score(["a dog"], [["a dog barks"]], "clair_a", **settings).missing["clair_a"]
    assert "the reply on clip 0 ('a dog')" in missing
