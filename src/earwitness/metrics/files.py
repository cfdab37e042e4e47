"""Candidates and references from CSV, JSON and JSONL files."""

from __future__ import annotations

import csv
import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from earwitness.metrics.evaluation import score
from earwitness.metrics.report import Report
from earwitness.metrics.sounds import Sound, find_sound

_ID = ("id", "file", "file_name", "filename", "path", "audio", "youtube_id")
_TEXT = ("caption", "captions", "prediction", "candidate", "references", "text")
_MANY = "caption_"  # Clotho's own files: caption_1 ... caption_5

Texts = dict[str, list[str]]


def score_files(
    candidates: str | os.PathLike[str],
    references: str | os.PathLike[str],
    metrics: str | Iterable[str] = "default",
    *,
    audio: str | os.PathLike[str] | None = None,
    **options: Any,
) -> Report:
    """Score the captions of two files; rows are brought together by id.

    Args:
        candidates, references: files as `read_captions` reads them.
        metrics, options: as for `score`.
        audio: a folder with a sound file for each id, for the metrics that listen.

    Raises:
        ValueError: a file that cannot be read as captions, ids of one file that the other lacks, ids without
            a sound file, or several candidates of one id without spider_max among the metrics.
        FileNotFoundError: a file is not there.
    """
    own, other = read_captions(candidates), read_captions(references)
    if lacking := [i for i in own if i not in other]:
        raise ValueError(_lacks(f"{len(lacking)} candidates have no reference in {references}", lacking))
    if lacking := [i for i in other if i not in own]:
        raise ValueError(
            _lacks(f"{len(lacking)} clips of {references} have no candidate in {candidates}", lacking)
        )
    asked = metrics if isinstance(metrics, str) else ",".join(metrics)
    double = [i for i, texts in own.items() if len(texts) > 1]
    if double and "spider_max" not in asked and "all" not in asked.split(","):
        raise ValueError(
            _lacks(
                f"{candidates} has several captions for {len(double)} ids (only spider_max takes them)",
                double,
            )
        )
    if audio is not None:
        options["audio"] = _sounds(Path(audio), list(own))
    rows: Sequence[Any] = [texts if len(texts) > 1 else texts[0] for texts in own.values()]
    return score(rows, [other[i] for i in own], metrics, ids=list(own), **options)


def _sounds(folder: Path, ids: Sequence[str]) -> list[Sound]:
    found = {name: sound for name in ids if (sound := find_sound(name, folder))}
    if lacking := [name for name in ids if name not in found]:
        raise ValueError(_lacks(f"{folder} has no sound file for {len(lacking)} ids", lacking))
    return list(found.values())


def _lacks(problem: str, ids: Sequence[str]) -> str:
    shown = ", ".join(repr(i) for i in ids[:5])
    return f"{problem}: {shown}{' ...' if len(ids) > 5 else ''}"


def read_captions(path: str | os.PathLike[str]) -> Texts:
    """Captions by id, in the order in which ids first appear.

    CSV with a header, JSON (a list of rows, or a mapping of id to a caption or a list), or JSONL. Columns:
    `id` and
    `caption` (several rows an id, or a list), or caption_1, caption_2, ...

    Raises:
        ValueError: the file has other columns, a row lacks its id or caption, or the JSON is broken; says
            which row.
    """
    file = Path(path)
    if file.is_dir():
        raise ValueError(f"{file} is a folder, not a file of captions")
    kind = file.suffix.lower()
    if kind not in (".csv", ".tsv", ".json", ".jsonl"):
        raise ValueError(f"{file}: captions are read from .csv, .tsv, .json and .jsonl files")
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{file} is not UTF-8 text ({error.reason} at byte {error.start})") from None
    rows = _table(file, text) if kind in (".csv", ".tsv") else _json(file, text)
    found: Texts = {}
    for number, row in rows:
        name, texts = _row(file, number, row)
        found.setdefault(name, []).extend(texts)
    if not found:
        raise ValueError(f"{file} holds no captions")
    return found


def _table(file: Path, text: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    reader = csv.DictReader(
        text.splitlines(keepends=True), delimiter="\t" if file.suffix.lower() == ".tsv" else ","
    )
    usual = csv.field_size_limit(1 << 30)  # of the whole process
    try:
        rows = [(reader.line_num, row) for row in reader]
    finally:
        csv.field_size_limit(usual)
    for number, row in rows:
        if None in row:
            raise ValueError(
                f"{file}, line {number}: more fields than the header has; quote commas in captions"
            )
        yield number, {(k or "").strip().lower(): v for k, v in row.items()}


def _json(file: Path, text: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    try:
        if file.suffix.lower() == ".jsonl":
            data: Any = [_parsed(line) for line in text.split("\n") if line.strip()]
        else:
            data = _parsed(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{file} is not valid JSON: {error}") from None
    if isinstance(data, dict):
        for number, (name, texts) in enumerate(data.items(), 1):
            yield number, {"id": name, "caption": texts}
        return
    if not isinstance(data, list):
        raise ValueError(
            f"{file} holds {type(data).__name__}, not a list of rows or a mapping of ids to captions"
        )
    for number, row in enumerate(data, 1):
        if not isinstance(row, dict):
            raise ValueError(
                f"{file}, row {number}: {type(row).__name__} instead of an object with id and caption"
            )
        yield number, row


def _parsed(text: str) -> Any:
    """JSON in which no name stands twice: of two captions of one id the first would be lost."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        row = dict(pairs)
        if len(row) < len(pairs):
            double = next(name for name, count in Counter(name for name, _ in pairs).items() if count > 1)
            raise ValueError(f"the name {double!r} stands twice in one object")
        return row

    return json.loads(text, object_pairs_hook=unique)


def _row(file: Path, number: int, row: Mapping[str, Any]) -> tuple[str, list[str]]:
    name = next((row[key] for key in _ID if row.get(key) not in (None, "")), None)
    many = [key for key in row if key.startswith(_MANY)]
    text = next((row[key] for key in _TEXT if key in row), None)
    if name is None or (text is None and not many):
        wanted = "an id" if name is None else "a caption"
        raise ValueError(
            f"{file}, row {number}: no column with {wanted}; it has {', '.join(map(str, row)) or 'none'}; "
            "wanted are id and caption"
        )
    texts = [row[key] for key in many if row[key]] if text is None else text
    if isinstance(texts, str):
        texts = [texts]
    if not isinstance(texts, list) or not texts or not all(isinstance(t, str) for t in texts):
        raise ValueError(
            f"{file}, row {number}: the caption of {name!r} is {texts!r:.60}, not a text or a list of texts"
        )
    return str(name), texts
