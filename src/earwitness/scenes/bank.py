"""A bank: a folder of labelled source recordings plus manifest.csv, held in memory as mel frames.

Beside them it may hold recordings made by formula (`synthesis/`), for training alone.

Decoding eight hours once and keeping 64 half-precision decibels per
10 ms (0.4 GB) makes a scene cost a gather and an add, so that the model and not the loader is the limit.
"""

from __future__ import annotations

import csv
import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from tqdm import tqdm

from earwitness.features import SAMPLE_RATE, power_mel, power_to_db
from earwitness.media.containers import MediaError
from earwitness.media.reading import load_audio
from earwitness.scenes.synthesis import MAKERS, SOURCE, fingerprint, synthesise

TRIM_DB = 50.0  # silence this far below a recording's loudest frame is cut from its ends
MAX_SECONDS = 30.0  # of one recording: a longer one would crowd the others out of memory


@dataclass(frozen=True)
class Recording:
    """One row of manifest.csv."""

    path: str
    label: str
    hint: str
    group: str
    source: str
    license: str

    @property
    def synthetic(self) -> bool:
        return self.source == SOURCE

    def waveform(self, folder: Path) -> np.ndarray:
        """float32 [samples] at 16 kHz, at most MAX_SECONDS. Errors: MediaError."""
        if self.synthetic:
            return synthesise(self.label, int(self.path.rpartition("/")[2]))
        return load_audio(folder / self.path, SAMPLE_RATE, end=MAX_SECONDS).waveform


def read_manifest(folder: Path) -> list[Recording]:
    """Rows of FOLDER/manifest.csv that may be redistributed. Columns: path, label, group are required."""
    file = folder / "manifest.csv"
    if not file.is_file():
        raise ValueError(f"{folder} is no bank: it has no manifest.csv (columns path, label, group)")
    with file.open(newline="", encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle))
    missing = {"path", "label", "group"} - set(rows[0] if rows else {})
    if missing:
        raise ValueError(f"{file} lacks the columns {sorted(missing)}")
    return [
        Recording(
            r["path"],
            r["label"],
            r.get("caption_hint") or r["label"],
            r["group"],
            r.get("source_repo", ""),
            r.get("license", ""),
        )
        for r in rows
        if r.get("redistributable", "yes") in ("yes", "check")
    ]


def held_out_groups(recordings: list[Recording], share: float = 0.1) -> frozenset[str]:
    """Groups kept for validation: of each label with at least three, `share` of them, at least one.

    A group is an original recording; it is wholly in training or wholly in validation. The choice hangs
    on a hash of the group's name alone, so it stays when the bank grows. Synthetic ones are never held out.
    """
    by_label: dict[str, set[str]] = defaultdict(set)
    for r in recordings:
        if not r.synthetic:
            by_label[r.label].add(r.group)
    held: set[str] = set()
    for groups in by_label.values():
        if len(groups) >= 3:
            ranked = sorted(groups, key=lambda g: hashlib.sha256(g.encode()).digest())
            held.update(ranked[: max(1, round(share * len(groups)))])
    # a label all of whose groups were held out through other labels gets them back
    for groups in by_label.values():
        if groups <= held:
            held -= groups
    return frozenset(held)


def synthetic_recordings(labels: set[str], count: int) -> list[Recording]:
    """`count` of each of the labels that can be made by formula."""
    return [
        Recording(f"synthesis/{label}/{i}", label, label, f"synthesis:{label}:{i}", SOURCE, "Apache-2.0")
        for label in sorted(labels & set(MAKERS))
        for i in range(count)
    ]


def _mel_frames(folder: Path, recording: Recording) -> np.ndarray | None:
    """[F, 64] float16 decibels of a recording with the silence at its ends cut; None if nothing is heard."""
    torch.set_num_threads(1)
    try:
        waveform = torch.from_numpy(recording.waveform(folder))
    except MediaError:
        return None
    power = power_mel(waveform[None])[0]
    loudness = 10 * power.sum(0).clamp(min=1e-10).log10()
    heard = (loudness > loudness.max() - TRIM_DB).nonzero().flatten()
    if loudness.max() < -60 or not len(heard):
        return None
    power = power[:, int(heard[0]) : int(heard[-1]) + 1]
    return power_to_db(power, top_db=None).T.half().numpy()


