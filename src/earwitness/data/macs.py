"""MACS (Martin-Morato and Mesaros, 2021): MACS.yaml, MACS_competence.csv and TAU Urban Acoustic Scenes 2019.

MACS.yaml holds files: a list of filename and annotations, each with annotator_id, sentence and tags. The
competence table (tab-separated: annotator_id, competence) estimates how reliable each annotator is.
"""

from __future__ import annotations

from pathlib import Path

import yaml
from pydantic import BaseModel, ValidationError

from earwitness.data.clips import ClipFolder, DataError, Found, find_file, read_table, read_text
from earwitness.data.manifest import Row


class _Annotation(BaseModel):
    annotator_id: int
    sentence: str
    tags: list[str] = []


class _Clip(BaseModel):
    filename: str
    annotations: list[_Annotation]


class _Table(BaseModel):
    files: list[_Clip]


def read_macs(folder: Path, clips: Path | None = None, *, min_competence: float = 0.0) -> Found:
    """Read rows with the captions of the most competent annotators first; labels are all annotators' tags.

    min_competence: sentences of annotators below it, and of unknown ones if it is above 0, are skipped.
    clips: folder of the clips, else `folder`. Raises DataError.
    """
    table = find_file(folder, "MACS.yaml")
    if table is None:
        raise DataError(f"{folder} holds no MACS.yaml: get it from zenodo.org/record/5114771")
    competence = _competence(folder)
    found, files = Found(), ClipFolder.open(clips or folder)
    rows, missing = found.lists("train")
    for entry in _entries(table):
        trust = {a.annotator_id: competence.get(a.annotator_id, 0.0) for a in entry.annotations}
        ranked = sorted(entry.annotations, key=lambda a: -trust[a.annotator_id])
        kept = [a for a in ranked if trust[a.annotator_id] >= min_competence]
        found.left_out["sentences of less competent annotators"] += len(ranked) - len(kept)
        clip = files.find(Path(entry.filename).stem)
        if clip is None:
            missing.append(entry.filename)
        elif not kept:
            found.left_out["clips without a sentence"] += 1
        else:
            captions = tuple(" ".join(a.sentence.split()) for a in kept)
            tags = dict.fromkeys(tag for a in entry.annotations for tag in a.tags)
            rows.append(Row(entry.filename, clip.audio, captions, labels=tuple(tags)))
    return found


def _competence(folder: Path) -> dict[int, float]:
    """Annotator -> competence, 0 to 1."""
    table = find_file(folder, "MACS_competence.csv")
    if table is None:
        raise DataError(f"{folder} holds no MACS_competence.csv: get it from zenodo.org/record/5114771")
    rows = read_table(table, ["annotator_id", "competence"], delimiter="\t")
    try:
        return {int(row["annotator_id"]): float(row["competence"]) for row in rows}
    except ValueError as error:
        raise DataError(f"{table}: {error}") from None


def _entries(table: Path) -> list[_Clip]:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast, where it was built
    try:
        return _Table.model_validate(yaml.load(read_text(table), loader)).files
    except yaml.YAMLError as error:
        raise DataError(f"{table} is no YAML: {error}") from None
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise DataError(f"{table}: {place}: {first['msg']}") from None
