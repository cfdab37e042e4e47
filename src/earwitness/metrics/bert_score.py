"""BERTScore (Zhang et al. 2020): greedy matching of contextual token vectors, without idf weights or
rescaling."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from earwitness.metrics.corpus import Score, mean_score
from earwitness.metrics.neural import batches, load_or_explain

# The layer that agrees best with people, from the authors' table; other models use their last.
LAYERS = {"roberta-large": 17, "bert-base-uncased": 9, "roberta-base": 10, "distilbert-base-uncased": 5}

Tokens = tuple[np.ndarray, np.ndarray]  # unit vectors [n, D], whether each counts [n]


def bert_score(
    candidates: Sequence[str],
    references: Sequence[Sequence[str]],
    model: str,
    layer: int | None = None,
    device: str = "cpu",
) -> tuple[Score, Score, Score]:
    """Precision, recall and F1; per clip those of the reference with the best F1.

    Args:
        candidates, references: texts, not tokens.
        model: hub name or folder of a transformer encoder.
        layer: hidden layer whose states are compared; default the authors' choice, else the last.

    Raises:
        MissingData: the model cannot be loaded.
    """
    texts = list(dict.fromkeys([*candidates, *(text for texts in references for text in texts)]))
    vectors = _token_vectors(texts, model, layer, device)
    best = []
    for candidate, others in zip(candidates, references, strict=True):
        best.append(
            max((_match(vectors[candidate], vectors[text]) for text in others), key=lambda pair: pair[2])
        )
    table = np.array(best)
    return mean_score(table[:, 0]), mean_score(table[:, 1]), mean_score(table[:, 2])


def _match(candidate: Tokens, reference: Tokens) -> tuple[float, float, float]:
    """Greedy matching of unit vectors [n, D] and [m, D]; 0 for a text without tokens.

    As in the authors' program special tokens may be matched to, but are not counted themselves.
    """
    (own, counted), (other, other_counted) = candidate, reference
    if not counted.any() or not other_counted.any():
        return 0.0, 0.0, 0.0
    cosine = own @ other.T
    precision = float(cosine.max(1)[counted].mean())
    recall = float(cosine.max(0)[other_counted].mean())
    total = precision + recall
    return precision, recall, 2 * precision * recall / total if total > 0 else 0.0


def _token_vectors(texts: list[str], model: str, layer: int | None, device: str) -> dict[str, Tokens]:
    """Unit vectors of every text's tokens, and which of them are no special tokens."""
    import torch

    tokenizer, encoder = load_or_explain("bert_score", model, lambda: _load(model))
    encoder = encoder.to(device).eval()
    chosen = LAYERS.get(model, -1) if layer is None else layer
    found: dict[str, Tokens] = {}
    with torch.inference_mode():
        for batch in batches(sorted(texts, key=len)):
            inputs = tokenizer(
                batch, padding=True, truncation=True, return_special_tokens_mask=True, return_tensors="pt"
            ).to(device)
            special = inputs.pop("special_tokens_mask").cpu().numpy().astype(bool)
            states = encoder(**inputs, output_hidden_states=True).hidden_states[chosen].float()
            states = torch.nn.functional.normalize(states, dim=-1).cpu().numpy()
            masks = inputs["attention_mask"].cpu().numpy().astype(bool)
            for text, row, mask, extra in zip(batch, states, masks, special, strict=True):
                found[text] = row[mask], ~extra[mask]
    return found


def _load(model: str) -> tuple[Any, Any]:
    from transformers import AutoModel, AutoTokenizer

    return AutoTokenizer.from_pretrained(model), AutoModel.from_pretrained(model)
