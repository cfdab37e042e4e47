"""Timelines: where their boundaries lie, and what hours of sound and gigabytes of video take.

    python -m benchmarks timeline --bank BANK [--count 100] [--prices 1 2 4]
    python -m benchmarks timeline --only hours,video

Boundaries: recordings that no model was trained on, two a piece, one after the other with or without a pause,
over noise; a boundary's error is the time to the nearest cut. `--prices` repeats it for other values of
segmentation.PRICE. Hours and video: files of the examples, each captioned by a process of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.mini import RATE, peak_memory, sounds
from benchmarks.record import Row, report

NEAR = 0.5  # s: a cut so near to a boundary is one of it
FRAMES = 4600  # of a video, 25 a second
PICTURES = ((96, 64), (640, 480))  # pixels: uncompressed 0.04 and 2.1 GB


class Piece(NamedTuple):
    waveform: np.ndarray  # float32 [S]
    boundaries: list[float]  # s


def composed(bank: Path, count: int, seed: int) -> list[Piece]:
    """Pieces of two events from held-out recordings of different labels, 1.5 to 7 s each."""
    from earwitness.media.reading import load_audio
    from earwitness.scenes.recordings import held_out_groups, read_manifest

    recordings = read_manifest(bank)
    held_out = held_out_groups(recordings)
    pool = [recording for recording in recordings if recording.group in held_out]
    rng, pieces = np.random.default_rng(seed), []
    while len(pieces) < count:
        a, b = (pool[i] for i in rng.choice(len(pool), 2, replace=False))
        events = [load_audio(bank / r.path, RATE, end=30.0).waveform for r in (a, b)]
        events = [_excerpt(event, rng) for event in events]
        if a.label != b.label and min(map(len, events)) >= 1.5 * RATE:
            pieces.append(_composed(events, rng))
    return pieces


def _excerpt(event: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """At most 7 s of it, without silence at its ends, at one loudness."""
    loud = np.flatnonzero(np.abs(event) > 0.03 * np.abs(event).max())
    event = event[loud[0] : loud[-1] + 1] if len(loud) else event[:0]
    event = event[: round(rng.uniform(1.5, 7.0) * RATE)]
    return 0.05 * event / max(float(np.sqrt(np.square(event).mean())) if len(event) else 0.0, 1e-4)


def _composed(events: list[np.ndarray], rng: np.random.Generator) -> Piece:
    pause = rng.choice([0.0, rng.uniform(0.8, 4.0)])
    first, last = rng.uniform(0.8, 4.0, 2)
    lengths = [first, len(events[0]) / RATE, pause, len(events[1]) / RATE, last]
    times = np.cumsum(lengths)
    noise = np.cumsum(rng.normal(size=round(times[-1] * RATE) + 1))
    noise = np.diff(noise - 0.95 * np.roll(noise, 1), prepend=0.0)[1:]
    waveform = noise / noise.std() * 0.05 * 10 ** (rng.uniform(-50, -25) / 20)
    for event, at in zip(events, (times[0], times[2])):
        begin = round(at * RATE)
        waveform[begin : begin + len(event)] += event[: len(waveform) - begin]
    boundaries = times[:4] if pause else times[[0, 1, 3]]
    return Piece(waveform.clip(-1, 1).astype(np.float32), [float(time) for time in boundaries])


def boundary_rows(model: str | None, pieces: list[Piece], prices: list[float]) -> list[Row]:
    from earwitness import Captioner, segmentation
    from earwitness.clips import Clip
    from earwitness.media import reading as media

    captioner = Captioner.from_pretrained(model)
    track, heard = segmentation.tag_track_of(captioner.model), []
    for piece in pieces:
        drawn = media.windows(piece.waveform, 10.0, (1 - segmentation.OVERLAP) * 10.0, RATE)
        windows = [Clip(w.waveform, w.start, w.end, "") for w in drawn]
        heard.append((windows, dict(zip((w.start for w in windows), track(windows)))))
    rows, chosen = [], segmentation.PRICE
    for price in prices or [chosen]:
        segmentation.PRICE, cuts = price, []
        for windows, tracks in heard:
            again = lambda batch, known=tracks: [known[clip.start] for clip in batch]  # noqa: E731
            clips = list(segmentation.event_clips(windows, again, 10.0, RATE, batch_size=16))
            cuts.append(np.array([clip.start for clip in clips[1:]] or [np.inf]))
        rows += _errors(price, pieces, cuts)
    segmentation.PRICE = chosen
    return rows


def _errors(price: float, pieces: list[Piece], cuts: list[np.ndarray]) -> list[Row]:
    errors = np.array([np.abs(cut - t).min() for p, cut in zip(pieces, cuts) for t in p.boundaries])
    near = [np.abs(np.array(p.boundaries) - t).min() <= NEAR for p, cut in zip(pieces, cuts) for t in cut]
    recall, precision = float((errors <= NEAR).mean()), float(np.mean(near))
    return [
        Row(f"price {price:g}: boundary error, median", "s", float(np.median(errors)), limit=0.5),
        Row(f"  boundaries with a cut within {NEAR:g} s", "share", recall, rate=True),
        Row(f"  cuts within {NEAR:g} s of a boundary", "share", precision, rate=True),
        Row("  F1", "", 2 * recall * precision / max(recall + precision, 1e-9), rate=True),
        Row("  cuts for each boundary", "", len(near) / len(errors)),
    ]


def write_hours(path: Path, hours: int) -> None:
    import soundfile

    minute = np.resize(np.concatenate(sounds()), 60 * RATE)
    with soundfile.SoundFile(path, "w", RATE, 1) as out:
        for _ in range(60 * hours):
            out.write(minute)


def write_video(path: Path, width: int, height: int) -> None:
    """FRAMES uncompressed pictures, and 16-bit sound."""
    import av

    sound = (np.concatenate(sounds()).clip(-1, 1) * 32767).astype(np.int16)
    rng = np.random.default_rng(0)
    with av.open(str(path), "w") as out:
        pictures = out.add_stream("rawvideo", rate=25, width=width, height=height, pix_fmt="yuv420p")
        audio = out.add_stream("pcm_s16le", rate=RATE, layout="mono")
        grain = rng.integers(0, 256, (height * 3 // 2, width), np.uint8)
        for number in range(FRAMES):
            picture = av.VideoFrame.from_ndarray(np.roll(grain, number, 1), "yuv420p")
            picture.pts = number
            out.mux(pictures.encode(picture))
            first = number * RATE // 25
            part = np.take(sound, range(first, first + RATE // 25), mode="wrap")
            frame = av.AudioFrame.from_ndarray(part[None], "s16", "mono")
            frame.sample_rate, frame.pts = RATE, first
            out.mux(audio.encode(frame))


def captioned(file: str, model: str | None, threads: int) -> dict[str, float]:
    """Of a file's timeline: seconds by the clock and of the processor, peak memory in MB, end in s."""
    import torch

    from earwitness import Captioner
    from earwitness.devices import keep_freed_memory

    keep_freed_memory()  # as the commands do
    torch.set_num_threads(threads)
    captioner = Captioner.from_pretrained(model)
    begin, used, end = time.perf_counter(), time.process_time(), 0.0
    for caption in captioner.timeline(file):
        end = caption.end
    seconds, used = time.perf_counter() - begin, time.process_time() - used
    return {"seconds": seconds, "processor": used, "memory": peak_memory(), "end": end}


