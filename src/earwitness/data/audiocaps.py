"""AudioCaps, versions 1 and 2 (Kim et al., 2019): train.csv, val.csv, test.csv and a folder of clips.

Columns: audiocap_id, youtube_id, start_time, caption; each caption is a row of its own: a clip has one in
training, else five. Only the tables are published. People who fetched the clips named them in several ways
(see `_names`), in any format.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from earwitness.data.clips import ClipFolder, DataError, Found, find_file, read_table
from earwitness.data.manifest import Row

SECONDS = 10  # of a clip
YOUTUBE_ID = re.compile(r"[\w-]{11}", re.ASCII)
NUMBER = re.compile(r"\d{1,7}(\.\d*)?", re.ASCII)  # s
TABLES = {"train": "train.csv", "validation": "val.csv", "test": "test.csv"}
FOLDERS = {"train": ["train"], "validation": ["val", "valid", "validation"], "test": ["test"]}


@dataclass
class Entry:
    """A clip of ten seconds and the rows of the table that caption it. start: s in the video."""

    youtube_id: str
    start: float
    numbers: list[str] = field(default_factory=list)  # audiocap_id
    captions: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        return f"{self.youtube_id}_{self.start:g}"


def read_audiocaps(folder: Path, clips: Path | None = None) -> Found:
    """Read the rows of every split whose table is in `folder`, with YouTube ids as their ids.

    clips: folder of the clips, else `folder`. Missing ones are reported as ID_START. Raises DataError.
    """
    tables = {split: file for split, name in TABLES.items() if (file := find_file(folder, name))}
    if not tables:
        names = ", ".join(TABLES.values())
        raise DataError(f"{folder} holds none of {names}: get them from github.com/cdjkim/audiocaps")
    found, files = Found(), ClipFolder.open(clips or folder).by_split(FOLDERS)
    for split, table in tables.items():
        rows, missing = found.lists(split)
        for entry in _entries(table, found):
            clip = files[split].find(*_names(entry))
            if clip is None:
                missing.append(entry.name)
            else:
                rows.append(Row(entry.youtube_id, clip.audio, tuple(entry.captions), clip.video))
    return found


def _entries(table: Path, found: Found) -> Iterable[Entry]:
    """The clips of a table in its order, each with all its captions."""
    entries: dict[tuple[str, float], Entry] = {}
    for row in read_table(table, ["audiocap_id", "youtube_id", "start_time", "caption"]):
        if not YOUTUBE_ID.fullmatch(row["youtube_id"]) or not NUMBER.fullmatch(row["start_time"]):
            found.left_out[f"{table.name}: rows without a YouTube id and a start"] += 1
            continue
        key = row["youtube_id"], float(row["start_time"])
        entry = entries.setdefault(key, Entry(*key))
        entry.numbers.append(row["audiocap_id"])
        entry.captions.append(row["caption"].strip())
    return entries.values()


def _names(entry: Entry) -> Iterator[str]:
    """File names in use: ID_30, ID_30_40, ID_30000_40000 (ms), ID_000030 and ID, each also with a Y before
    the ID; the AudioCaps number before the ID, or alone."""
    begin, end = round(entry.start), round(entry.start) + SECONDS
    times = f"{begin}", f"{begin}_{end}", f"{begin}000_{end}000", f"{begin:06d}"
    for id_ in (entry.youtube_id, f"Y{entry.youtube_id}"):
        yield from (f"{id_}_{time}" for time in times)
        yield id_
    for number in entry.numbers:
        yield from (f"{number}_{entry.youtube_id}", number)


def download_commands(missing: dict[str, list[str]], into: Path) -> Iterator[str]:
    """Yield for each missing clip the shell command that downloads its ten seconds with yt-dlp."""
    for split, names in missing.items():
        for name in names:
            youtube_id, _, start = name.rpartition("_")
            words = ["yt-dlp", "--extract-audio", "--audio-format", "flac", "--force-keyframes-at-cuts"]
            words += ["--download-sections", f"*{start}-{float(start) + SECONDS:g}"]
            target = str(into / split / name).replace("%", "%%")  # yt-dlp fills in what follows a single one
            words += ["--output", f"{target}.%(ext)s"]
            yield shlex.join([*words, f"https://www.youtube.com/watch?v={youtube_id}"])
