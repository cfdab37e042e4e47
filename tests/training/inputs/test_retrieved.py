from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from earwitness.data.manifest import Manifest
from earwitness.retrieval.datastore import CaptionDatastore
from earwitness.training.inputs import retrieved
from earwitness.training.inputs.retrieved import write_retrieved


class Loudness:
    """An embedder whose sounds and texts lie on a circle, by their peak and by their length."""

    name = "loudness"

    def embed_text(self, texts: Any) -> Any:
        return self._circle(np.array([len(text) for text in texts]) / 40)

    def embed_audio(self, waveforms: Any, sample_rate: int) -> Any:
        return self._circle(np.array([np.abs(w).max() for w in waveforms]))

    def _circle(self, angles: Any) -> Any:
        return np.stack([np.cos(angles), np.sin(angles)], 1).astype(np.float32)


@pytest.fixture
def store(sets):
    pairs = [(caption, row.id) for row in Manifest.open(sets[0]) for caption in row.captions]
    return CaptionDatastore.build(*zip(*pairs), Loudness())


def test_every_row_gets_the_nearest_captions_of_other_clips(sets, store, tmp_path):
    (sets[0].parent / "5.flac").write_bytes(b"")
    faults = write_retrieved(Manifest.open(sets[0]), store, 2, tmp_path / "out.jsonl")
    assert len(faults) == 1 and faults[0].startswith("clip5: ")
    rows, before = Manifest.open(tmp_path / "out.jsonl"), Manifest.open(sets[0])
    assert len(rows) == 24 and [r.audio for r in rows] == [r.audio for r in before]
    for row in rows:
        assert len(row.retrieved) == (0 if row.id == "clip5" else 2)
        others = {c for c, name in zip(store.captions, store.clip_ids) if name != row.id}
        assert set(row.retrieved) <= others
    assert not list(tmp_path.glob(".out*"))


def test_a_stopped_search_goes_on(sets, store, tmp_path, monkeypatch):
    monkeypatch.setattr(retrieved, "BATCH", 5)
    write_retrieved(Manifest.open(sets[0]), store, 2, tmp_path / "whole.jsonl")
    count = 0

    def stops(rows: Any, *args: Any) -> Any:
        nonlocal count
        count += 1
        if count == 3:
            raise KeyboardInterrupt
        return similar(rows, *args)

    similar = retrieved.similar_captions
    monkeypatch.setattr(retrieved, "similar_captions", stops)
    with pytest.raises(KeyboardInterrupt):
        write_retrieved(Manifest.open(sets[0]), store, 2, tmp_path / "out.jsonl")
    with (tmp_path / ".out.jsonl.retrieved").open("a") as file:
        file.write('["torn')
    write_retrieved(Manifest.open(sets[0]), store, 2, tmp_path / "out.jsonl")
    assert count == 6  # the two batches found before were not searched again
    rows = [
        [json.loads(line) for line in (tmp_path / f).read_text().splitlines()]
        for f in ("whole.jsonl", "out.jsonl")
    ]
    assert rows[0] == rows[1]
