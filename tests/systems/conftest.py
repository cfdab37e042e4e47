"""The small models of the released systems: weights under their authors' names, inputs, and what came out."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import AutoTokenizer

from earwitness.build import build_model
from earwitness.checkpoints.released import LAYOUTS, fill_released
from earwitness.config.model import ModelConfig
from earwitness.config.stages import Losses
from earwitness.training.objective import CaptioningTask

FOLDER = Path(__file__).parents[1] / "golden"
LORA = {"tune": "lora", "lora": {"r": 4, "alpha": 16, "dropout": 0.0}}
LLAMA = {
    "model_type": "llama",
    "vocab_size": 4000,
    "hidden_size": 64,
    "intermediate_size": 172,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 2048,
    "rms_norm_eps": 1e-5,
    "tie_word_embeddings": False,
}
CED = {"kind": "ced", "dim": 64, "depth": 2, "heads": 2}
HEARING = {"front_end": "batch_log_mel"}  # of LOAE and DistillCaps
QFORMER = {"kind": "qformer", "hidden": 64, "heads": 4, "feed_forward": 128}


@dataclass
class Released:
    """A released system: its model with the authors' weights, and what their code computed with them."""

    layout: str
    model: Any
    state: dict[str, Tensor]
    expected: dict[str, Tensor]
    grad_norms: dict[str, float]

    def captions(self) -> tuple[Tensor, Tensor]:
        """ids, mask [B, L] of the captions, from the labels [B, T] that the reference was given."""
        labels = self.expected["labels"]
        first = int((labels != -100).any(0).nonzero()[0])
        mask = labels[:, first:] != -100
        return labels[:, first:].masked_fill(~mask, 0), mask

    def generated(
        self, sound: dict[str, Tensor], monkeypatch: pytest.MonkeyPatch, **options: Any
    ) -> list[list[int]]:
        """Generated ids of each row, end of sequence left out."""
        language_model = self.model.language_model
        monkeypatch.setattr(language_model, "decode", list)
        rows = self.model.caption(sound, max_new_tokens=30, **options).texts
        return [until_end(row) for row in rows]

    def check_logits(self, found: Tensor, mask: Tensor) -> None:
        """Every logit at the captions [B, L, V], as a whole to 1e-4 relative, each to 1e-4 of the largest.

        The reference is stored as multiples of a step, which is 3e-5 of its largest logit.
        """
        wanted = (self.expected["caption_logits"] * self.expected["caption_logits_step"]).float()[mask]
        difference = found[mask] - wanted
        assert found.shape[-1] == self.model.language_model.vocabulary_size == wanted.shape[-1]
        assert difference.norm() <= 1e-4 * wanted.norm()
        assert difference.abs().max() <= 1e-4 * wanted.abs().max()

    def check_gradients(self, loss: Tensor) -> None:
        """Norms of all gradients, to 1e-4 relative; nothing else is trained."""
        self.model.zero_grad()
        loss.backward()
        named = {name: torch.tensor([norm]) for name, norm in self.grad_norms.items()}
        wanted = {name: norm.item() for name, norm in LAYOUTS[self.layout](named).items()}
        trained = {n: p for n, p in self.model.named_parameters() if p.requires_grad}
        assert trained.keys() == wanted.keys()
        largest = max(wanted.values())
        for name, norm in wanted.items():
            found = trained[name].grad.norm().item()
            assert found == pytest.approx(norm, rel=1e-4, abs=1e-7 * largest), name


def until_end(row: Any, end: int = 2) -> list[int]:
    row = row.tolist() if isinstance(row, Tensor) else list(row)
    return row[: row.index(end)] if end in row else row


def released_system(layout: str, config: dict[str, Any]) -> Released:
    state = load_file(FOLDER / f"{layout}_e2e.safetensors")
    for name, tensor in state.items():  # rows of the table that no input names are not stored
        if name.endswith("embed_tokens.weight"):
            rows = config["language_model"]["config"]["vocab_size"] - len(tensor)
            state[name] = torch.cat([tensor, torch.zeros(rows, tensor.shape[1])])
    tokenizer = AutoTokenizer.from_pretrained(FOLDER / "released_tokenizer", local_files_only=True)
    model = build_model(ModelConfig.model_validate({"fidelity": "released", **config}), tokenizer)
    expected = {k: torch.from_numpy(v) for k, v in np.load(FOLDER / f"{layout}_e2e.npz").items()}
    grad_norms = json.loads((FOLDER / f"{layout}_e2e_grad_norms.json").read_text())
    return Released(layout, fill_released(model, state, layout), state, expected, grad_norms)


def losses(released: Released, batch: dict[str, Any], **weights: float) -> dict[str, Tensor]:
    task = CaptioningTask(released.model, Losses(**weights)).eval()
    return task(**batch)


def heard() -> dict[str, Tensor]:
    """The clips that LOAE and DistillCaps were both given."""
    audios = torch.from_numpy(np.load(FOLDER / "loae_e2e.npz")["audios"])
    return {"waveforms": audios, "lengths": torch.full((len(audios),), audios.shape[1])}


@pytest.fixture(scope="session")
def systems() -> Any:
    """What this file offers."""
    from types import SimpleNamespace

    return SimpleNamespace(**globals())
