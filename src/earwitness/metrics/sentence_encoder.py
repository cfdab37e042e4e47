"""Sentence encoders of sentence-transformers: texts as unit vectors, whose products say how like they are."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from earwitness.metrics.corpus import Floats
from earwitness.metrics.neural import batches, load_or_explain


class SentenceEncoder:
    """A transformer whose token states are averaged over the mask.

    model: hub name or folder of a sentence-transformers model with mean pooling. what: the caller, for the
    message. Raises MissingData where the model cannot be loaded.
    """

    def __init__(self, model: str, device: str = "cpu", what: str = "the sentence encoder") -> None:
        self.device = device
        tokenizer, encoder, self.longest = load_or_explain(what, model, lambda: _load(model))
        self.tokenizer: Any = tokenizer
        self.encoder: Any = encoder.to(device).eval().requires_grad_(False)

    def __call__(self, texts: Sequence[str]) -> Floats:
        """N texts -> unit vectors [N, D], float64."""
        import torch

        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
        parts: list[Floats] = []
        with torch.no_grad():
            for batch in batches([texts[i] for i in order]):
                inputs = self.tokenizer(
                    batch, padding=True, truncation=True, max_length=self.longest, return_tensors="pt"
                ).to(self.device)
                states = self.encoder(**inputs).last_hidden_state.float()
                mask = inputs["attention_mask"][..., None].float()
                mean = (states * mask).sum(1) / mask.sum(1).clamp(min=1e-9)
                parts.append(torch.nn.functional.normalize(mean, dim=-1).double().cpu().numpy())
        vectors = np.concatenate(parts)
        out = np.empty_like(vectors)
        out[order] = vectors
        return out


def _load(model: str) -> tuple[Any, Any, int]:
    from transformers import AutoModel, AutoTokenizer

    longest = 128
    settings = Path(model) / "sentence_bert_config.json"
    if settings.is_file():
        longest = int(json.loads(settings.read_text(encoding="utf-8")).get("max_seq_length") or longest)
    pooling = Path(model) / "1_Pooling" / "config.json"
    if pooling.is_file() and not json.loads(pooling.read_text(encoding="utf-8")).get(
        "pooling_mode_mean_tokens", True
    ):
        raise ValueError(f"{model} does not pool by the mean, as FENSE's model does")
    return AutoTokenizer.from_pretrained(model), AutoModel.from_pretrained(model), longest
