"""Score the captions of two files."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from earwitness.metrics.evaluation import BEST_OF, metric_names, score
from earwitness.metrics.files.captions import CaptionFile, load_captions
from earwitness.metrics.files.columns import plain_name
from earwitness.metrics.files.pairing import Pairing, lacks, pair
from earwitness.metrics.report import Report
from earwitness.metrics.sounds import Sound, find_sound

Texts = dict[str, list[str]]


def score_files(
    candidates: str | os.PathLike[str],
    references: str | os.PathLike[str],
    metrics: str | Iterable[str] = "default",
    *,
    audio: str | os.PathLike[str] | None = None,
    partial: bool = False,
    id_column: str | None = None,
    caption_column: str | None = None,
    reference_columns: Sequence[str] = (),
    **options: Any,
) -> Report:
    """Score the captions of two files, or of one file that holds both; rows are matched by id.

    Args:
        candidates, references: CSV, TSV, JSON, JSONL or Parquet files, or the same file twice.
        metrics, options: as for `score`.
        audio: a folder with a sound file for each id, for the metrics that need the sounds.
        partial: score the clips that have both, and record it in the signature.
        id_column, caption_column, reference_columns: the columns, where their names are not usual ones.

    Raises:
        ValueError: a file that cannot be read in one way only, ids of one file that the other lacks, ids
            without a sound file, or several candidates of one id without spider_max among the metrics.
        FileNotFoundError: a file is not there.
    """
    asked = metrics if isinstance(metrics, str) else list(metrics)
    names = metric_names(asked)
    pairing = read_pair(
        candidates, references, partial=partial, id_column=id_column,
        caption_column=caption_column, reference_columns=reference_columns,
    )  # fmt: skip
    double = [name for name, texts in zip(pairing.ids, pairing.candidates, strict=True) if len(texts) > 1]
    if double and not set(BEST_OF) & set(names):
        swapped = all(len(texts) == 1 for texts in pairing.references)
        hint = "; are candidates and references swapped?" if swapped else ""
        raise ValueError(
            lacks(
                f"{candidates} has several captions for {len(double)} ids (only spider_max takes them)",
                double,
            )
            + hint
        )
    if audio is not None:
        options["audio"] = _sounds(Path(audio), pairing.ids)
    rows: Sequence[Any] = [texts if len(texts) > 1 else texts[0] for texts in pairing.candidates]
    report = score(rows, pairing.references, asked, ids=pairing.ids, **options)
    if len(pairing.ids) < pairing.total or partial:
        report = replace(report, signature=f"{report.signature}|partial:{len(pairing.ids)}/{pairing.total}")
    return replace(report, notes=[*pairing.notes, *report.notes])


def read_pair(
    candidates: str | os.PathLike[str],
    references: str | os.PathLike[str],
    *,
    partial: bool = False,
    id_column: str | None = None,
    caption_column: str | None = None,
    reference_columns: Sequence[str] = (),
) -> Pairing:
    """The clips that two files, or one file in both roles, have in common. Raises as `score_files` does."""
    same = _same_file(candidates, references)
    own = load_captions(
        candidates,
        "candidates",
        id_column=id_column,
        columns=[caption_column] if caption_column else (),
        need_ids=not same,
    )
    other = load_captions(
        references, "references", id_column=id_column, columns=reference_columns, need_ids=not same
    )
    if same and set(own.columns) & set(other.columns):
        raise ValueError(
            f"{own.path} has one kind of captions only, {', '.join(own.columns)}: it would be scored against "
            "itself; name the file with the references, or the columns with --caption-column and "
            "--reference-column"
        )
    if id_column is not None and not any(plain_name(id_column) in file.ids for file in (own, other)):
        raise ValueError(f"neither {own.path} nor {other.path} has a column {id_column}")
    found = pair(own, other, partial=partial)
    return found._replace(notes=[*own.notes, *other.notes, *found.notes])


def read_captions(path: str | os.PathLike[str]) -> Texts:
    """The references of a file by id, in the order in which ids first appear.

    Raises:
        ValueError: the file cannot be read in one way only; says which row and what to do.
        OSError: the file cannot be opened.
    """
    file: CaptionFile = load_captions(path, "references")
    found: Texts = {}
    for name, texts in zip(next(iter(file.ids.values())), file.texts, strict=True):
        found.setdefault(name, []).extend(texts)
    return found


def _same_file(one: str | os.PathLike[str], two: str | os.PathLike[str]) -> bool:
    return Path(one).resolve() == Path(two).resolve()


def _sounds(folder: Path, ids: Sequence[str]) -> list[Sound]:
    found = {name: sound for name in ids if (sound := find_sound(name, folder))}
    if lacking := [name for name in ids if name not in found]:
        raise ValueError(lacks(f"{folder} has no sound file for {len(lacking)} ids", lacking))
    return list(found.values())