class Bank:
    """Recordings and their mel frames.

    frames: [sum of lengths, 64] float16 dB.  start, length: [recordings] int64, in frames.
    level: [recordings] float32, dB of the mean power of the louder half of the frames (all bands together).
    """

    def __init__(self, folder: Path, recordings: list[Recording], tensors: dict[str, Tensor]):
        self.folder, self.recordings = folder, recordings
        self.frames, self.start, self.length = tensors["frames"], tensors["start"], tensors["length"]
        self.level = tensors["level"]

    @classmethod
    def open(
        cls, folder: str | Path, cache: str | Path | None = None, workers: int = 2, synthesis: int = 0
    ) -> Bank:
        """Decodes every recording, or reads the frames from `cache` if they were decoded before.

        synthesis: how many recordings of each label that can be made by formula come in addition.
        """
        folder = Path(folder)
        real = cls._read(folder, read_manifest(folder), "", Path(cache or folder), workers)
        if not synthesis:
            return real
        made = synthetic_recordings({r.label for r in real.recordings}, synthesis)
        return real + cls._read(folder, made, fingerprint(), Path(cache or folder), workers) if made else real

    @classmethod
    def _read(
        cls, folder: Path, recordings: list[Recording], version: str, cache: Path, workers: int
    ) -> Bank:
        names = "\n".join([*(r.path for r in recordings), *([version] if version else [])])
        file = cache / f"bank-{hashlib.sha256(names.encode()).hexdigest()[:16]}.safetensors"
        if not file.is_file():
            file.parent.mkdir(parents=True, exist_ok=True)
            save_file(cls._decode(folder, recordings, workers), file)
        tensors = load_file(file)
        kept = [r for r, ok in zip(recordings, tensors.pop("kept").tolist()) if ok]
        return cls(folder, kept, tensors)

    def __add__(self, other: Bank) -> Bank:
        """The recordings of both, this one's first."""
        tensors = {
            "frames": torch.cat([self.frames, other.frames]),
            "start": torch.cat([self.start, other.start + len(self.frames)]),
            "length": torch.cat([self.length, other.length]),
            "level": torch.cat([self.level, other.level]),
        }
        return Bank(self.folder, self.recordings + other.recordings, tensors)

    @cached_property
    def colour(self) -> np.ndarray:
        """float32 [recordings, 64]: the mean spectrum of each, in dB, smoothed, relative to its own level."""
        smooth = np.ones(9) / 9
        rows = []
        for first, count in zip(self.start.tolist(), self.length.tolist()):
            mean = self.frames[first : first + count].float().mean(0).numpy()
            mean = np.convolve(np.pad(mean, 4, mode="edge"), smooth, mode="valid")
            rows.append((mean - mean.mean()).clip(-12.0, 12.0))
        return np.stack(rows).astype(np.float32)

    @staticmethod
    def _decode(folder: Path, recordings: list[Recording], workers: int) -> dict[str, Tensor]:
        with ProcessPoolExecutor(workers) as pool:
            decoded = pool.map(partial(_mel_frames, folder), recordings, chunksize=32)
            frames = list(
                tqdm(decoded, "Decoding the bank", total=len(recordings), unit=" recordings", delay=2)
            )
        kept = [f for f in frames if f is not None]
        length = torch.tensor([len(f) for f in kept])
        level = []
        for f in kept:
            power = (10.0 ** (f.astype(np.float32) / 10)).sum(1)
            level.append(10 * np.log10(np.sort(power)[len(power) // 2 :].mean()))
        return {
            "frames": torch.from_numpy(np.ascontiguousarray(np.concatenate(kept))),
            "start": torch.cumsum(length, 0) - length,
            "length": length,
            "level": torch.tensor(level, dtype=torch.float32),
            "kept": torch.tensor([f is not None for f in frames]),
        }

    def subset(self, groups: frozenset[str], inside: bool) -> dict[str, list[int]]:
        """label -> indices of its recordings whose group is (not) in `groups`."""
        out: dict[str, list[int]] = defaultdict(list)
        for i, r in enumerate(self.recordings):
            if (r.group in groups) == inside:
                out[r.label].append(i)
        return dict(out)


def credits(recordings: Iterable[Recording]) -> list[tuple[str, str, int]]:
    """(source, licence, recordings), most recordings first: what a model card must name."""
    counts = Counter((r.source, r.license) for r in recordings)
    return [(source, licence, n) for (source, licence), n in counts.most_common()]
