"""ONNX Runtime against torch: equal captions, scores and tags, and the time of both, in one process.

    python -m benchmarks runtime [--clips 1000] [--sounds FOLDER]

Clips of 1 to 12 s are mixtures of two of the sounds (the examples, or those of FOLDER) at random places and
levels, half of them with noise.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.mini import EXAMPLES, RATE
from benchmarks.record import append
from earwitness.loading import load_model
from earwitness.media.files import find_media
from earwitness.media.reading import load_audio
from earwitness.runtime.protocol import CaptioningModel, Decoded

BATCH = 24
EQUAL, SCORE, TAGS = 0.995, 1e-3, 1e-4  # share of captions; largest differences


def mixtures(folder: Path, count: int) -> list[NDArray[np.float32]]:
    sounds = [load_audio(str(file), RATE).waveform for file in find_media(folder)]
    rng, made = np.random.default_rng(0), []
    for number in range(count):
        size = int(rng.uniform(1.0, 12.0) * RATE)
        mixed = np.zeros(size, np.float32)
        for i in rng.choice(len(sounds), 2, replace=False):
            cut = np.resize(np.roll(sounds[i], -int(rng.integers(len(sounds[i])))), size)
            mixed += cut * np.float32(10 ** rng.uniform(-1.5, 0.0))
        if number % 2:
            mixed += rng.normal(size=size).astype(np.float32) * np.float32(10 ** rng.uniform(-4.0, -1.5))
        made.append(mixed)
    return sorted(made, key=len)  # as a captioner sorts a group


def captioned(model: CaptioningModel, clips: list[NDArray[np.float32]]) -> tuple[Decoded, float]:
    """All captions in batches, and clips a second."""
    model.caption(clips[:BATCH])
    begin = time.perf_counter()
    parts = [model.caption(clips[i : i + BATCH]) for i in range(0, len(clips), BATCH)]
    rate = len(clips) / (time.perf_counter() - begin)
    tags = [part.tags for part in parts if part.tags is not None]
    texts = [text for part in parts for text in part.texts]
    return Decoded(texts, np.concatenate([p.scores for p in parts]), np.concatenate(tags)), rate


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=1000)
    parser.add_argument("--sounds", type=Path, default=EXAMPLES)
    parser.add_argument("--model", help="exported checkpoint; none: the built-in model")
    options = parser.parse_args()
    clips = mixtures(options.sounds, options.clips)
    found = {
        name: captioned(load_model(options.model, "cpu", runtime=name), clips) for name in ("torch", "onnx")
    }
    (wanted, torch_rate), (onnx, onnx_rate) = found["torch"], found["onnx"]
    assert wanted.tags is not None and onnx.tags is not None
    same = [a == b for a, b in zip(onnx.texts, wanted.texts)]
    figures = {
        "clips": len(clips),
        "different_captions": len(set(wanted.texts)),
        "equal_captions": sum(same) / len(same),
        "largest_score_difference": float(np.abs(np.exp(onnx.scores) - np.exp(wanted.scores))[same].max()),
        "largest_tag_difference": float(np.abs(onnx.tags - wanted.tags).max()),
        "torch_clips_per_second": torch_rate,
        "onnx_clips_per_second": onnx_rate,
    }
    for name, value in figures.items():
        print(f"{name:26}{value:12.6g}")
    met = [
        figures["equal_captions"] >= EQUAL,
        figures["largest_score_difference"] <= SCORE,
        figures["largest_tag_difference"] <= TAGS,
        onnx_rate >= torch_rate,
    ]
    print("wanted:", ", ".join(f"{'met' if each else 'MISSED'}" for each in met))
    append("runtime", figures)


if __name__ == "__main__":
    main()
