"""CLAIR-A (Wu et al. 2024): a language model rates a caption against its references from 0 to 100.

Any local instruct model may judge. Replies are decoded greedily, one prompt at a time, so that the same model
gives the same values. The prompt is this package's own wording of the paper's task, without the paper's
tie-break by FENSE: values of other prompts and models are other values, and reports name both.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from earwitness.devices import torch_dtype
from earwitness.metrics.neural import load_or_explain

PROMPT = Path(__file__).with_name("clair_a_prompt.txt")
NEW_TOKENS = 256  # the longest reply

_PLACE = re.compile(r"\{(candidate|references)\}")  # at once: a caption may hold such marks

Judge = Callable[[str], str]  # prompt -> reply


class Verdict(NamedTuple):
    """A judge's score from 0 to 1, and its reason."""

    score: float
    reason: str


def clair_a(
    candidates: Sequence[str], references: Sequence[Sequence[str]], judge: Judge, prompt: str
) -> list[Verdict]:
    """The verdict on every clip.

    prompt: text with the places {candidate} and {references}.

    Raises:
        ValueError: a reply is not a JSON object with a score from 0 to 100 and a reason; says of which clip.
    """
    return [
        _verdict(judge, prompt, number, candidate, texts)
        for number, (candidate, texts) in enumerate(zip(candidates, references, strict=True))
    ]


def _verdict(judge: Judge, prompt: str, number: int, candidate: str, references: Sequence[str]) -> Verdict:
    places = {"references": "\n".join(f"- {text}" for text in references), "candidate": candidate}
    try:
        return read_verdict(judge(_PLACE.sub(lambda match: places[match[1]], prompt)))
    except ValueError as error:
        raise ValueError(f"clair_a: the reply on clip {number} ({candidate!r:.60}) {error}") from None


def read_verdict(reply: str) -> Verdict:
    """The first JSON object of a reply. Raises ValueError, which says what is wrong with it."""
    begin = reply.find("{")
    try:
        data = json.JSONDecoder().raw_decode(reply, begin)[0] if begin >= 0 else None
    except (ValueError, RecursionError):
        data = None
    if not isinstance(data, dict):
        raise ValueError(f"is no JSON object: {reply!r:.100}")
    score, reason = data.get("score"), data.get("reason")
    if isinstance(score, bool) or not isinstance(score, (int, float)) or not 0 <= score <= 100:
        raise ValueError(f"has no score from 0 to 100: {reply!r:.100}")
    if not isinstance(reason, str) or not reason.strip():
        raise ValueError(f"has no reason: {reply!r:.100}")
    return Verdict(score / 100, reason.strip())


def read_prompt(path: Path) -> str:
    """The text of a prompt. Raises OSError, or ValueError for one without places for the captions."""
    text = path.read_text(encoding="utf-8")
    if lacking := [place for place in ("{candidate}", "{references}") if place not in text]:
        raise ValueError(f"{path}: the prompt lacks {' and '.join(lacking)}")
    return text


def prompt_name(path: Path) -> str:
    """What a signature calls a prompt: the first digits of its hash."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:8]


class LocalJudge:
    """An instruct model, with its own chat template where it has one; in float32 on a CPU.

    model: a folder, a GGUF file, `package:NAME` or a hub name. Raises MissingData where it cannot be loaded.
    """

    def __init__(self, model: str, device: str = "cpu") -> None:
        tokenizer, network = load_or_explain("clair_a", model, lambda: _load(model, device))
        self._tokenizer, self._network, self._device = tokenizer, network.to(device).eval(), device

    def __call__(self, prompt: str) -> str:
        import torch

        text: str = prompt
        if self._tokenizer.chat_template:
            turns = [{"role": "user", "content": prompt}]
            text = self._tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        inputs = self._tokenizer(
            text, return_tensors="pt", add_special_tokens=not self._tokenizer.chat_template
        ).to(self._device)
        inputs.pop("token_type_ids", None)
        with torch.inference_mode():
            out = self._network.generate(
                **inputs,
                max_new_tokens=NEW_TOKENS,
                do_sample=False,
                num_beams=1,
                temperature=None,
                top_p=None,
                top_k=None,
                pad_token_id=self._tokenizer.pad_token_id or self._tokenizer.eos_token_id,
            )
        reply: str = self._tokenizer.decode(out[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
        return reply


def _load(model: str, device: str) -> tuple[Any, Any]:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from earwitness.weights.gguf import dequantised

    folder = dequantised(model)
    dtype = torch_dtype("auto", torch.device(device))
    return AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder, dtype=dtype)
