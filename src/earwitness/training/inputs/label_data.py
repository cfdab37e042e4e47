"""Pairs of (labels, caption) without audio, for a language model whose prompt holds tags.

The labels of a pair become tag probabilities as the encoder gives them: those of one recording each, joined.
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
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor
from tqdm import tqdm

from earwitness.config.data import LabelData
from earwitness.config.errors import ConfigError
from earwitness.decoding.words import normalise_caption
from earwitness.media.reading import MediaError
from earwitness.model import AudioCaptioningModel
from earwitness.scenes.lexicon import Lexicon
from earwitness.scenes.recordings import Recording, held_out_groups, read_manifest
from earwitness.training.inputs.scene_data import CaptionEncoder, Texts, read_captions

MAX_LABELS = 5  # of a caption; more are seldom heard
MIN_SECONDS = 1.5  # a shorter recording is padded with silence, as it would stand in a clip
MAX_SECONDS = 10.0  # of a recording that the encoder tags
TOP_TAGS = 4  # a recording is an example of its most probable tags
MIN_EXAMPLE = 0.12  # least probability of a tag that a recording is an example of
JITTER = 0.4  # standard deviation of a joined tag's logit


class Pair(NamedTuple):
    """names: for each label its alternatives. recorded: whether they are labels of recordings, not tags."""

    names: tuple[tuple[str, ...], ...]
    recorded: bool
    caption: str


class TagExamples:
    """Tag probabilities of recordings, found by a recording's label or by a tag that it is an example of."""

    def __init__(self, probabilities: NDArray[np.float32], labels: Sequence[str], tag_names: Sequence[str]):
        """probabilities: [recordings, tags]. labels: of the recordings, "" where there is none."""
        self.probabilities, self.median = probabilities, np.median(probabilities, axis=0)
        self.by_label: dict[str, list[int]] = defaultdict(list)
        for i, label in enumerate(labels):
            if label:
                self.by_label[label].append(i)
        self.tags = {name: t for t, name in enumerate(tag_names)}
        self.by_tag: dict[int, list[int]] = defaultdict(list)
        for i, row in enumerate(probabilities):
            for t in np.argsort(-row)[:TOP_TAGS]:
                if row[t] >= MIN_EXAMPLE:
                    self.by_tag[int(t)].append(i)

    def of_label(self, label: str, rng: np.random.Generator) -> NDArray[np.float32]:
        """Of a recording with the label."""
        return self.probabilities[rng.choice(self.by_label[label])]

    def of_tag(self, name: str, rng: np.random.Generator) -> NDArray[np.float32]:
        """Of a recording that is an example of the tag, the surer the oftener.

        Where there is none, the median of all recordings with the tag itself at a random probability.
        """
        tag = self.tags[name]
        if rows := self.by_tag.get(tag):
            chances = self.probabilities[rows, tag]
            return self.probabilities[rng.choice(rows, p=chances / chances.sum())]
        alone = (self.median * rng.uniform(0.5, 2.0)).clip(0, 1)
        alone[tag] = _sigmoid(rng.normal(0.3, 1.2))
        return alone

    def joined(self, rows: Sequence[NDArray[np.float32]], rng: np.random.Generator) -> NDArray[np.float32]:
        """Probabilities of a clip with all these sounds: each masks the others by a random share."""
        absent = np.ones_like(self.median)
        for i, row in enumerate(rows):
            share = 1.0 if i == 0 and rng.random() < 0.6 else rng.uniform(0.35, 1.0)
            absent = absent * (1 - share * row)
        present = (1 - absent).clip(1e-5, 1 - 1e-5)
        return _sigmoid(
            np.log(present / (1 - present)) + rng.normal(0, JITTER, len(present)) + rng.normal(0, JITTER)
        )

    def draw(self, pair: Pair, rng: np.random.Generator) -> NDArray[np.float32]:
        """Tag probabilities [tags] for a pair's labels."""
        of = self.of_label if pair.recorded else self.of_tag
        rows = [of(names[rng.integers(len(names))], rng) for names in pair.names[:MAX_LABELS]]
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
                    pairs.append(Pair(alone, False, normalise_caption(row["caption"])))
    if files and not pairs:
        raise ConfigError(f"pairs: no label of {', '.join(files)} is the name of one of the encoder's tags")
    return pairs


