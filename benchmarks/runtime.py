"""ONNX Runtime against torch: equal captions, scores and tags, and the time of both, in one process.

    python -m benchmarks runtime [--clips 1000] [--sounds FOLDER | --bank BANK] [--model MODEL]

Clips of 1 to 12 s are mixtures of two sounds (the examples, those of FOLDER, or the labelled recordings of
BANK) at random places and levels, half of them with noise. The runtimes caption each batch one after the
other; their times are those of the processor.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.mini import EXAMPLES, RATE
from benchmarks.record import append
from earwitness.loading import load_model
from earwitness.media.files import find_media
from earwitness.media.reading import load_audio
from earwitness.prefetch import batches
from earwitness.runtime.protocol import CaptioningModel, Decoded
from earwitness.scenes.recordings import read_manifest

BATCH = 24
AT_ONCE = 5  # batches whose clips are sorted by length together, as a captioner sorts them
EQUAL, SCORE, TAGS = 0.995, 1e-3, 1e-4  # share of captions; largest differences

Waveform = NDArray[np.float32]


def sources(options: argparse.Namespace) -> list[Callable[[], Waveform]]:
    """Each gives one sound, at most half a minute of it."""
    if options.bank is None:
        files = find_media(options.sounds)
    else:
        files = [options.bank / one.path for one in read_manifest(options.bank) if not one.synthetic]
    return [lambda file=file: load_audio(file, RATE, end=30.0).waveform for file in files]


def mixtures(sounds: list[Callable[[], Waveform]], count: int) -> Iterator[Waveform]:
    rng = np.random.default_rng(0)
    for number in range(count):
        size = int(rng.uniform(1.0, 12.0) * RATE)
        mixed = np.zeros(size, np.float32)
        for i in rng.choice(len(sounds), 2, replace=False):
            sound = sounds[i]()
            cut = np.resize(np.roll(sound, -int(rng.integers(len(sound)))), size)
            mixed += cut * np.float32(10 ** rng.uniform(-1.5, 0.0))
        if number % 2:
            mixed += rng.normal(size=size).astype(np.float32) * np.float32(10 ** rng.uniform(-4.0, -1.5))
        yield mixed


def captioned(
    models: dict[str, CaptioningModel], clips: Iterator[Waveform]
) -> tuple[dict[str, Decoded], dict[str, float]]:
    """Captions of all clips by each model, and clips for a second of the processor."""
    parts: dict[str, list[Decoded]] = {name: [] for name in models}
    seconds = dict.fromkeys(models, 0.0)
    for number, group in enumerate(batches(clips, AT_ONCE * BATCH)):
        for batch in batches(sorted(group, key=len), BATCH):
            for name, model in models.items():
                if not parts[name]:
                    model.caption(batch)  # warms up
                begin = time.process_time()
                parts[name].append(model.caption(batch))
                seconds[name] += time.process_time() - begin
        print(f"{AT_ONCE * BATCH * number + len(group)} clips", end="\r", flush=True)
    found = {name: joined(each) for name, each in parts.items()}
    return found, {name: len(found[name].texts) / each for name, each in seconds.items()}


def joined(parts: list[Decoded]) -> Decoded:
    tags = [part.tags for part in parts if part.tags is not None]
    texts = [text for part in parts for text in part.texts]
    return Decoded(texts, np.concatenate([p.scores for p in parts]), np.concatenate(tags))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=1000)
    parser.add_argument("--sounds", type=Path, default=EXAMPLES)
    parser.add_argument("--bank", type=Path, help="folder with manifest.csv and recordings")
    parser.add_argument("--model", help="exported checkpoint; none: the built-in model")
    options = parser.parse_args()
    models = {name: load_model(options.model, "cpu", runtime=name) for name in ("torch", "onnx")}
    found, rates = captioned(models, mixtures(sources(options), options.clips))
    wanted, onnx = found["torch"], found["onnx"]
    assert wanted.tags is not None and onnx.tags is not None
    same = [a == b for a, b in zip(onnx.texts, wanted.texts)]
    figures = {
        "clips": len(same),
        "different_captions": len(set(wanted.texts)),
        "equal_captions": sum(same) / len(same),
        "largest_score_difference": float(np.abs(np.exp(onnx.scores) - np.exp(wanted.scores))[same].max()),
        "largest_tag_difference": float(np.abs(onnx.tags - wanted.tags).max()),
        "torch_clips_per_second": rates["torch"],
        "onnx_clips_per_second": rates["onnx"],
    }
    for name, value in figures.items():
        print(f"{name:26}{value:12.6g}")
    met = [
        figures["equal_captions"] >= EQUAL,
        figures["largest_score_difference"] <= SCORE,
        figures["largest_tag_difference"] <= TAGS,
        rates["onnx"] >= rates["torch"],
    ]
    print("wanted:", ", ".join(f"{'met' if each else 'MISSED'}" for each in met))
    append("runtime", {"bank": options.bank is not None} | figures)


if __name__ == "__main__":
    main()
