"""Training data of scenes composed on the fly, and of caption text.

An item of a dataset is a number or a caption; the collator builds the batch from them. A batch depends on its
items alone, so a resumed run gets the batches of an uninterrupted one, whatever the workers.
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from itertools import chain, count, islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset
from transformers.trainer_pt_utils import LengthGroupedSampler

from earwitness.config.data import SceneData
from earwitness.config.errors import ConfigError
from earwitness.decoding.words import normalise_caption
from earwitness.features import full_lengths
from earwitness.scenes.bank import Bank
from earwitness.scenes.composer import FRAME_RATE, Composer
from earwitness.scenes.lexicon import Lexicon
from earwitness.scenes.recordings import held_out_groups
from earwitness.scenes.render import render
from earwitness.scenes.tag_set import TagSet
from earwitness.training.inputs.spec_augment import spec_augment

CaptionEncoder = Callable[[list[str]], tuple[Tensor, Tensor]]  # captions -> ids, mask, each [B, L]
FrontEnd = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]  # an encoder's `compute_log_mel`

MAX_CAPTION_TOKENS = 40
VALIDATION_SEED = 999_983  # validation scenes are the same for every run and recipe


def read_captions(paths: list[str]) -> list[str]:
    """Read the `caption` column of CSV files, or the lines of text files, in order, without duplicates."""
    captions: dict[str, None] = {}
    for name in paths:
        path = Path(name)
        if not path.is_file():
            raise ConfigError(f"captions: there is no file {path}")
        with path.open(newline="", encoding="utf-8-sig") as handle:
            if path.suffix != ".csv":
                captions.update(dict.fromkeys(line.strip() for line in handle))
                continue
            rows = csv.DictReader(handle)
            if "caption" not in (rows.fieldnames or []):
                raise ConfigError(f"captions: {path} has no column 'caption', only {rows.fieldnames}")
            captions.update(dict.fromkeys(row["caption"].strip() for row in rows))
    return [c for c in captions if c]


class Items(Dataset[Any]):
    """A list as a dataset: scene numbers or captions."""

    def __init__(self, items: Any):
        self.items = items

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, i: int) -> Any:
        return self.items[i]


class ByLength(LengthGroupedSampler):
    """Sampler that groups texts of similar length, so that half the work is not padding.

    The order depends on the seed alone.
    """

    def __init__(self, batch_size: int, lengths: list[int], seed: int, epochs: float):
        super().__init__(batch_size, lengths=lengths)
        self.seed, self.count = seed, round(epochs * len(lengths))

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Any:
        return islice(chain.from_iterable(map(self._epoch, count())), self.count)

    def _epoch(self, epoch: int) -> Any:
        self.generator = torch.Generator().manual_seed(1000 * self.seed + epoch)
        return super().__iter__()


class Texts(Items):
    """Captions, drawn in batches of like length."""

    def __init__(self, items: list[Any], epochs: float = 1.0):
        super().__init__(items)
        self.epochs = epochs

    def sampler(self, batch_size: int, seed: int) -> ByLength:
        return ByLength(batch_size, self.lengths(), seed, self.epochs)

    def lengths(self) -> list[int]:
        """Number of blanks in each text."""
        return [item.count(" ") for item in self.items]


class TextCollator:
    """Captions -> {"ids", "mask"}, each [B, L]."""

    def __init__(self, encode: CaptionEncoder):
        self.encode = encode

    def __call__(self, captions: list[str]) -> dict[str, Any]:
        ids, mask = self.encode([normalise_caption(c) for c in captions])
        return {"ids": ids, "mask": mask}


class SceneCollator:
    """Scene numbers -> {"sound": {"log_mel", "frames"}, "token_tags", with `encode` also "ids", "mask"}.

    front_end: the encoder's, waveforms [B, S], lengths [B] -> features [B, bands, F], frames [B].
    token_frames: duration of the encoder's tokens in frames of 10 ms. masks: whether to apply SpecAugment.
    lengths: range of scene durations in seconds, drawn by the batch's first number; None: the composer's.
    """

    def __init__(
        self,
        composer: Composer,
        front_end: FrontEnd,
        encode: CaptionEncoder | None,
        *,
        masks: bool,
        token_frames: int = 16,
        lengths: tuple[float, float] | None = None,
    ) -> None:
        self.composer, self.front_end, self.encode, self.masks = composer, front_end, encode, masks
        self.token_frames, self.lengths = token_frames, lengths

    def __call__(self, indices: list[int]) -> dict[str, Any]:
        frames = None
        if self.lengths:
            rng = np.random.default_rng((self.composer.seed, 1, indices[0]))
            frames = int(rng.uniform(*self.lengths) * FRAME_RATE)
        scenes = [self.composer.plan(i, frames) for i in indices]
        tags = len(self.composer.tag_set.names)
        waveforms, targets = render(scenes, self.composer.bank, tags, self.token_frames)
        features, counts = self.front_end(waveforms, full_lengths(waveforms))
        if self.masks:
            features = spec_augment(features, scenes[0].seed)
        batch: dict[str, Any] = {"sound": {"log_mel": features, "frames": counts}, "token_tags": targets}
        if self.encode is not None:
            ids, mask = self.encode([normalise_caption(s.caption) for s in scenes])
            batch |= {"ids": ids, "mask": mask}
        return batch


class SceneSource:
    """Training and validation scenes of a bank, which is split by group.

    tags: names of the encoder's tags, to which the bank's labels are matched; None: the bank's own labels.
    """

    def __init__(self, section: SceneData, bank: Bank, tags: list[str] | None = None):
        self.section, self.bank = section, bank
        self.held_out = held_out_groups(self.bank.recordings)
        labels, lexicon = sorted({r.label for r in self.bank.recordings}), Lexicon.default()
        self.tag_set = TagSet(tags, labels, lexicon) if tags else TagSet.of(labels, lexicon)

    def composer(self, validation: bool, seed: int = 0) -> Composer:
        """Return the composer of training scenes, or of validation scenes from held-out groups.

        Validation scenes last ten seconds, use all channel effects, and are the same for every run. seed: of
        the training scenes.
        """
        s = self.section
        captions = read_captions(s.validation_captions if validation else s.captions)
        pool = self.bank.subset(self.held_out, inside=validation)
        options: dict[str, Any] = {
            "seconds": s.seconds,
            "human": s.human,
            "balance": s.balance,
            "augment": s.augment,
            "seed": seed,
        }
        if validation:
            options = {"seconds": 10.0, "human": 0.7, "augment": 1.0, "seed": VALIDATION_SEED}
        return Composer(self.bank, pool, self.tag_set, captions, **options)
