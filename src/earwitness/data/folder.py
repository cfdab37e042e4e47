"""A folder of clips with a table of captions: CSV or TSV, one row a caption or a clip.

    file_name,caption              audio,caption_1,caption_2,start,end,split
    dog.wav,a dog barks            a/long.flac,rain falls,it rains,12.5,22.5,train

Rows of one clip (same file, start and end) are merged into one with all captions. A clip without a caption is
reported and skipped; rows that share an id are numbered, with a note.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

from earwitness.data.clips import ClipFolder, DataError, Found, read_table, read_text
from earwitness.data.manifest import Row

FILE_COLUMNS = ["audio", "file_name", "filename", "file", "path"]  # the first that exists is used
CAPTION_COLUMN = re.compile(r"captions?(_?\d+)?")
WHOLE = "manifest"  # the split of a table without a column `split`


def read_folder(folder: Path, table: Path | None = None) -> Found:
    """Read the rows of every split. table: default the one CSV or TSV file in the folder. Raises DataError.

    Cells of a CSV file are separated by commas, or by semicolons if its first line has those.
    Files are named from the folder on, or by name alone, with or without ending. Other columns: id, video,
    start, end (s), labels (with ; between), split.
    """
    table = table or _only_table(folder)
    lines = read_table(table, [], _delimiter(table))
    columns = list(lines[0]) if lines else []
    file_column = next((name for name in FILE_COLUMNS if name in columns), None)
    caption_columns = [name for name in columns if name and CAPTION_COLUMN.fullmatch(name)]
    if file_column is None or not caption_columns:
        raise DataError(
            f"{table} needs a column {' or '.join(FILE_COLUMNS)} and caption or caption_1, caption_2 ...; "
            f"it has {', '.join(map(str, columns)) or 'no rows'}"
        )
    found, files = Found(), ClipFolder.open(folder)
    clips: dict[tuple[str, ...], Row] = {}
    for number, line in enumerate(lines, 2):
        name = line[file_column].strip()
        place = line.get("split", "").strip() or WHOLE, name, line.get("start", ""), line.get("end", "")
        captions = tuple(text for column in caption_columns if (text := line[column].strip()))
        if place in clips:
            clips[place] = replace(clips[place], captions=clips[place].captions + captions)
        elif (audio := _locate(folder, name, files)) is None:
            found.lists(place[0])[1].append(name or f"line {number}")
        else:
            clips[place] = _row(f"{table}, line {number}", line, name, audio, captions, folder)
    for (split, *_), row in clips.items():
        if row.captions:
            found.lists(split)[0].append(row)
        else:
            found.uncaptioned.setdefault(split, []).append(row.id)
    for split, rows in found.splits.items():
        found.splits[split] = _numbered(rows, found.notes)
    if clips and not any(found.splits.values()):
        raise DataError(f"{table}: no row has a caption in the column {', '.join(caption_columns)}")
    return found


def _numbered(rows: list[Row], notes: list[str]) -> list[Row]:
    """Number rows that share an id, "a.wav", "a.wav#2" ..., and add a note."""
    seen: Counter[str] = Counter()
    taken = {row.id for row in rows}
    numbered = []
    for row in rows:
        seen[row.id] += 1
        name = row.id
        while seen[row.id] > 1 and name in taken:
            name = f"{row.id}#{seen[row.id]}"
            seen[row.id] += name in taken
        taken.add(name)
        numbered.append(replace(row, id=name))
    shared = [name for name, count in seen.items() if count > 1]
    if shared:
        more = f" and {len(shared) - 3} more" if len(shared) > 3 else ""
        notes.append(f"rows that share an id were numbered ({', '.join(shared[:3])}{more}): ID#2, ID#3 ...")
    return numbered


def _delimiter(table: Path) -> str:
    if table.suffix.lower() == ".tsv":
        return "\t"
    head = read_text(table).partition("\n")[0]
    return max(",;\t", key=lambda mark: (head.count(mark), mark == ","))


def _row(
    where: str, line: dict[str, str], name: str, audio: str, captions: tuple[str, ...], folder: Path
) -> Row:
    try:
        start, end = (
            float(line.get(column) or default) for column, default in (("start", 0), ("end", "inf"))
        )
    except ValueError as error:
        raise DataError(f"{where}: {error}") from None
    video = line.get("video", "").strip()
    data = {
        "id": line.get("id", "").strip() or name,
        "audio": audio,
        "captions": list(captions),
        "start": start,
    }
    data |= {"labels": [label.strip() for label in line.get("labels", "").split(";") if label.strip()]}
    data |= {"video": str(folder.absolute() / video)} if video else {}
    data |= {"end": end} if end < float("inf") else {}
    try:
        return Row.from_json(data)
    except ValueError as error:
        raise DataError(f"{where}: {error}") from None


def _locate(folder: Path, name: str, files: ClipFolder) -> str | None:
    whole = folder.absolute() / name
    if name and whole.is_file():
        return str(whole)
    clip = files.find(os.path.basename(name)) or files.find(Path(name).stem)
    return clip.audio if clip else None


def _only_table(folder: Path) -> Path:
    if not folder.is_dir():
        raise DataError(f"there is no folder {folder}")
    tables = sorted([*folder.glob("*.csv"), *folder.glob("*.tsv")])
    if len(tables) != 1:
        what = (
            f"{len(tables)} tables ({', '.join(t.name for t in tables)})" if tables else "no CSV or TSV file"
        )
        raise DataError(f"{folder} holds {what}: name the table of captions with --csv")
    return tables[0]
