"""Mutated media: every file is heard or refused with a MediaError, in bounded time and without a crash.

The files are read in a second process, so that a crash or a hang of a decoder fails one test with the
file's recipe instead of ending the run.
"""

from __future__ import annotations

import io
import random
import struct
import sys
import zipfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest

sys.path.append(str(Path(__file__).parents[1]))  # test modules are imported on their own
from media_samples import encode, mux, tones

KINDS = ["wav", "wavfloat", "flac", "ogg", "opus", "mp3", "m4a", "mp4", "webm"]
SECONDS = 3.0  # of sound in each seed: no mutation may make more than MOST of it
MOST = 200.0
TIME_LIMIT = 60.0  # s for one file; alone on a core it takes some 10 ms


@cache
def seed(kind: str) -> bytes:
    rate = 48_000 if kind in {"opus", "webm", "m4a", "mp4"} else 44_100
    if kind == "mp4":
        return mux("mp4", tones(SECONDS, rate, 2), rate, levels=[40] * 30)
    return encode(tones(SECONDS, rate, 2), rate, kind)


def flip_bits(data: bytearray, rng: random.Random) -> None:
    for _ in range(rng.choice([1, 10, 100, 1000])):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def flip_header(data: bytearray, rng: random.Random) -> None:
    for _ in range(rng.choice([1, 3, 10])):
        data[rng.randrange(min(len(data), 120))] ^= 1 << rng.randrange(8)


def truncate(data: bytearray, rng: random.Random) -> None:
    del data[
        rng.choice([rng.randrange(1, 60), rng.randrange(1, len(data)), len(data) - rng.randrange(1, 60)]) :
    ]


def overwrite(data: bytearray, rng: random.Random) -> None:
    at, length = rng.randrange(len(data)), rng.choice([8, 500, 5000])
    data[at : at + length] = rng.choice([rng.randbytes(length), bytes(length), b"\xff" * length])


def drop(data: bytearray, rng: random.Random) -> None:
    at = rng.randrange(len(data))
    del data[at : at + rng.choice([1, 7, 1000])]


def repeat(data: bytearray, rng: random.Random) -> None:
    at = rng.randrange(len(data))
    data[at:at] = data[at : at + 2000] * rng.choice([1, 5])


def extreme_field(data: bytearray, rng: random.Random) -> None:
    """A header field of two, four or eight bytes becomes zero or huge."""
    width = rng.choice([2, 4, 8])
    at = rng.randrange(min(len(data), 400))
    data[at : at + width] = rng.choice([bytes(width), b"\xff" * width, b"\x7f" + b"\xff" * (width - 1)])


def swap_header(data: bytearray, rng: random.Random) -> None:
    """The beginning of another format."""
    head = seed(rng.choice(KINDS))[: rng.choice([12, 64, 300])]
    data[: len(head)] = head


MUTATIONS = [flip_bits, flip_header, truncate, overwrite, drop, repeat, extreme_field, swap_header]