def read_human(files: Sequence[str], labels: set[str]) -> list[Pair]:
    """Captions all of whose sounds have recordings, by the lexicon. labels: those of the recordings."""
    lexicon, pairs = Lexicon.default(), []
    for caption in read_captions(list(files)):
        phases = lexicon.read(caption, tolerance=1)
        if not phases:
            continue
        names = []
        for mention in (mention for phase in phases for mention in phase):
            concept = lexicon.concepts.get(mention.concept)
            names.append(tuple(n for n in (concept.labels if concept else (mention.concept,)) if n in labels))
        if all(names):
            pairs.append(Pair(tuple(names), True, normalise_caption(caption)))
    return pairs


def recordings_of(section: LabelData) -> list[tuple[Path, Recording]]:
    """Every recording of the banks that is not held out for validation, with its bank's folder."""
    found = []
    for folder in map(Path, section.banks):
        recordings = read_manifest(folder)
        held_out = held_out_groups(recordings)
        found += [(folder, recording) for recording in recordings if recording.group not in held_out]
    return found


@torch.inference_mode()
def tag_recordings(model: AudioCaptioningModel, section: LabelData, cache: Path) -> tuple[Tensor, list[str]]:
    """Tag probabilities [recordings, tags] by the model's encoder and the recordings' labels.

    A recording that cannot be decoded is left out. cache: folder that keeps the result.
    """
    recordings = recordings_of(section)
    weights = hashlib.sha256("\n".join(r.path for _, r in recordings).encode())
    for name, tensor in sorted(model.get_submodule("encoder").state_dict().items()):
        weights.update(name.encode() + tensor.detach().cpu().float().numpy().tobytes())
    file = cache / f"tags-{weights.hexdigest()[:16]}.safetensors"
    if not file.is_file():
        rate = model.encoder.sample_rate
        encoder: Any = model.get_submodule("encoder").eval()
        rows, kept = [], torch.zeros(len(recordings), dtype=torch.bool)
        for i, (folder, recording) in enumerate(
            tqdm(recordings, "Tagging recordings", unit=" recordings", delay=2)
        ):
            try:
                sound = torch.from_numpy(recording.waveform(folder))[: round(MAX_SECONDS * rate)]
            except MediaError:
                continue
            sound = sound / sound.abs().max().clamp(min=1e-3) / 2
            sound = torch.nn.functional.pad(sound, (0, max(0, round(MIN_SECONDS * rate) - len(sound))))
            h_a = encoder(sound[None], torch.tensor([len(sound)]))
            rows.append(encoder.tag_probabilities(h_a)[0])
            kept[i] = True
        file.parent.mkdir(parents=True, exist_ok=True)
        save_file({"probabilities": torch.stack(rows), "kept": kept}, file)
    tensors = load_file(file)
    return tensors["probabilities"], [r.label for (_, r), ok in zip(recordings, tensors["kept"]) if ok]


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


def label_pairs(section: LabelData, examples: TagExamples, tag_names: Sequence[str]) -> tuple[Pairs, Pairs]:
    """Training and validation pairs. A pair's part depends on a hash of its caption."""
    pairs = read_pairs(section.pairs, tag_names)
    limit = int(section.validation_share * 2**32)
    held = [int.from_bytes(hashlib.sha256(p.caption.encode()).digest()[:4]) < limit for p in pairs]
    labels = set(examples.by_label)
    validation = [p for p, out in zip(pairs, held) if out] + read_human(section.validation_captions, labels)
    train = [p for p, out in zip(pairs, held) if not out] + read_human(section.captions, labels)
    if not train:
        raise ConfigError("data: neither pairs nor captions can be used with the labels of the banks")
    return Pairs(train * section.epochs), Pairs(validation)
