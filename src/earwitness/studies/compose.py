"""Composed scenes as a data folder of a study: sounds, pictures, captions of similar sounds, three manifests.

Scenes have neither video nor captions of similar clips, so both are synthetic:

- Frame features, two a second (LAVCap's rate), for `vision: {kind: cached, dim: 64}`. Each label of the
  bank is a random direction of 64 dimensions. A frame shows the labels that sound at that moment, of which
  half are never in the picture, one thing that makes no sound, and noise.
- Retrieved captions: of the training scenes whose tag probabilities are nearest, never the scene's own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
from numpy.typing import NDArray

from earwitness.atomic_write import atomic_path
from earwitness.data.manifest import Row, write_manifest
from earwitness.features import SAMPLE_RATE
from earwitness.model import AudioCaptioningModel
from earwitness.retrieval.datastore import CaptionDatastore
from earwitness.scenes.bank import Bank
from earwitness.scenes.composer import FRAME_RATE, Composer, Scene
from earwitness.scenes.lexicon import Lexicon
from earwitness.scenes.recordings import held_out_groups
from earwitness.scenes.render import render_waveform
from earwitness.scenes.tag_set import TagSet
from earwitness.training.inputs.scene_data import read_captions

FRAMES_PER_SECOND = 2  # LAVCap's
FRAME_DIM = 64
IN_PICTURE = 0.5  # share of sounding labels that are ever seen
NOISE = 0.6  # of a frame's feature, against 1 for a label
RETRIEVED = 3  # captions a clip
AT_ONCE = 16  # scenes whose tags are computed together
SEEDS = {"train": 0, "validation": 1, "test": 2}


@dataclass(frozen=True)
class Scenes:
    """What scenes are composed of: a bank, captions for training, captions for validation and test,
    how many of each.
    """

    bank: Path
    captions: Sequence[str]
    test_captions: Sequence[str]
    train: int = 1280
    held_out: int = 230
    seconds: float = 5.0
    human: float = 0.85  # share of scenes composed after human captions


def compose(scenes: Scenes, out: Path, tagger: AudioCaptioningModel) -> None:
    """Writes OUT/train.jsonl, validation.jsonl and test.jsonl with what they name; what is there is kept.

    tagger: a model whose encoder names tags. Raises ValueError for a bank or captions that cannot be used.
    """
    if all((out / f"{name}.jsonl").is_file() for name in SEEDS):
        return
    bank = Bank.open(scenes.bank, out / "cache")
    composers = {name: _composer(scenes, bank, name) for name in SEEDS}
    rows: dict[str, list[Row]] = {}
    tags: dict[str, NDArray[np.float32]] = {}
    for name, composer in composers.items():
        count = scenes.train if name == "train" else scenes.held_out
        rows[name] = [_written(composer, bank, i, out / name, scenes.seconds) for i in range(count)]
        tags[name] = np.concatenate([*_tags(rows[name], tagger)])
    known = rows["train"]
    store = CaptionDatastore([r.captions[0] for r in known], [r.captions[0] for r in known], tags["train"])
    for name, own in rows.items():
        found = store.retrieve(tags[name], RETRIEVED, exclude=[row.captions[0] for row in own])
        shown = [replace(row, retrieved=tuple(c.caption for c in near)) for row, near in zip(own, found)]
        write_manifest(out / f"{name}.jsonl", shown)


def _composer(scenes: Scenes, bank: Bank, name: str) -> Composer:
    """Training scenes of the training recordings; the others of held-out recordings and captions."""
    held_out = name != "train"
    texts = read_captions([*(scenes.test_captions if held_out else scenes.captions)])
    labels = sorted({r.label for r in bank.recordings})
    pool = bank.subset(held_out_groups(bank.recordings), inside=held_out)
    tag_set = TagSet.of(labels, Lexicon.default())
    return Composer(
        bank, pool, tag_set, texts, seconds=scenes.seconds, human=scenes.human, augment=1.0, seed=SEEDS[name]
    )


def _written(composer: Composer, bank: Bank, index: int, folder: Path, seconds: float) -> Row:
    """One scene, its files in the folder."""
    scene = composer.plan(index)
    sound, frames = folder / f"{index:06d}.flac", folder / f"{index:06d}.npy"
    if not frames.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        soundfile.write(sound, render_waveform(scene, bank), SAMPLE_RATE)
        with atomic_path(frames) as part, part.open("wb") as file:
            np.save(file, frames_of(scene, bank, composer.labels, seconds))
    name = f"{folder.name}-{index:06d}"
    return Row(name, str(sound.absolute()), (scene.caption,), video=str(frames.absolute()))


@torch.inference_mode()
def _tags(rows: Sequence[Row], tagger: AudioCaptioningModel) -> Iterator[NDArray[np.float32]]:
    """Tag probabilities, [n, tags] of n rows after the other."""
    for first in range(0, len(rows), AT_ONCE):
        waveforms = [soundfile.read(row.audio, dtype="float32")[0] for row in rows[first : first + AT_ONCE]]
        lengths = torch.tensor([len(w) for w in waveforms])
        padded = torch.nn.utils.rnn.pad_sequence([torch.from_numpy(w) for w in waveforms], batch_first=True)
        h_a = tagger.listen({"waveforms": padded, "lengths": lengths})
        encoder: Any = tagger.encoder
        yield encoder.tag_probabilities(h_a).float().numpy()


def frames_of(scene: Scene, bank: Bank, labels: Sequence[str], seconds: float) -> NDArray[np.float32]:
    """Features of the frames of a scene's synthetic video: [2 * seconds, 64]."""
    rng = np.random.default_rng(scene.seed)
    names = sorted({bank.recordings[p.recording].label for p in scene.placed})
    seen = {name for name in names if rng.random() < IN_PICTURE}
    mute = direction(labels[int(rng.integers(len(labels)))])
    features = np.empty((round(seconds * FRAMES_PER_SECOND), FRAME_DIM), np.float32)
    for k, row in enumerate(features):
        at = (k + 0.5) / FRAMES_PER_SECOND * FRAME_RATE
        here = {
            bank.recordings[p.recording].label for p in scene.placed if p.onset <= at < p.onset + p.length
        }
        row[:] = mute + sum(direction(name) for name in sorted(here & seen))
        row += NOISE * rng.standard_normal(FRAME_DIM) / FRAME_DIM**0.5
    return features


def direction(label: str) -> NDArray[np.float32]:
    """What a label looks like: a unit vector that depends on its name alone."""
    seed = int.from_bytes(hashlib.sha256(label.encode()).digest()[:8], "big")
    vector = np.random.default_rng(seed).standard_normal(FRAME_DIM)
    return (vector / np.linalg.norm(vector)).astype(np.float32)