def mutated(number: int) -> tuple[str, bytes]:
    """File `number`: a recipe and its bytes. Every kind meets every mutation within 72 files."""
    rng = random.Random(number)
    kind, mutation = KINDS[number % len(KINDS)], MUTATIONS[number // len(KINDS) % len(MUTATIONS)]
    data = bytearray(seed(kind))
    mutation(data, rng)
    return f"{number}: {mutation.__name__} of {kind}", bytes(data)


def wav_header(
    channels: int, rate: int, bits: int = 16, kind: int = 1, payload: bytes = bytes(64_000)
) -> bytes:
    block = max(channels * bits // 8, 0) & 0xFFFF
    fmt = struct.pack("<HHIIHH", kind, channels, rate, rate * block & 0xFFFFFFFF, block, bits)
    body = b"WAVEfmt " + struct.pack("<I", 16) + fmt + b"data" + struct.pack("<I", len(payload)) + payload
    return b"RIFF" + struct.pack("<I", len(body)) + body


def made() -> Iterator[tuple[str, bytes]]:
    """Files that are wrong on purpose."""
    for channels in (0, 1, 2, 63, 64, 255, 65_535):
        yield f"wav of {channels} channels", wav_header(channels, 16_000)
    for rate in (0, 1, 999, 1_000, 768_000, 768_001, 2**31 - 1, 2**32 - 1):
        yield f"wav at {rate} Hz", wav_header(1, rate)
    for bits in (0, 1, 7, 12, 64, 65_535):
        yield f"wav of {bits} bits", wav_header(1, 16_000, bits)
    for payload in (b"\xff\xff\xff\x7f", b"\x00\x00\x80\x7f", b"\xff\xff\x7f\x7f", b"\x01\x00\x00\x00"):
        yield f"float wav of {payload.hex()}", wav_header(1, 16_000, 32, 3, payload * 16_000)
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("a.wav", seed("wav"))
    yield "zip", archive.getvalue()
    yield "text", b"Dogs bark, rain falls.\n" * 200
    yield "playlist", b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n/etc/passwd\n#EXT-X-ENDLIST\n"
    yield "concat", b"ffconcat version 1.0\nfile /etc/passwd\n"
    yield "bmp", b"BM" + bytes(5000)
    yield "id3 of 256 MB", b"ID3\x04\x00\x00\x7f\x7f\x7f\x7f" + bytes(5000)
    rng = random.Random(0)
    for size in (1, 2, 12, 1_000, 100_000):
        yield f"{size} zeros", bytes(size)
        yield f"{size} random bytes", rng.randbytes(size)
    yield "endless mp3 syncs", b"\xff\xfb\x90\x00" * 20_000
    yield "nested mp4 boxes", (struct.pack(">I", 2**31 - 1) + b"moov") * 2_000


def listen(name: str, data: bytes, folder: str) -> str:
    """Either "heard" or "refused"; runs in the second process."""
    from earwitness.media.containers import MediaError
    from earwitness.media.files import probe
    from earwitness.media.reading import load_audio, windows
    from earwitness.media.video import sample_frames

    suffix = name.split()[-1]
    path = Path(folder, f"file.{suffix if suffix.isalnum() else 'wav'}")
    path.write_bytes(data)
    try:
        audio = load_audio(path, max_seconds=MOST)
    except MediaError as error:
        assert error.path == str(path) and error.reason
        outcome = "refused"
    else:
        assert audio.waveform.dtype == np.float32 and np.isfinite(audio.waveform).all()
        assert np.abs(audio.waveform).max() <= 4.0 and 0.0 <= audio.covered <= 1.0
        assert 0.01 <= audio.duration <= MOST
        with path.open("rb") as file:
            assert np.array_equal(load_audio(file, max_seconds=MOST).waveform, audio.waveform)
        outcome = "heard"
    others = (
        lambda: probe(path),
        lambda: list(windows(data, 1.0, 0.7, max_seconds=MOST)),
        lambda: sample_frames(path, size=32),
        lambda: sample_frames(data, start=1.0, size=None),
    )
    for call in others:
        try:
            call()
        except MediaError:
            continue
    return outcome


def warm_up() -> None:
    import earwitness.media  # noqa: F401


@pytest.fixture(scope="module")
def listener() -> Iterator[ProcessPoolExecutor]:
    pool = ProcessPoolExecutor(1, mp_context=get_context("spawn"))
    pool.submit(warm_up).result()  # outside of any time limit
    processes = list(pool._processes.values())
    yield pool
    for process in processes:  # one that hangs would be waited for
        process.kill()
    pool.shutdown(wait=False, cancel_futures=True)


def outcomes(pool: ProcessPoolExecutor, files: Iterator[tuple[str, bytes]], folder: Path) -> dict[str, str]:
    found = {}
    for name, data in files:
        try:
            found[name] = pool.submit(listen, name, data, str(folder)).result(timeout=TIME_LIMIT)
        except Exception as error:
            raise AssertionError(f"{name} ({len(data)} bytes): {type(error).__name__}: {error}") from error
    return found


def test_files_wrong_on_purpose(listener, tmp_path):
    found = outcomes(listener, made(), tmp_path)
    heard = {name for name, outcome in found.items() if outcome == "heard"}
    assert {"wav of 1 channels", "wav of 2 channels", "wav of 63 channels", "wav at 1000 Hz"} <= heard
    assert {"wav at 768000 Hz", "float wav of 01000000"} <= heard
    for name in (
        "wav of 0 channels",
        "wav of 64 channels",
        "wav at 0 Hz",
        "wav at 999 Hz",
        "wav at 768001 Hz",
    ):
        assert found[name] == "refused"
    for name in ("zip", "text", "playlist", "concat", "1000 zeros", "100000 random bytes", "bmp"):
        assert found[name] == "refused"
    assert found["float wav of ffffff7f"] == "refused"  # nothing but NaN


def test_mutated_files(listener, tmp_path):
    found = outcomes(listener, map(mutated, range(72)), tmp_path)
    heard = list(found.values()).count("heard")
    assert 30 < heard < 72  # most damage leaves something to hear, some does not


@pytest.mark.exhaustive
def test_many_mutated_files(listener, tmp_path):
    outcomes(listener, map(mutated, range(1_000, 1_500)), tmp_path)


@pytest.mark.parametrize(
    "numbers",
    [range(72), pytest.param(range(1_000, 1_500), marks=pytest.mark.exhaustive)],
    ids=["few", "many"],
)
def test_each_mutated_file_is_captioned_or_refused(numbers):
    from earwitness import Captioner

    refused = []
    files = [data for _, data in map(mutated, numbers)]
    captioner = Captioner.from_pretrained()
    captions = captioner(files, beams=1, on_error=lambda source, error: refused.append(error.reason))
    assert len(captions) == len(files)
    heard = [caption for caption in captions if caption is not None]
    assert len(heard) + len(refused) == len(files) and all(refused) and heard
    for caption in heard:
        assert caption.text.strip() and 0.0 <= caption.score <= 1.0
        assert 0.0 <= caption.start < caption.end <= captioner.max_seconds + 0.1
