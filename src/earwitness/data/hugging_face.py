"""Hugging Face datasets on disk whose audio column holds files as bytes: Parquet shards, or `save_to_disk`.

The bytes are written unchanged, one file per clip; rows of the same audio are merged into one with all
captions. Needs pyarrow.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tqdm import tqdm

from earwitness.data.clips import DataError, Found
from earwitness.data.folder import CAPTION_COLUMN, WHOLE
from earwitness.data.manifest import Row
from earwitness.media.files import is_media_path

ID_COLUMNS = ["id", "youtube_id", "file_name", "audio_id"]
SHARD = re.compile(r"(?P<split>.+?)-\d+-of-\d+.*")  # train-00000-of-00012
MAGIC = {b"RIFF": ".wav", b"fLaC": ".flac", b"OggS": ".ogg", b"ID3": ".mp3"}
BATCH = 64  # rows read at once


@dataclass(frozen=True)
class Entry:
    """One row. id: of the clip, or "". name: of the file that the bytes were."""

    id: str
    name: str
    data: bytes
    captions: tuple[str, ...]


def is_hugging_face(folder: Path) -> bool:
    return any(_files(folder))


def read_hugging_face(folder: Path, out: Path) -> Found:
    """Read the rows of every split; write their audio to OUT/audio/SPLIT, where existing files are kept.

    Raises DataError for missing columns.
    """
    try:
        import pyarrow  # noqa: F401
    except ImportError:
        raise DataError(f"{folder} holds Parquet or Arrow files: install pyarrow to read them") from None
    found = Found()
    clips: dict[tuple[str, bytes], Row] = {}
    for file in tqdm(sorted(_files(folder)), desc="Reading", unit=" files", delay=2):
        split = _split(file)
        missing = found.lists(split)[1]
        for number, entry in enumerate(_entries(file), 1):
            if not entry.data:
                missing.append(entry.name or f"{file.name}, row {number}")
                continue
            key = split, hashlib.sha256(entry.data).digest()
            if known := clips.get(key):
                clips[key] = replace(known, captions=known.captions + entry.captions)
                continue
            target = (out / "audio" / split / (key[1].hex()[:24] + _suffix(entry))).absolute()
            if not target.is_file() or target.stat().st_size != len(entry.data):
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(entry.data)
            clips[key] = Row(entry.id or target.stem, str(target), entry.captions)
    for (split, _), row in clips.items():
        found.splits[split].append(row)
    return found


def _files(folder: Path) -> Iterator[Path]:
    for pattern in ("*.parquet", "*/*.parquet", "*.arrow", "*/*.arrow"):
        yield from folder.glob(pattern)


def _split(file: Path) -> str:
    """Of data/train-00000-of-00012.parquet and of train/data-00000-of-00001.arrow: train."""
    shard = SHARD.fullmatch(file.stem)
    name = shard["split"] if shard else file.stem
    if name == "data":
        name = file.parent.name if (file.parent.parent / "dataset_dict.json").is_file() else WHOLE
    return re.sub(r"[^\w-]", "_", name)


def _entries(file: Path) -> Iterator[Entry]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        if file.suffix == ".parquet":
            source: Any = pq.ParquetFile(file)
            schema, batches = source.schema_arrow, source.iter_batches(BATCH)
        else:
            batches = pa.ipc.open_stream(pa.memory_map(str(file)))
            schema = batches.schema
        sound = next((f.name for f in schema if _holds_bytes(f.type)), None)
        captions = [name for name in schema.names if CAPTION_COLUMN.fullmatch(name)]
        if sound is None or not captions:
            raise DataError(
                f"{file} needs a column of sounds stored as bytes, and caption, captions or caption_1 ...; "
                f"it has {', '.join(schema.names)}"
            )
        ids = [name for name in ID_COLUMNS if name in schema.names]
        for batch in batches:
            for row in batch.select([sound, *captions, *ids]).to_pylist():
                yield _entry(row, sound, captions, ids)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{file} cannot be read: {error}") from None


def _holds_bytes(type_: Any) -> bool:
    """Of {"bytes": binary, "path": string}, as `datasets` stores an Audio feature, or of plain binary."""
    import pyarrow.types as kinds

    if kinds.is_struct(type_):
        return type_.get_field_index("bytes") >= 0
    return kinds.is_binary(type_) or kinds.is_large_binary(type_)


def _entry(row: dict[str, Any], sound: str, captions: Iterable[str], ids: Iterable[str]) -> Entry:
    value = row[sound] or {}
    data, path = (value.get("bytes"), value.get("path")) if isinstance(value, dict) else (value, None)
    name = Path(path or "").name
    own = next((str(row[column]) for column in ids if row[column] is not None), name)
    cells = [text for c in captions for text in (row[c] if isinstance(row[c], list) else [row[c]])]
    texts = tuple(text.strip() for text in cells if isinstance(text, str) and text.strip())
    return Entry(own, name, data or b"", texts)


def _suffix(entry: Entry) -> str:
    """File ending, from the stored name or else from the first bytes; decoding does not depend on it."""
    suffix = Path(entry.name).suffix.lower()
    if is_media_path(entry.name) and suffix.isascii():
        return suffix
    return next((ending for magic, ending in MAGIC.items() if entry.data.startswith(magic)), "")
