"""Corrector: a language model rewrites captions that are flagged as faulty (LOAE's post-corrector)."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self

import torch

from earwitness.devices import torch_dtype
from earwitness.stemming import stem, stems

log = logging.getLogger("earwitness")

THRESHOLD = 0.90  # LOAE: probability of error above which a caption is rewritten

PROMPT = (
    "You are a language specialist who can revise the sentence to make it more correct and idiomatic! "
    "You should follow the below format: "
    "rain is falling on a tin roof ==> rain is falling on the tin roof"
)
"""LOAE's Prompt II, the system's turn; the user's turn is the caption."""

FUNCTION_WORDS = frozenset(
    """a an the and or but nor so as at by for from in into of off on onto out over to toward towards under up
    upon with within without through throughout down around about along across after before during while when
    where then than that this these those there here it its they them their he him his she her is are was were
    be been being am do does did has have had can could may might will would very too also just still again
    some several few other others another each which who what background foreground distance
    """.split()
)
"""Words that name no sound; a correction may leave them out, as "in background" or a second "and"."""

_ARROW = "==>"
_QUOTES = "\"'`\u201c\u201d\u2018\u2019"
# A caption never addresses its reader, comments on itself, or names its own form.
_CHATTER = re.compile(
    r"^(sure|certainly|of course|okay|ok|yes|no|sorry|here is|here's|here are)\b[,:!.\s]"
    r"|\b(i'm|i am|i can|i've|i have|i would|i made|you|your|as an ai|language model|please|let me)\b"
    r"|\b(sentence|caption|revised|revision|corrected|correction|rephrased?|grammar|grammatical|idiomatic)\b"
    r"|[\n:*#<>{}\[\]|=]",
    re.IGNORECASE,
)


class Correction(NamedTuple):
    """The result for one caption.

    text: the caption to use. original: the input. error_probability: the detector's, of the original.
    outcome: "kept" (below the threshold, or the model changed nothing), "corrected", or "refused" (the
    original is used). answer: the model's, None if it was not called. reason: why an answer was refused.
    """

    text: str
    original: str
    error_probability: float
    outcome: Literal["kept", "corrected", "refused"]
    answer: str | None = None
    reason: str | None = None


class Corrector:
    """Rewrites captions whose error probability is above the threshold; no answer may lose a sound.

    An answer is accepted if it is a caption (`caption_in`), keeps the content words of the original in any
    form (`lost_words`) and in their order, and has a lower error probability. Refused ones are logged (INFO).

    model, tokenizer: any instruction-tuned causal language model of transformers with a chat template, which
    stays frozen. error_probability: captions -> a probability each, as ErrorDetector.error_probability.
    normalise: brings an accepted answer into the form of the other captions.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        error_probability: Callable[[Sequence[str]], Any],
        *,
        threshold: float = THRESHOLD,
        prompt: str = PROMPT,
        batch_size: int = 8,
        max_new_tokens: int = 64,
        normalise: Callable[[str], str] = str.strip,
    ) -> None:
        if not getattr(tokenizer, "chat_template", None):
            raise ValueError("the corrector's tokenizer has no chat template: take an instruct model")
        if not 0 <= threshold <= 1:
            raise ValueError(f"threshold must be a probability, not {threshold}")
        self.model, self.tokenizer = model.eval().requires_grad_(False), tokenizer
        self.error_probability = error_probability
        self.threshold = threshold
        self.prompt = prompt
        self.batch_size = batch_size
        self.max_new_tokens = max_new_tokens
        self.normalise = normalise

    @classmethod
    def from_pretrained(
        cls,
        name_or_path: str | Path,
        error_probability: Callable[[Sequence[str]], Any],
        *,
        device: str = "cpu",
        dtype: str = "auto",
        **settings: Any,
    ) -> Self:
        """With a model by hub name ("meta-llama/Meta-Llama-3-8B-Instruct" in LOAE) or local folder.

        dtype: "auto" is bfloat16 on a GPU, float32 elsewhere.
        """
        from transformers import AutoModelForCausalLM, AutoTokenizer

        try:
            tokenizer = AutoTokenizer.from_pretrained(name_or_path)
            precision = torch_dtype(dtype, torch.device(device))
            model: Any = AutoModelForCausalLM.from_pretrained(name_or_path, dtype=precision)
        except OSError as error:
            raise OSError(
                f"cannot load the corrector {str(name_or_path)!r} ({error}). Gated weights: accept the terms "
                f"on https://huggingface.co/{name_or_path} and run `hf auth login`, or name a local folder"
            ) from error
        return cls(model.to(device), tokenizer, error_probability, **settings)

    def __call__(self, captions: Sequence[str]) -> list[Correction]:
        """Return a Correction for every caption, in order."""
        if not captions:
            return []
        probabilities = [float(p) for p in self.error_probability(captions)]
        faulty = [i for i, p in enumerate(probabilities) if p > self.threshold and captions[i].strip()]
        answers: dict[int, tuple[str, bool]] = {}
        for start in range(0, len(faulty), self.batch_size):
            rows = faulty[start : start + self.batch_size]
            answers.update(zip(rows, self._ask([captions[i] for i in rows])))
        results = [Correction(c, c, p, "kept") for c, p in zip(captions, probabilities)]
        results = [
            self._judge(result, answers[i]) if i in answers else result for i, result in enumerate(results)
        ]
        return self._improved(results)

    def _judge(self, asked: Correction, answer: tuple[str, bool]) -> Correction:
        """Judge an answer by its text, before the detector."""
        said, finished = answer
        text = caption_in(said, asked.original) if finished else None
        text = self.normalise(text) if text else None
        if not text:
            return _refused(asked._replace(answer=said), "no caption" if finished else "no end")
        if lost := lost_words(asked.original, text):
            return _refused(asked._replace(answer=said), f"without {', '.join(lost)}")
        if _reordered(asked.original, text):
            return _refused(asked._replace(answer=said), "in another order")
        outcome: Literal["kept", "corrected"] = "kept" if text == asked.original else "corrected"
        return asked._replace(text=text, answer=said, outcome=outcome)

    def _improved(self, results: list[Correction]) -> list[Correction]:
        """Refuse corrections that the detector rates no better than the original."""
        changed = [i for i, result in enumerate(results) if result.outcome == "corrected"]
        after = self.error_probability([results[i].text for i in changed]) if changed else []
        for i, probability in zip(changed, map(float, after)):
            if probability >= results[i].error_probability:
                results[i] = _refused(results[i], f"no better: probability of error {probability:.2f}")
        return results

    @torch.inference_mode()
    def _ask(self, captions: Sequence[str]) -> list[tuple[str, bool]]:
        """Return the model's answer for each caption, and whether it is complete."""
        from transformers import GenerationConfig

        ends = _end_ids(self.model, self.tokenizer)
        prompts = [self._prompt_ids(caption) for caption in captions]
        longest = max(map(len, prompts))
        device = next(self.model.parameters()).device
        ids = torch.tensor([[ends[0]] * (longest - len(p)) + p for p in prompts], device=device)
        mask = torch.tensor([[0] * (longest - len(p)) + [1] * len(p) for p in prompts], device=device)
        config = GenerationConfig(
            max_new_tokens=self.max_new_tokens, do_sample=False, eos_token_id=ends, pad_token_id=ends[0]
        )
        output = self.model.generate(ids, attention_mask=mask, generation_config=config)[:, longest:].tolist()
        lengths = [next((n for n, i in enumerate(row) if i in ends), None) for row in output]
        return [
            (self.tokenizer.decode(row[:length], skip_special_tokens=True).strip(), length is not None)
            for row, length in zip(output, lengths)
        ]

    def _prompt_ids(self, caption: str) -> list[int]:
        turns = [{"role": "system", "content": self.prompt}, {"role": "user", "content": caption}]
        try:
            text = self.tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        except Exception as error:  # templates raise various errors; some have no system role
            if "system" not in str(error).lower():
                raise
            turns = [{"role": "user", "content": f"{self.prompt}\n\n{caption}"}]
            text = self.tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        return self.tokenizer(text, add_special_tokens=False)["input_ids"]


