"""Clips of ten seconds from disk to log-mel batches through a DataLoader: files of a manifest, and shards.

    python -m benchmarks loader [--clips 256] [--workers 1 2] [--kinds flac opus]

What training does before the model: load_audio, log_mel, padding, batches of 32. A clip at a time stays in a
core's cache: its spectrogram takes half the time that it takes in a batch. Sounds are the examples at
16 kHz, each clip another stretch and level. Beside clips a second, which the rest of the machine slows, stand
clips a second of the workers' own processor time: what one core gives. The plain form reads a file whole with
soundfile and takes its log-mel spectrogram as torchaudio does.
"""

from __future__ import annotations

import argparse
import resource
import shutil
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader, Dataset

from benchmarks.front_end import plain_decode, plain_log_mel
from benchmarks.mini import RATE, SECONDS, sounds
from benchmarks.record import Row, report
from earwitness.data import manifest as manifests
from earwitness.data.shard_writing import ENCODERS, Sharding, write_shards
from earwitness.data.shards import Sample, ShardStream
from earwitness.features import log_mel
from earwitness.media.reading import load_audio

BATCH = 32
DISTINCT = 32  # clips; the others are copies of their files
WANTED = {"flac": ">= 150 with 2", "opus": ">= 120 with 2"}


class Clips(Dataset[str]):
    """The paths of a manifest's clips."""

    def __init__(self, rows: manifests.Manifest):
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, i: int) -> str:
        return self.rows[i].audio


def collate(clips: list[str] | list[Sample]) -> Tensor:
    """Paths or samples of shards -> log-mel [B, F, 64]."""
    sources = (clip.sound if isinstance(clip, Sample) else clip for clip in clips)
    waveforms = (torch.from_numpy(load_audio(source, RATE).waveform) for source in sources)
    return pad_sequence([log_mel(waveform[None])[0].T for waveform in waveforms], batch_first=True)


def collate_plainly(paths: list[str]) -> Tensor:
    spectra = [plain_log_mel(torch.from_numpy(plain_decode(Path(path)))) for path in paths]
    return pad_sequence([spectrum.T for spectrum in spectra], batch_first=True)


def write_clips(folder: Path, kind: str, count: int) -> manifests.Manifest:
    rng = np.random.default_rng(0)
    material = np.concatenate(sounds())
    size = round(SECONDS * RATE)
    rows = []
    for i in range(count):
        path = folder / f"{i}.{kind}"
        if i < DISTINCT:
            begin = rng.integers(len(material) - size)
            sound = material[begin : begin + size] * rng.uniform(0.3, 1.0)
            path.write_bytes(ENCODERS[kind](sound.astype(np.float32)))
        else:
            shutil.copy(folder / f"{i % DISTINCT}.{kind}", path)
        rows.append(manifests.Row(f"{i}", str(path), ("a sound",)))
    manifests.write_manifest(folder / "manifest.jsonl", rows)
    return manifests.Manifest.open(folder / "manifest.jsonl")


def measure(data: Any, collate: Any, workers: int, count: int) -> tuple[float, float]:
    """(clips a second, clips a second of the workers' processor time), their start included."""
    begin, before = time.perf_counter(), _children()
    batches: Iterable[Tensor] = DataLoader(data, BATCH, num_workers=workers, collate_fn=collate)
    seen = sum(len(batch) for batch in batches)
    if seen != count:
        raise RuntimeError(f"{seen} of {count} clips came")
    return count / (time.perf_counter() - begin), count / (_children() - before)


def _children() -> float:
    """Seconds that finished processes have worked."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def measure_kind(folder: Path, kind: str, count: int, workers: list[int]) -> list[Row]:
    clips = write_clips(folder, kind, count)
    write_shards(clips, folder / "shards", Sharding(rows=-(-count // max(workers))))
    rows = []
    for number in workers:
        plain, plain_core = measure(Clips(clips), collate_plainly, number, count)
        wanted = WANTED[kind] if number == 2 else ""
        stream = ShardStream(str(folder / "shards"), epochs=1)
        for name, data in (("files", Clips(clips)), ("shards", stream)):
            rate, core = measure(data, collate, number, count)
            what = f"{kind}, {name}, {number} worker{'s' * (number > 1)}"
            rows.append(Row(what, "clips/s", rate, plain, wanted=wanted, rate=True))
            rows.append(Row("  a core's own time", "clips/s", core, plain_core, rate=True))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clips", type=int, default=256)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--kinds", nargs="+", choices=list(ENCODERS), default=list(ENCODERS))
    options = parser.parse_args()
    rows = []
    for kind in options.kinds:
        with tempfile.TemporaryDirectory() as folder:
            rows += measure_kind(Path(folder), kind, options.clips, options.workers)
    report("loader", rows, clips=options.clips, workers=options.workers)


if __name__ == "__main__":
    main()
