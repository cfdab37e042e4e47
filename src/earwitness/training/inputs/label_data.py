"""Pairs of (labels, caption) without audio, for a language model whose prompt holds tags.

The sounds of a pair become tag probabilities as the encoder gives them: those of one recording each, joined.
So the prompt of training confuses sounds as the encoder does.
"""

from __future__ import annotations

import ast
import csv
import hashlib
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor
from tqdm import tqdm

from earwitness.config.data import LabelData
from earwitness.config.errors import ConfigError
from earwitness.decoding.words import normalise_caption
from earwitness.features import SAMPLE_RATE
from earwitness.model import AudioCaptioningModel
from earwitness.scenes.bank import Bank
from earwitness.scenes.lexicon import Lexicon
from earwitness.training.inputs.scene_data import CaptionEncoder, Texts, read_captions

MAX_LABELS = 5  # of a caption; clips seldom hold more sounds that can be recognised
MIN_SECONDS = 1.5  # a shorter recording is padded with silence, as it would stand in a clip
MAX_SECONDS = 10.0  # of a recording that the encoder tags
TOP_TAGS = 4  # a recording is an example of its most probable tags
MIN_EXAMPLE = 0.12  # least probability of a tag that a recording is an example of
SHARPNESS = 2.0  # recordings are drawn by their probability of the tag, to this power
MIN_SHARE = 0.5  # of a recording's probabilities that are left beside other sounds
UNMASKED = 0.6  # probability that the first sound is not masked at all
JITTER = 0.3  # standard deviation of a joined tag's logit
SHIFT = -0.4, 0.8  # mean and standard deviation of a change of all logits of a clip: how sure an encoder is


class Pair(NamedTuple):
    """names: for each sound of the caption, the tags that name it."""

    names: tuple[tuple[str, ...], ...]
    caption: str


class TagExamples:
    """Tag probabilities of recordings, found by a tag that a recording is an example of."""

    def __init__(self, probabilities: NDArray[np.float32], tag_names: Sequence[str]):
        """probabilities: [recordings, tags]."""
        self.probabilities, self.median = probabilities, np.median(probabilities, axis=0)
        self.tags = {name: t for t, name in enumerate(tag_names)}
        self.by_tag: dict[int, list[int]] = defaultdict(list)
        for i, row in enumerate(probabilities):
            for t in np.argsort(-row)[:TOP_TAGS]:
                if row[t] >= MIN_EXAMPLE:
                    self.by_tag[int(t)].append(i)

    def of_tag(self, name: str, rng: np.random.Generator) -> NDArray[np.float32]:
        """Of a recording that is an example of the tag, the more probable the tag the more often.

        Where there is none, the median of all recordings with the tag itself at a random probability.
        """
        tag = self.tags[name]
        if rows := self.by_tag.get(tag):
            chances = self.probabilities[rows, tag] ** SHARPNESS
            return self.probabilities[rng.choice(rows, p=chances / chances.sum())]
        alone = (self.median * rng.uniform(0.5, 2.0)).clip(0, 1)
        alone[tag] = _sigmoid(rng.normal(0.3, 1.2))
        return alone

    def joined(self, rows: Sequence[NDArray[np.float32]], rng: np.random.Generator) -> NDArray[np.float32]:
        """Probabilities of a clip with all these sounds: each masks the others by a random share."""
        absent = np.ones_like(self.median)
        for i, row in enumerate(rows):
            share = 1.0 if i == 0 and rng.random() < UNMASKED else rng.uniform(MIN_SHARE, 1.0)
            absent = absent * (1 - share * row)
        present = (1 - absent).clip(1e-5, 1 - 1e-5)
        noise = rng.normal(0, JITTER, len(present)) + rng.normal(*SHIFT)
        return _sigmoid(np.log(present / (1 - present)) + noise)

    def draw(self, pair: Pair, rng: np.random.Generator) -> NDArray[np.float32]:
        """Tag probabilities [tags] for a pair's sounds."""
        rows = [self.of_tag(names[rng.integers(len(names))], rng) for names in pair.names[:MAX_LABELS]]
        return self.joined(rows, rng)


def _sigmoid(x: Any) -> Any:
    return (1 / (1 + np.exp(-x))).astype(np.float32) if isinstance(x, np.ndarray) else 1 / (1 + np.exp(-x))


