"""Clotho, versions 1 to 2.1 (Drossos et al., 2020): clotho_captions_SPLIT.csv and folders of WAV files.

The captions have the columns file_name, caption_1 ... caption_5; clotho_metadata_SPLIT.csv adds keywords. The
archives unpack to development/, validation/ (from version 2 on) and evaluation/. The challenge's splits test
and analysis have no captions.
"""

from __future__ import annotations

from pathlib import Path

from earwitness.data.clips import ClipFolder, DataError, Found, find_file, read_table
from earwitness.data.manifest import Row

SPLITS = ["development", "validation", "evaluation"]
UNCAPTIONED = ["test", "analysis"]
CAPTIONS = [f"caption_{n}" for n in range(1, 6)]


def read_clotho(folder: Path, clips: Path | None = None) -> Found:
    """Rows of every split that is there. A row's id is its file name; its labels are Freesound's keywords.

    clips: folder of the splits' folders, else `folder`. Raises DataError.
    """
    found, files = Found(), ClipFolder.open(clips or folder)
    by_split = files.by_split({split: [split] for split in SPLITS + UNCAPTIONED})
    for split in SPLITS:
        if table := find_file(folder, f"clotho_captions_{split}.csv"):
            _read_split(found, split, table, by_split[split], _keywords(folder, split))
    if not found.splits:
        raise DataError(
            f"{folder} holds no clotho_captions_{SPLITS[0]}.csv: get it from zenodo.org/record/4783391"
        )
    for split in UNCAPTIONED:
        if own := files.below(split):
            found.splits[split] = [Row(file.name, str(file)) for file in own]
    return found


def _read_split(
    found: Found, split: str, table: Path, files: ClipFolder, keywords: dict[str, tuple[str, ...]]
) -> None:
    rows, missing = found.lists(split)
    for line in read_table(table, ["file_name", *CAPTIONS]):
        name = line["file_name"].strip()
        captions = tuple(caption for column in CAPTIONS if (caption := line[column].strip()))
        clip = files.find(Path(name).stem)
        if clip is None:
            missing.append(name)
        else:
            rows.append(Row(name, clip.audio, captions, labels=keywords.get(name, ())))


def _keywords(folder: Path, split: str) -> dict[str, tuple[str, ...]]:
    """File name -> keywords."""
    table = find_file(folder, f"clotho_metadata_{split}.csv")
    rows = read_table(table, ["file_name", "keywords"]) if table else []
    return {r["file_name"].strip(): tuple(k for k in r["keywords"].split(";") if k) for r in rows}
