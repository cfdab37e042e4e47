"""A bank: a folder of source recordings plus manifest.csv, held as one array of 16-bit samples.

The recordings are decoded once. The samples are mapped into memory from the cache (115 MB an hour), so that
all processes share them, and can be moved to a GPU as they are. Beside the recordings a bank may hold
synthetic ones (`synthesis/`), for training alone.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from tqdm import tqdm

from earwitness.features import HOP, power_mel, power_to_db
from earwitness.media.containers import MediaError
from earwitness.scenes.recordings import (
    Recording,
    held_out_groups,
    held_out_sources,
    read_manifest,
    synthetic_recordings,
)
from earwitness.scenes.synthesis import fingerprint

TRIM_DB = 50.0  # silence this far below a recording's loudest frame is cut from its ends
FAINTEST_DB = -60.0  # a recording whose loudest frame has less mel power is silence
FULL_SCALE = 32_767
FORMAT = "int16, trimmed"  # part of the cache's name; a change of what is stored needs another
COLOUR_RANGE = 12.0  # dB


class Decoded(NamedTuple):
    """A recording as the bank holds it."""

    samples: np.ndarray  # int16
    level: float  # dB re full scale, of the louder half of its frames of 10 ms
    colour: np.ndarray  # [64], dB


class Bank:
    """Recordings and their samples.

    audio: int16 [samples of all] at 16 kHz, full scale 32,767. start, samples: [recordings] int64, where
    each begins and how long it is; all are whole frames of 10 ms. length: [recordings] int64, in frames.
    level: [recordings] float32, dB re full scale of the mean power of the louder half of the frames.
    colour: float32 [recordings, 64], the mean spectrum of each, in dB of mel bins, smoothed, relative to its
    own mean.
    """

    def __init__(self, recordings: list[Recording], audio: Tensor, table: dict[str, Tensor]) -> None:
        self.recordings, self.audio = recordings, audio
        self.samples, self.level = table["samples"], table["level"]
        self.start, self.length = self.samples.cumsum(0) - self.samples, self.samples // HOP
        self.colour = table["colour"].numpy()

    @classmethod
    def open(
        cls,
        folder: str | Path,
        cache: str | Path | None = None,
        workers: int = 2,
        synthesis: int = 0,
        unlabelled: str | Path | None = None,
    ) -> Bank:
        """Decode every recording, or map the samples from `cache` if they were decoded before.

        synthesis: how many synthetic recordings are added of each label that has a generator. unlabelled: a
        folder of recordings without labels, which come after the others.
        """
        folder = Path(folder)
        sources = [(folder, r) for r in read_manifest(folder)]
        if unlabelled is not None:
            other = Path(unlabelled)
            sources += [(other, r) for r in read_manifest(other, labelled=False)]
        cache = Path(cache or folder)
        real = cls._read(sources, FORMAT, cache, workers)
        labels = {r.label for r in real.recordings}
        made = [(folder, r) for r in synthetic_recordings(labels, synthesis)]
        return real + cls._read(made, FORMAT + fingerprint(), cache, workers) if made else real

    @classmethod
    def _read(cls, sources: list[tuple[Path, Recording]], version: str, cache: Path, workers: int) -> Bank:
        names = "\n".join([*(r.path for _, r in sources), version])
        file = cache / f"bank-{hashlib.sha256(names.encode()).hexdigest()[:16]}.safetensors"
        samples = file.with_suffix(".s16")
        if not file.is_file():
            cache.mkdir(parents=True, exist_ok=True)
            table = cls._decode(sources, samples, workers)
            save_file(table, file)
        table = load_file(file)
        kept = [r for (_, r), ok in zip(sources, table["kept"].tolist()) if ok]
        # copy-on-write, as torch has no read-only memory; nothing writes to it
        return cls(kept, torch.from_numpy(np.memmap(samples, np.int16, "c")), table)

    @staticmethod
    def _decode(sources: list[tuple[Path, Recording]], out: Path, workers: int) -> dict[str, Tensor]:
        """Write the samples of all recordings to `out`, and return their table."""
        kept, rows = [], []
        part = out.with_name(out.name + ".part")
        with ProcessPoolExecutor(workers) as pool, part.open("wb") as file:
            decoded = pool.map(decode, *zip(*sources), chunksize=32)
            settings: Any = {"total": len(sources), "unit": " recordings", "delay": 2}
            for sound in tqdm(decoded, "Decoding the bank", **settings):
                kept.append(sound is not None)
                if sound is not None:
                    file.write(sound.samples.tobytes())
                    rows.append((len(sound.samples), sound.level, sound.colour))
        part.replace(out)
        if not rows:
            raise ValueError(f"none of the {len(sources)} recordings in {sources[0][0]} can be decoded")
        samples, level, colour = zip(*rows)
        return {
            "samples": torch.tensor(samples),
            "level": torch.tensor(level, dtype=torch.float32),
            "colour": torch.from_numpy(np.stack(colour)),
            "kept": torch.tensor(kept),
        }

    def __add__(self, other: Bank) -> Bank:
        """Join the recordings of two banks, this one's first; their samples are copied."""
        table = {
            "samples": torch.cat([self.samples, other.samples]),
            "level": torch.cat([self.level, other.level]),
            "colour": torch.from_numpy(np.concatenate([self.colour, other.colour])),
        }
        return Bank(self.recordings + other.recordings, torch.cat([self.audio, other.audio]), table)

    def subset(self, groups: frozenset[str], inside: bool) -> dict[str, list[int]]:
        """label -> indices of its recordings whose group is (not) in `groups`; unlabelled ones in none."""
        out: dict[str, list[int]] = defaultdict(list)
        for i, r in enumerate(self.recordings):
            if r.label and (r.group in groups) == inside:
                out[r.label].append(i)
        return dict(out)

    def held_out(self, share: float = 0.1) -> np.ndarray:
        """bool [recordings]: kept for validation, labelled ones by group, unlabelled ones by source."""
        groups = held_out_groups(self.recordings, share)
        sources = held_out_sources(self.recordings, self.samples.tolist(), share)
        return np.array([(r.group in groups) if r.label else (r.source in sources) for r in self.recordings])