def _refused(result: Correction, reason: str) -> Correction:
    log.info("correction of %r refused (%s): %r", result.original, reason, result.answer)
    return result._replace(text=result.original, outcome="refused", reason=reason)


def lost_words(original: str, answer: str) -> list[str]:
    """Return the content words of a caption without any form in the answer ("barks" is a form of "bark")."""
    kept = set(stems(answer))
    return [word for word in _words(original) if word not in FUNCTION_WORDS and stem(word) not in kept]


def _reordered(original: str, answer: str) -> bool:
    """Whether content words are in another order, as where another person speaks."""
    order = list(dict.fromkeys(stem(word) for word in _words(original) if word not in FUNCTION_WORDS))
    places = [stems(answer).index(word) for word in order]
    return places != sorted(places)


def caption_in(answer: str, original: str) -> str | None:
    """Extract the rewritten caption from a model's answer; None if there is none.

    Allowed around it: the prompt's own format ("old ==> new"), quotation marks, a full stop. Refused: more
    than one line, comments on the sentence or to the reader, markup, questions, a text much longer or shorter
    than the original, and one that shares less than half its words with it.
    """
    old, arrow, new = answer.partition(_ARROW)
    if arrow and _words(old) != _words(original):
        return None
    text = (new if arrow else old).strip().strip(_QUOTES).strip()
    text = text.removesuffix(".").strip().strip(_QUOTES)
    if not text or _CHATTER.search(text) or "?" in text or re.search(r"[.!]\s", text):
        return None
    words, known = _words(text), _words(original)
    if not len(known) / 3 <= len(words) <= 2 * len(known) + 2:
        return None
    shared = sum(word in known for word in words)
    return text if 2 * shared >= len(words) else None


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def _end_ids(model: Any, tokenizer: Any) -> list[int]:
    """Return every id that ends an answer; a chat model often has more than its tokenizer's one."""
    ends = getattr(model.generation_config, "eos_token_id", None)
    ends = [ends] if isinstance(ends, int) else list(ends or [])
    if tokenizer.eos_token_id is not None and tokenizer.eos_token_id not in ends:
        ends.append(tokenizer.eos_token_id)
    if not ends:
        raise ValueError("the corrector has no end-of-sequence token; set tokenizer.eos_token")
    return ends
