"""WavCaps (Mei et al., 2023): json_files/SOURCE/*_final.json of four sources, and a folder of FLAC files.

A JSON file holds {"data": [{"id", "caption", "duration", ...}]}; a clip's file is named by its id, below a
folder that bears the source's name (Zip_files/SOURCE/.../SOURCE_flac as the archives unpack, Audio/SOURCE and
the like). Clips of AudioCaps and Clotho are among them: the published blacklists name them by id.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from earwitness.data.clips import ClipFolder, DataError, Found, read_table, read_text
from earwitness.data.manifest import Row

SOURCES = ["AudioSet_SL", "BBC_Sound_Effects", "FreeSound", "SoundBible"]
FOLDERS = dict(zip(SOURCES, (["audioset"], ["bbc"], ["freesound"], ["soundbible"])))  # words in their names
BLACKLISTED = {"AudioSet": "AudioSet_SL", "FreeSound": "FreeSound"}  # key of a blacklist -> source
ID_COLUMNS = {"sound_id": "FreeSound", "youtube_id": "AudioSet_SL"}  # column of a table -> source

Id = tuple[str, str]  # source, id without ending


def read_wavcaps(
    folder: Path,
    clips: Path | None = None,
    *,
    blacklists: Iterable[str] = (),
    forbidden: Iterable[Path] = (),
) -> Found:
    """Read the rows of the existing sources, without excluded ids. clips: folder of the clips, else `folder`.

    blacklists: all_ac, test_ac or ub8k_esc50_vggsound, which name published files. forbidden: files of ids,
    see `read_ids`. A row's id is the YouTube id, as in AudioCaps, or SOURCE_ID; its labels are Freesound's
    tags. Raises DataError.
    """
    tables = _tables(folder)
    excluded = {id_: f"id in {file.name}" for file in forbidden for id_ in read_ids(file)}
    for name in blacklists:
        file = _json_files(folder) / "blacklist" / f"blacklist_exclude_{name}.json"
        excluded |= dict.fromkeys(_blacklisted(file), f"id in {file.name}")
    found, files = Found(), ClipFolder.open(clips or folder).by_split(FOLDERS)
    rows, missing = found.lists("train")
    for source, table in tables:
        for entry in _read_json(table):
            id_, caption = entry.get("id"), entry.get("caption")
            if not isinstance(id_, str) or not isinstance(caption, str):
                found.left_out[f"{table.name}: no id or no caption"] += 1
                continue
            name = id_.partition(".")[0]  # AudioSet's end in .wav
            if reason := excluded.get(_key(source, name)):
                found.left_out[f"{source}: {reason}"] += 1
            elif clip := files[source].find(name):
                labels = tuple(tag for tag in entry.get("tags") or () if isinstance(tag, str))
                rows.append(Row(_row_id(source, name), clip.audio, (caption,), labels=labels))
            else:
                missing.append(f"{source}/{name}")
    return found


def found_blacklists(folder: Path) -> list[str]:
    """Return the published blacklist of all of AudioCaps and Clotho, if it is among the set's files."""
    file = _json_files(folder) / "blacklist" / "blacklist_exclude_all_ac.json"
    return ["all_ac"] if file.is_file() else []


def read_ids(file: Path) -> set[Id]:
    """Read ids to exclude from training, of Freesound or YouTube.

    file: a table with a column sound_id (the DCASE challenge's list, Clotho's metadata) or youtube_id
    (AudioCaps' tables), or Freesound ids alone, one a line.
    """
    lines = [line.strip() for line in read_text(file).splitlines() if line.strip()]
    for column, source in ID_COLUMNS.items():
        if lines and column in lines[0].split(","):
            return {_key(source, row[column].strip()) for row in read_table(file, [column])}
    if wrong := next((line for line in lines if not line.isdigit()), None):
        columns = " or ".join(ID_COLUMNS)
        raise DataError(f"{file}: {wrong[:60]!r} is no Freesound id; a table needs a column {columns}")
    return {("FreeSound", line) for line in lines}


def _key(source: str, name: str) -> Id:
    """YouTube ids have 11 characters; AudioSet's files put a Y before them."""
    return source, name[1:] if source == "AudioSet_SL" and len(name) == 12 else name


def _row_id(source: str, name: str) -> str:
    return _key(source, name)[1] if source == "AudioSet_SL" else f"{source}_{name}"


def _json_files(folder: Path) -> Path:
    """Find the JSON files, as in the dataset's repository or as in that of its code."""
    return next((f for f in (folder / "json_files", folder / "data" / "json_files") if f.is_dir()), folder)


def _tables(folder: Path) -> list[tuple[str, Path]]:
    found = [(s, file) for s in SOURCES for file in sorted((_json_files(folder) / s).glob("*_final.json"))]
    if not found:
        raise DataError(
            f"{folder} holds no json_files/SOURCE/*_final.json of {', '.join(SOURCES)}: get them from "
            "huggingface.co/datasets/cvssp/WavCaps"
        )
    return found


def _blacklisted(file: Path) -> Iterator[Id]:
    lists = _load(file)
    for key, source in BLACKLISTED.items():
        if not isinstance(lists, dict) or not isinstance(lists.get(key), list):
            raise DataError(f"{file} has no list {key}")
        yield from (_key(source, str(id_).partition(".")[0]) for id_ in lists[key])


def _read_json(table: Path) -> list[dict[str, Any]]:
    """The entries; an early release has them without an object around them."""
    data = _load(table)
    entries = data.get("data") if isinstance(data, dict) else data
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise DataError(f"{table} holds no list of entries under 'data'")
    return entries


def _load(file: Path) -> Any:
    try:
        return json.loads(read_text(file))
    except (json.JSONDecodeError, RecursionError) as error:
        raise DataError(f"{file} is no JSON: {error}") from None