def in_a_process(file: Path, options: argparse.Namespace) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.timeline", "--file", str(file)]
    command += ["--threads", str(options.threads), *(["--model", options.model] if options.model else [])]
    environment = os.environ | {"OMP_NUM_THREADS": str(options.threads)}
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment)
    return json.loads(done.stdout.splitlines()[-1])


def hour_rows(options: argparse.Namespace, folder: Path) -> list[Row]:
    rows, least = [], None
    for hours in options.hours:
        write_hours(folder / f"{hours}.flac", hours)
        found = in_a_process(folder / f"{hours}.flac", options)
        limit = None if least is None else 1.05 * least
        least = least or found["memory"]
        rows += [
            Row(f"{hours} h of FLAC", "s", found["seconds"], limit=30.0 * hours),
            Row("  processor time", "s", found["processor"]),
            Row("  peak memory", "MB", found["memory"], limit=limit),
            Row("  captioned", "s", found["end"]),
        ]
    return rows


def video_rows(options: argparse.Namespace, folder: Path) -> list[Row]:
    rows = []
    for width, height in PICTURES:
        file = folder / f"{width}.mkv"
        write_video(file, width, height)
        found = in_a_process(file, options)
        name = f"video of {file.stat().st_size / 1e9:.2f} GB, {found['end']:.0f} s"
        rows += [Row(name, "s", found["seconds"]), Row("  peak memory", "MB", found["memory"])]
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", help="checkpoint folder or hub name; none: the embedded default")
    parser.add_argument("--bank", type=Path, help="labelled recordings with a manifest.csv")
    parser.add_argument("--count", type=int, default=100, help="pieces to compose")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--prices", type=float, nargs="+", default=[])
    parser.add_argument("--hours", type=int, nargs="+", default=[1, 10])
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--only", default="boundaries,hours,video", help="parts, with commas")
    parser.add_argument("--file", help=argparse.SUPPRESS)  # captioned in this process
    options = parser.parse_args()
    if options.file:
        print(json.dumps(captioned(options.file, options.model, options.threads)))
        return
    rows, parts = [], options.only.split(",")
    if "boundaries" in parts and options.bank:
        pieces = composed(options.bank, options.count, options.seed)
        rows += boundary_rows(options.model, pieces, options.prices)
    with tempfile.TemporaryDirectory() as folder:
        for part, measure in {"hours": hour_rows, "video": video_rows}.items():
            rows += measure(options, Path(folder)) if part in parts else []
    report("timeline", rows, model=options.model or "mini", threads=options.threads)


if __name__ == "__main__":
    main()
