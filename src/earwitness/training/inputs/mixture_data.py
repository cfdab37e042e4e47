"""Sound for distillation: mixtures for training; for validation recordings and mixtures of held-out ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from earwitness.config.data import MixtureData
from earwitness.config.stages import Stage
from earwitness.features import SAMPLE_RATE, full_lengths
from earwitness.scenes.bank import FULL_SCALE, Bank
from earwitness.scenes.mixing import Mixer
from earwitness.training.inputs.scene_data import VALIDATION_SEED, Items

VALIDATION_SECONDS = 8.0  # of a mixture
LONGEST = 10.0  # s of a recording
LENGTH_STEP = 0.32  # s: lengths of batches are whole tokens, few enough for a GPU's kernels to be chosen once


class MixtureSource:
    """A bank, split into what is trained on and what is held out."""

    def __init__(self, section: MixtureData, bank: Bank) -> None:
        self.section, self.bank = section, bank
        held = bank.held_out()
        self.train, self.validation = np.flatnonzero(~held), np.flatnonzero(held)

    def mixer(self, rows: np.ndarray, seed: int, device: str = "cpu") -> Mixer:
        share = self.section.labelled
        return Mixer(self.bank, rows.tolist(), labelled_share=share, seed=seed, device=device)

    def parts(self, stage: Stage) -> tuple[Items, Items, MixtureCollator, AgreementCollator]:
        """Training items, validation items and the collators of both.

        Without workers, mixtures are computed where the model is: on a GPU the bank is in its memory.
        """
        device = "cuda" if torch.cuda.is_available() and not stage.workers else "cpu"
        train = self.mixer(self.train, stage.seed, device)
        return (
            Items(range(self.section.count)),
            Items(self.validation_items()),
            MixtureCollator(train, self.section.lengths),
            AgreementCollator(self.bank, self.mixer(self.validation, VALIDATION_SEED)),
        )

    def validation_items(self) -> list[tuple[int, int]]:
        """(kind, number) of validation clips: recordings with and without labels, and mixtures.

        Kinds count as in `distillation.KINDS`. Recordings are drawn evenly, each at most once.
        """
        rng = np.random.default_rng(VALIDATION_SEED)
        named = np.array([bool(self.bank.recordings[i].label) for i in self.validation], bool)
        items = []
        for kind, rows in enumerate((self.validation[named], self.validation[~named])):
            count = min(self.section.validation_recordings, len(rows))
            items += [(kind, int(i)) for i in rng.choice(rows, count, replace=False)]
        return items + [(2, i) for i in range(self.section.validation_mixtures)]


class MixtureCollator:
    """Numbers of mixtures -> {"sound": {"waveforms" [B, S], "lengths" [B]}}, drawn by the first number."""

    def __init__(self, mixer: Mixer, lengths: tuple[float, float]) -> None:
        self.mixer, self.lengths = mixer, lengths

    def __call__(self, numbers: list[int]) -> dict[str, Any]:
        rng = np.random.default_rng((self.mixer.seed, 1, numbers[0]))
        seconds = max(1, round(rng.uniform(*self.lengths) / LENGTH_STEP)) * LENGTH_STEP
        waveforms = self.mixer.batch(numbers[0], len(numbers), seconds)
        return {"sound": {"waveforms": waveforms, "lengths": full_lengths(waveforms)}}


class AgreementCollator:
    """Validation items -> {"sound": {"waveforms", "lengths"}, "kind" [B]}, shorter clips padded."""

    def __init__(self, bank: Bank, mixer: Mixer) -> None:
        self.bank, self.mixer = bank, mixer

    def __call__(self, items: list[tuple[int, int]]) -> dict[str, Any]:
        clips = [self._clip(*item) for item in items]
        sound = {
            "waveforms": torch.nn.utils.rnn.pad_sequence(clips, batch_first=True),
            "lengths": torch.tensor([len(clip) for clip in clips]),
        }
        return {"sound": sound, "kind": torch.tensor([kind for kind, _ in items])}

    def _clip(self, kind: int, number: int) -> Tensor:
        if kind == 2:
            return self.mixer.batch(number, 1, VALIDATION_SECONDS)[0]
        first = int(self.bank.start[number])
        count = min(int(self.bank.samples[number]), int(LONGEST * SAMPLE_RATE))
        return self.bank.audio[first : first + count].float() / FULL_SCALE