def read_pairs(files: Sequence[str], tag_names: Sequence[str]) -> list[Pair]:
    """Rows of CSV files that name at least one of the encoder's tags. Raises ConfigError."""
    known, pairs = set(tag_names), []
    for name in files:
        path = Path(name)
        if not path.is_file():
            raise ConfigError(f"pairs: there is no file {path}")
        with path.open(newline="", encoding="utf-8") as handle:
            rows = csv.DictReader(handle)
            if missing := {"labels", "caption"} - set(rows.fieldnames or []):
                raise ConfigError(f"pairs: {path} has no column {', '.join(sorted(missing))}")
            for row in rows:
                labels = dict.fromkeys(label for label in ast.literal_eval(row["labels"]) if label in known)
                if labels:
                    alone = tuple((label,) for label in labels)
                    pairs.append(Pair(alone, normalise_caption(row["caption"])))
    if files and not pairs:
        raise ConfigError(f"pairs: no label of {', '.join(files)} is the name of one of the encoder's tags")
    return pairs


def read_human(files: Sequence[str], tag_names: Sequence[str]) -> list[Pair]:
    """Captions all of whose sounds are among the encoder's tags, by the lexicon's classes or labels."""
    lexicon, known, pairs = Lexicon.default(), set(tag_names), []
    for caption in read_captions(list(files)):
        names = []
        for mention in (mention for phase in lexicon.read(caption, tolerance=1) or () for mention in phase):
            concept = lexicon.concepts[mention.concept]
            names.append(tuple(name for name in (*concept.classes, *concept.labels) if name in known))
        if names and all(names):
            pairs.append(Pair(tuple(names), normalise_caption(caption)))
    return pairs


class LabelSource:
    """A bank whose training recordings give the tag probabilities that stand for labels."""

    def __init__(self, section: LabelData, bank: Bank) -> None:
        self.section, self.bank = section, bank
        self.train = np.flatnonzero(~bank.held_out())

    def tags(self, model: AudioCaptioningModel, cache: Path) -> NDArray[np.float32]:
        """Tag probabilities [recordings, tags] by the model's encoder. cache: folder that keeps them."""
        names = "\n".join(self.bank.recordings[i].path for i in self.train)
        key, encoder = hashlib.sha256(names.encode()), model.get_submodule("encoder").eval()
        for name, tensor in sorted(encoder.state_dict().items()):
            key.update(name.encode() + tensor.detach().cpu().float().numpy().tobytes())
        file = cache / f"tags-{key.hexdigest()[:16]}.safetensors"
        if not file.is_file():
            file.parent.mkdir(parents=True, exist_ok=True)
            save_file({"probabilities": self._tag(encoder)}, file)
        return load_file(file)["probabilities"].numpy()

    @torch.inference_mode()
    def _tag(self, encoder: Any) -> Tensor:
        rows = []
        for i in tqdm(self.train.tolist(), "Tagging recordings", unit=" recordings", delay=2):
            start, length = int(self.bank.start[i]), int(self.bank.samples[i])
            sound = self.bank.audio[start : start + min(length, round(MAX_SECONDS * SAMPLE_RATE))].float()
            sound = sound / sound.abs().max().clamp(min=1) / 2
            sound = F.pad(sound, (0, max(0, round(MIN_SECONDS * SAMPLE_RATE) - len(sound))))
            h_a = encoder(sound[None], torch.tensor([len(sound)]))
            rows.append(encoder.tag_probabilities(h_a)[0])
        return torch.stack(rows)


class PairCollator:
    """(number, pair) -> {"tags" [B, tags], "ids", "mask" [B, L]}; a draw depends on (seed, number) alone."""

    def __init__(self, examples: TagExamples, encode: CaptionEncoder, seed: int):
        self.examples, self.encode, self.seed = examples, encode, seed

    def __call__(self, items: list[tuple[int, Pair]]) -> dict[str, Any]:
        drawn = [self.examples.draw(pair, np.random.default_rng((self.seed, n))) for n, pair in items]
        ids, mask = self.encode([pair.caption for _, pair in items])
        return {"tags": torch.from_numpy(np.stack(drawn).astype(np.float32)), "ids": ids, "mask": mask}


class Pairs(Texts):
    """Numbered pairs, drawn in batches of like length."""

    def __getitem__(self, i: int) -> tuple[int, Pair]:
        return i, self.items[i]

    def lengths(self) -> list[int]:
        return [pair.caption.count(" ") for pair in self.items]


def label_pairs(section: LabelData, tag_names: Sequence[str]) -> tuple[Pairs, Pairs]:
    """Training and validation pairs. A pair's part depends on a hash of its caption."""
    pairs = read_pairs(section.pairs, tag_names)
    limit = int(section.validation_share * 2**32)
    held = [int.from_bytes(hashlib.sha256(p.caption.encode()).digest()[:4]) < limit for p in pairs]
    validation = [p for p, out in zip(pairs, held) if out] + read_human(
        section.validation_captions, tag_names
    )
    train = [p for p, out in zip(pairs, held) if not out] + read_human(section.captions, tag_names)
    if not train:
        raise ConfigError("data: no pair and no caption names a sound that is one of the encoder's tags")
    return Pairs(train * section.epochs), Pairs(validation)
