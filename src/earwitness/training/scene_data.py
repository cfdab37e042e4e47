"""Scenes as a map-style dataset: an item is an index, the collator plans and renders the whole batch.

Every batch hangs on its indices alone, so a resumed run sees what an uninterrupted one would have seen,
whatever the number of workers.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.utils.data import Dataset

from earwitness.data.bank import Bank
from earwitness.data.render import render_mel, spec_augment
from earwitness.data.scenes import Composer


class SceneIndices(Dataset):
    """The numbers first .. first + count - 1."""

    def __init__(self, count: int, first: int = 0):
        self.count, self.first = count, first

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, i: int) -> int:
        return self.first + i


class SceneCollator:
    """Indices -> {log_mel [B, 64, T], token_tags [B, N, tags], captions}."""

    def __init__(self, composer: Composer, bank: Bank, masks: bool = True):
        self.composer, self.bank, self.masks = composer, bank, masks

    def __call__(self, indices: list[int]) -> dict[str, Any]:
        torch.set_num_threads(1)
        scenes = [self.composer.plan(i) for i in indices]
        mel, targets = render_mel(scenes, self.bank, len(self.composer.tag_set.names))
        if self.masks:
            mel = spec_augment(mel, scenes[0].seed)
        return {"log_mel": mel, "token_tags": targets, "captions": [s.caption for s in scenes]}
