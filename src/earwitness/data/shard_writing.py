"""Writer of shards: the clips of a manifest as WebDataset tars, for earwitness.data.shards.

Shard k has the same rows in the same bytes whenever it is written, and gets its name when complete: an
interrupted run resumes with the missing shards.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from earwitness.atomic_write import atomic_write
from earwitness.data.manifest import Manifest, Row
from earwitness.data.shards import INDEX, MAX_MEMBER, ROW, ShardError
from earwitness.media.containers import MediaError
from earwitness.media.reading import load_audio
from earwitness.prefetch import map_ahead
from earwitness.sample_rate import SAMPLE_RATE

OPUS_BIT_RATE = 32_000  # bits/s, of mono at 16 kHz
OPUS = {  # how libopus encodes; times and errors: docs/LOG.md
    "application": "lowdelay",  # its transform codec alone, not the one for speech: a third less to decode
    "frame_duration": "60",  # ms, the longest packets there are: a fifth less to decode than of 20
}
PLAN = "plan.json"


@dataclass(frozen=True)
class Sharding:
    """rows: of a shard. encode: "flac" or "opus" at 16 kHz, each clip cut out; None keeps the files' bytes.

    seed: of the order in which rows are assigned to shards; None keeps the manifest's.
    """

    rows: int = 2000
    encode: str | None = None
    seed: int | None = 0


@dataclass(frozen=True)
class Shard:
    """A written shard. left_out: row and reason of each clip that it lacks."""

    name: str
    rows: int
    left_out: list[str]


def write_shards(manifest: Manifest, out: Path, plan: Sharding, workers: int = 1) -> list[Shard]:
    """Write the missing shards, and the index of all.

    Clips that cannot be read are skipped. Only audio is written, no video. Raises ShardError if `out` has
    shards of another manifest or plan, OSError if it is not writable.
    """
    _agree(manifest, out, plan)
    for stale in out.glob(".*.part"):  # of a run that was killed
        stale.unlink()
    count = -(-len(manifest) // plan.rows)
    write = partial(write_shard, manifest, out, plan)
    shards = []
    with tqdm(total=len(manifest), desc=f"Writing {out}", unit=" clips", delay=2) as bar:
        for shard in map_ahead(write, range(count), workers=workers, most=workers):
            shards.append(shard)
            bar.update(shard.rows + len(shard.left_out))
    index = {"rows": sum(s.rows for s in shards), "shards": {s.name: s.rows for s in shards if s.rows}}
    with atomic_write(out / INDEX) as file:
        file.write(json.dumps(index, indent=1).encode())
    return shards


def write_shard(manifest: Manifest, out: Path, plan: Sharding, number: int) -> Shard:
    """Write shard `number`, unless it exists."""
    chosen = _order(len(manifest), plan.seed)[number * plan.rows : (number + 1) * plan.rows].tolist()
    path = out / f"clips-{number:06d}.tar"
    if path.is_file():
        return _written(manifest, path, chosen)
    left_out = []
    with (
        atomic_write(path) as file,
        tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as tar,
    ):
        for i in chosen:
            try:
                row, ending, sound = _content(manifest[i], plan.encode)
            except (ValueError, OSError) as error:
                left_out.append(f"row {i + 1}: {error}")
                continue
            text = json.dumps(row.to_json(), ensure_ascii=False).encode("utf-8", "backslashreplace")
            for name, data in ((ending, sound), (ROW, text)):
                member = tarfile.TarInfo(f"{i:09d}.{name}")
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
    return Shard(path.name, len(chosen) - len(left_out), left_out)


def _written(manifest: Manifest, path: Path, chosen: Sequence[int]) -> Shard:
    """Read the record of a shard that an earlier run wrote."""
    try:
        with tarfile.open(path, "r:") as tar:
            there = {name.partition(".")[0] for name in tar.getnames()}
    except tarfile.TarError as error:
        raise ShardError(f"{path} is damaged ({error}): remove it, it is then written again") from None
    lacking = [f"row {i + 1}: left out by an earlier run" for i in chosen if f"{i:09d}" not in there]
    return Shard(path.name, len(chosen) - len(lacking), lacking)


def _content(row: Row, encode: str | None) -> tuple[Row, str, bytes]:
    """Return the stored row, the ending of its audio, and the audio's bytes. Raises MediaError, OSError."""
    if encode is None:
        file = Path(row.audio)
        if (size := file.stat().st_size) > MAX_MEMBER:
            raise MediaError(
                row.audio, f"has {size / 1e6:.0f} MB, {MAX_MEMBER / 1e6:.0f} are the most; use --encode"
            )
        ending = file.suffix.lower().lstrip(".") or "sound"
        return replace(row, audio=file.name, video=None), ending, file.read_bytes()
    audio = load_audio(row.audio, SAMPLE_RATE, start=row.start, end=row.end)
    name = f"{Path(row.audio).stem}.{encode}"
    own = replace(row, audio=name, video=None, start=0.0, end=None)
    return own, encode, ENCODERS[encode](audio.waveform.clip(-1, 1))


def encode_flac(waveform: NDArray[np.float32]) -> bytes:
    """[S] at 16 kHz -> a FLAC file of 16 bits."""
    import soundfile

    file = io.BytesIO()
    soundfile.write(file, waveform, SAMPLE_RATE, format="FLAC", subtype="PCM_16")
    return file.getvalue()


def encode_opus(waveform: NDArray[np.float32]) -> bytes:
    """[S] at 16 kHz -> an Ogg file; through FFmpeg, which takes a third of libsndfile's time."""
    import av

    file = io.BytesIO()
    with av.open(file, "w", format="ogg") as container:
        stream = container.add_stream("libopus", rate=SAMPLE_RATE, layout="mono", options=dict(OPUS))
        stream.bit_rate = OPUS_BIT_RATE
        frame = av.AudioFrame.from_ndarray(waveform[None], format="flt", layout="mono")
        frame.sample_rate, frame.pts = SAMPLE_RATE, 0
        container.mux([packet for part in (frame, None) for packet in stream.encode(part)])
    return file.getvalue()


ENCODERS = {"flac": encode_flac, "opus": encode_opus}  # by ending


def _agree(manifest: Manifest, out: Path, plan: Sharding) -> None:
    """Write the plan, or check that the existing one is equal. Raises ShardError."""
    with manifest.path.open("rb") as file:
        own = asdict(plan) | {"manifest": hashlib.file_digest(file, "sha256").hexdigest()}
    file_ = out / PLAN
    if not file_.is_file():
        with atomic_write(file_) as target:
            target.write(json.dumps(own).encode())
        return
    there = json.loads(file_.read_text("utf-8"))
    if differing := [name for name in own if there.get(name) != own[name]]:
        raise ShardError(f"{out} holds shards of another {', '.join(differing)}: choose another folder")


@lru_cache(maxsize=1)
def _order(count: int, seed: int | None) -> NDArray[np.int64]:
    return np.arange(count) if seed is None else np.random.default_rng(seed).permutation(count)
