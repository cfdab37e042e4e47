"""The built-in model and the sounds of examples/, for the figures."""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from earwitness.checkpoints.folder import load_checkpoint
from earwitness.decoding import normalise_caption
from earwitness.embeds import Embeds
from earwitness.loading import DEFAULT
from earwitness.media.reading import load_audio

FOLDER = Path(__file__).parents[2] / "examples"


@cache
def model() -> Any:
    return load_checkpoint(DEFAULT).eval()


@cache
def aligned_model() -> Any:
    """A model with LAMB's adapter and Token Guide, which the built-in one has not.

    Raises SystemExit if EARWITNESS_LAMB names no checkpoint.
    """
    folder = os.environ.get("EARWITNESS_LAMB")
    if not folder:
        raise SystemExit("set EARWITNESS_LAMB to a checkpoint folder with LAMB's adapter and Token Guide")
    return load_checkpoint(folder).eval()


def sound(name: str, start: float = 0.0, end: float | None = None) -> dict[str, Tensor]:
    """Input of `AudioCaptioningModel.listen`."""
    waveform = torch.from_numpy(load_audio(FOLDER / name, 16_000, start=start, end=end).waveform)[None]
    return {"waveforms": waveform, "lengths": torch.tensor([waveform.shape[1]])}


def references() -> dict[str, str]:
    """File name of an example -> what was composed, in the form of captions."""
    files = {path.stem: path.name for path in FOLDER.iterdir() if path.suffix in (".opus", ".flac", ".mp4")}
    with (FOLDER / "references.csv").open(newline="", encoding="utf-8") as rows:
        return {files[row["id"]]: normalise_caption(row["caption"]) for row in csv.DictReader(rows)}


def caption_embeddings(of: Any, captions: Sequence[str]) -> Embeds:
    """z_t [N, L, D_llm] of a model."""
    ids, mask = of.language_model.encode_captions(captions)
    return Embeds(of.language_model.embed(ids), mask)