def decode(folder: Path, recording: Recording) -> Decoded | None:
    """Decode a recording and trim silence at its ends; None if it cannot be read or is silent."""
    torch.set_num_threads(1)
    try:
        waveform = torch.from_numpy(recording.waveform(folder))
    except MediaError:
        return None
    waveform = waveform[: len(waveform) // HOP * HOP]
    if not len(waveform):
        return None
    power = power_mel(waveform[None])[0, :, : len(waveform) // HOP]
    loudness = 10 * power.sum(0).clamp(min=1e-10).log10()
    audible = (loudness > loudness.max() - TRIM_DB).nonzero().flatten()
    if loudness.max() < FAINTEST_DB or not len(audible):
        return None
    first, last = int(audible[0]), int(audible[-1]) + 1
    waveform = waveform[first * HOP : last * HOP].clamp(-1, 1)
    by_frame = waveform.view(-1, HOP).square().mean(1).sort().values
    level = 10 * by_frame[len(by_frame) // 2 :].mean().clamp(min=1e-12).log10()
    colour = smooth_colour(power_to_db(power[:, first:last], top_db=None).mean(1).numpy())
    return Decoded((waveform * FULL_SCALE).round().short().numpy(), float(level), colour)


def smooth_colour(mean_db: Sequence[float] | np.ndarray) -> np.ndarray:
    """Smooth dB of mel bins [64], relative to their mean, and clip to 12 dB."""
    smooth = np.convolve(np.pad(mean_db, 4, mode="edge"), np.ones(9) / 9, mode="valid")
    return (smooth - smooth.mean()).clip(-COLOUR_RANGE, COLOUR_RANGE).astype(np.float32)
