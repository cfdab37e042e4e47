"""Sentence similarity of FENSE (Zhou et al. 2022): cosine of sentence embeddings, from raw text."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from earwitness.metrics.corpus import Corpus, Floats, Score, mean_score
from earwitness.metrics.neural import batches, load_or_explain


def sbert_sim(corpus: Corpus, model: str, device: str = "cpu") -> Score:
    """Per clip the mean over references of the cosine with the candidate.

    Args:
        corpus: captions; their raw text is used, not the tokens.
        model: hub name or folder of a sentence-transformers model (a transformer with mean pooling). The
            published
            metric is that of paraphrase-TinyBERT-L6-v2; any other gives other numbers, so reports name the
            model.

    Raises:
        MissingData: the model cannot be loaded.
    """
    texts = list(
        dict.fromkeys([*corpus.candidates, *(text for texts in corpus.references for text in texts)])
    )
    vectors = dict(zip(texts, _embed(texts, model, device), strict=True))
    return mean_score(
        [
            float(np.mean([vectors[candidate] @ vectors[text] for text in references]))
            for candidate, references in zip(corpus.candidates, corpus.references, strict=True)
        ]
    )


def _embed(texts: list[str], model: str, device: str) -> Floats:
    """Unit vectors of texts [N, D]: token states averaged over the mask."""
    import torch

    tokenizer, encoder, longest = load_or_explain("sbert_sim", model, lambda: _load(model))
    encoder = encoder.to(device).eval()
    parts = []
    with torch.inference_mode():
        for batch in batches(sorted(texts, key=len)):
            inputs = tokenizer(
                batch, padding=True, truncation=True, max_length=longest, return_tensors="pt"
            ).to(device)
            states = encoder(**inputs).last_hidden_state.float()
            mask = inputs["attention_mask"][..., None].float()
            mean = (states * mask).sum(1) / mask.sum(1).clamp(min=1e-9)
            parts.append(torch.nn.functional.normalize(mean, dim=-1).double().cpu().numpy())
    place = {text: number for number, text in enumerate(sorted(texts, key=len))}
    vectors = np.concatenate(parts)
    return vectors[[place[text] for text in texts]]


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
