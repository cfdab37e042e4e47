"""Composed scenes as a frozen encoder hears them, with the pictures and the captions that go with them.

An ablation trains the same small model many times on the same scenes: each scene is composed and encoded
once, and what the encoder made of it is kept. Scenes have no video, and nobody captioned sounds like them, so
both are made here:

- Frames, two a second. Each label of the bank is a random direction of 64 dimensions. A frame shows the
  labels that sound at that moment, of which half are never in the picture, one thing that makes no sound, and
  noise.
- Retrieved captions: of the training scenes whose tag probabilities lie nearest, never the scene's own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from earwitness.decoding.words import normalise_caption
from earwitness.encoders.conv import ConvEncoder
from earwitness.retrieval.datastore import CaptionDatastore
from earwitness.scenes.bank import Bank
from earwitness.scenes.composer import FRAME_RATE, Composer, Scene
from earwitness.scenes.render import render_mel

SECONDS = 5  # of a scene
FRAMES_PER_SECOND = 2  # LAVCap's
FRAME_DIM = 64
IN_PICTURE = 0.5  # share of sounding labels that are ever seen
NOISE = 0.6  # of a frame's feature, against 1 for a label
RETRIEVED = 3  # captions a clip
AT_ONCE = 32  # scenes rendered and encoded together


@dataclass
class Heard:
    """tokens [N_a, D] and tags [T] of one scene, frames [N_v, 64], its caption and those retrieved for it."""

    index: int
    tokens: Tensor
    tags: Tensor
    frames: Tensor
    caption: str
    retrieved: list[str]


@torch.no_grad()
def hear(composer: Composer, encoder: ConvEncoder, indices: Iterable[int]) -> list[Heard]:
    """The scenes of these indices, nothing retrieved yet."""
    indices = list(indices)
    heard: list[Heard] = []
    for first in range(0, len(indices), AT_ONCE):
        part = indices[first : first + AT_ONCE]
        scenes = [composer.plan(i, SECONDS * FRAME_RATE) for i in part]
        mel = log_mel(scenes, composer)
        h_a = encoder.encode_log_mel(mel, torch.full((len(part),), mel.shape[2]))
        probabilities = encoder.tag_probabilities(h_a)
        for i, scene, tokens, tags in zip(part, scenes, h_a.values, probabilities):
            pictures = frames_of(scene, composer.bank, composer.labels)
            heard.append(Heard(i, tokens, tags, pictures, normalise_caption(scene.caption), []))
    return heard


def log_mel(scenes: list[Scene], composer: Composer) -> Tensor:
    return render_mel(scenes, composer.bank, len(composer.tag_set.names))[0]


def frames_of(scene: Scene, bank: Bank, labels: list[str]) -> Tensor:
    """Features of the frames of a scene's imaginary video: [10, 64]."""
    rng = np.random.default_rng(scene.seed)
    names = sorted({bank.recordings[p.recording].label for p in scene.placed})
    seen = {name for name in names if rng.random() < IN_PICTURE}
    mute = direction(labels[int(rng.integers(len(labels)))])
    features = np.empty((SECONDS * FRAMES_PER_SECOND, FRAME_DIM), np.float32)
    for k, row in enumerate(features):
        at = (k + 0.5) / FRAMES_PER_SECOND * FRAME_RATE
        here = {
            bank.recordings[p.recording].label for p in scene.placed if p.onset <= at < p.onset + p.length
        }
        row[:] = mute + sum(direction(name) for name in here & seen)
        row += NOISE * rng.standard_normal(FRAME_DIM) / FRAME_DIM**0.5
    return torch.from_numpy(features)


def direction(label: str) -> np.ndarray:
    """What a label looks like: a unit vector that hangs on its name alone."""
    seed = int.from_bytes(hashlib.sha256(label.encode()).digest()[:8], "big")
    vector = np.random.default_rng(seed).standard_normal(FRAME_DIM)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def retrieve(clips: list[Heard], known: list[Heard]) -> None:
    """Fills `retrieved` of the clips from the captions of the known ones, leaving out their own."""
    vectors = torch.stack([clip.tags for clip in known]).numpy()
    store = CaptionDatastore([c.caption for c in known], [c.caption for c in known], vectors)
    queries = torch.stack([clip.tags for clip in clips]).numpy()
    for clip, found in zip(clips, store.retrieve(queries, RETRIEVED, exclude=[c.caption for c in clips])):
        clip.retrieved = [entry.caption for entry in found]
