"""Fluency error detector of FENSE (Zhou et al. 2022): the probability of each kind of error in a caption."""

from __future__ import annotations

import pickle
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn

from earwitness.weights.copying import copy_weights

ERRORS = ("add_tail", "repeat_event", "repeat_adv", "remove_conj", "remove_verb", "error")
"""What the six probabilities say; the last, "error", is the one that thresholds are set on."""

MAX_TOKENS = 64  # FENSE cuts longer captions


class ErrorDetector(nn.Module):
    """BERT, then a linear layer on its first token, then a sigmoid for each of ERRORS.

    encoder: a transformers BERT. tokenizer: its own.
    """

    def __init__(self, encoder: Any, tokenizer: Any) -> None:
        super().__init__()
        self.encoder = encoder
        self.clf = nn.Linear(encoder.config.hidden_size, len(ERRORS))
        self.tokenizer = tokenizer

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Token ids and mask [N, L] -> logits [N, 6]."""
        output = self.encoder(input_ids=input_ids, attention_mask=attention_mask)
        return self.clf(output.last_hidden_state[:, 0])

    @torch.inference_mode()
    def probabilities(self, captions: Sequence[str], batch_size: int = 32) -> Tensor:
        """Captions -> probabilities [N, 6] of ERRORS, fp32 on the CPU. Case and punctuation do not count."""
        was_training = self.training
        self.eval()
        device = self.clf.weight.device
        parts = [torch.zeros(0, len(ERRORS))]
        for start in range(0, len(captions), batch_size):
            inputs = self.tokenizer(
                [plain_words(caption) for caption in captions[start : start + batch_size]],
                truncation=True,
                max_length=MAX_TOKENS,
                padding=True,
                return_tensors="pt",
            )
            logits = self(inputs["input_ids"].to(device), inputs["attention_mask"].to(device))
            parts.append(logits.float().sigmoid().cpu())
        self.train(was_training)
        return torch.cat(parts)

    def error_probability(self, captions: Sequence[str]) -> Tensor:
        """Captions -> probability [N] that each is faulty."""
        return self.probabilities(captions)[:, ERRORS.index("error")]

    @classmethod
    def from_checkpoint(cls, path: str | Path, encoder: str | Path | None = None) -> Self:
        """Load a checkpoint as FENSE publishes it (echecker_clotho_audiocaps_base.ckpt, ..._tiny.ckpt).

        The file holds model_type (the name of its BERT), num_classes and state_dict; it is read with
        weights_only. encoder: name or folder that BERT's config and tokenizer come from, default model_type;
        its weights are not needed. Raises ValueError, naming them, for tensors that are missing, too many or
        of another shape.
        """
        from transformers import AutoConfig, AutoModel, AutoTokenizer

        checkpoint = _read(path)
        source = str(encoder or checkpoint["model_type"])
        try:
            config, tokenizer = AutoConfig.from_pretrained(source), AutoTokenizer.from_pretrained(source)
        except OSError as error:
            raise OSError(
                f"cannot load the config and tokenizer of {source!r}, which {path} builds on; pass encoder= "
                f"with a folder that holds them ({error})"
            ) from error
        detector = cls(AutoModel.from_config(config), tokenizer)
        # Older releases of transformers kept this counter among the weights.
        state = {k: v for k, v in checkpoint["state_dict"].items() if k != "encoder.embeddings.position_ids"}
        copy_weights(state, detector.state_dict(), path)
        return detector.eval()


def plain_words(caption: str) -> str:
    """Lower-case a caption and remove punctuation, as in the detector's training."""
    return re.sub(r"[^\w\s]", "", caption).lower()


def _read(path: str | Path) -> dict[str, Any]:
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ValueError(
            f"{path} holds more than tensors and plain values, and is not opened: {error}"
        ) from error
    missing = {"model_type", "num_classes", "state_dict"} - set(checkpoint)
    if missing:
        raise ValueError(f"{path} is no error detector of FENSE: it lacks {', '.join(sorted(missing))}")
    if checkpoint["num_classes"] != len(ERRORS):
        raise ValueError(f"{path} has {checkpoint['num_classes']} error classes, not {len(ERRORS)}")
    return checkpoint
