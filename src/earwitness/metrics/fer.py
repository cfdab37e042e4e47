"""Fluency error rate of FENSE (Zhou et al. 2022): how many captions read as faulty."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from typing import Any

from earwitness.metrics.corpus import Score, mean_score
from earwitness.metrics.detector_file import find_detector
from earwitness.metrics.neural import batches, load_or_explain, plain_words

ERRORS = ("add_tail", "repeat_event", "repeat_adv", "remove_conj", "remove_verb", "error")
THRESHOLD = 0.9  # of the last probability
MAX_TOKENS = 64


def fer(probabilities: Sequence[Sequence[float]]) -> Score:
    """Per clip 1 if the error probability is above 0.9, else 0; from probabilities [clips][6]."""
    return mean_score([float(row[-1] > THRESHOLD) for row in probabilities])


def error_probabilities(
    captions: Sequence[str], model: str, encoder: str | None = None, device: str = "cpu"
) -> list[list[float]]:
    """Probabilities of ERRORS for every caption: BERT, a linear layer on its first token, sigmoid.

    Args:
        captions: texts; case and punctuation do not count.
        model: the checkpoint as FENSE publishes it (model_type, num_classes, state_dict), a file, or a
            folder with it.
        encoder: name or folder of the BERT whose config and tokenizer it uses; default what the file says.

    Raises:
        MissingData: the checkpoint, or the tokenizer it builds on, cannot be loaded.
    """
    import torch

    bert, head, tokenizer = load_or_explain("fer", model, lambda: _load(model, encoder))
    bert, head = bert.to(device).eval(), head.to(device)
    rows: list[list[float]] = []
    with torch.inference_mode():
        for batch in batches([plain_words(caption) for caption in captions]):
            inputs = tokenizer(
                batch, padding=True, truncation=True, max_length=MAX_TOKENS, return_tensors="pt"
            ).to(device)
            states = bert(
                input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"]
            ).last_hidden_state
            rows.extend(head(states[:, 0]).float().sigmoid().cpu().tolist())
    return rows


def _load(model: str, encoder: str | None) -> tuple[Any, Any, Any]:
    import torch
    from transformers import AutoConfig, AutoModel, AutoTokenizer

    path = find_detector(model)
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ValueError(f"{path} holds more than tensors and is not opened: {error}") from error
    if lacking := {"model_type", "num_classes", "state_dict"} - set(checkpoint):
        raise ValueError(f"{path} is no error detector of FENSE: it lacks {', '.join(sorted(lacking))}")
    if checkpoint["num_classes"] != len(ERRORS):
        raise ValueError(f"{path} has {checkpoint['num_classes']} error classes, not {len(ERRORS)}")
    source = encoder or checkpoint["model_type"]
    bert = AutoModel.from_config(AutoConfig.from_pretrained(source))
    head = torch.nn.Linear(bert.config.hidden_size, len(ERRORS))
    # Older releases of transformers kept this counter among the weights.
    state = {k: v for k, v in checkpoint["state_dict"].items() if not k.endswith("embeddings.position_ids")}
    own = {
        **{f"encoder.{k}": v for k, v in bert.state_dict().items()},
        "clf.weight": head.weight,
        "clf.bias": head.bias,
    }
    if wrong := own.keys() ^ state.keys():
        raise ValueError(
            f"{path} does not fit {source}: {', '.join(sorted(wrong)[:5])} missing or unexpected"
        )
    bert.load_state_dict(
        {k.removeprefix("encoder."): v for k, v in state.items() if k.startswith("encoder.")}
    )
    head.load_state_dict({k.removeprefix("clf."): v for k, v in state.items() if k.startswith("clf.")})
    return bert, head, AutoTokenizer.from_pretrained(source)
