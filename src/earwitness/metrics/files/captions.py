"""A file of captions in one role: its ids, the starts of stretches, and the captions of every row."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from earwitness.metrics.files.cells import captions_in
from earwitness.metrics.files.columns import Role, caption_columns, id_columns, plain_name, start_column
from earwitness.metrics.files.tables import Table, read_table


@dataclass(frozen=True)
class CaptionFile:
    """Captions of a role, a list for each row.

    ids: for every column that names each row's clip, the names, in order of preference. starts: where in
    the recording each row begins, as text, None where the file does not say. notes: what was left out.
    """

    path: Path
    role: Role
    columns: list[str]
    ids: dict[str, list[str]]
    starts: list[str] | None
    texts: list[list[str]]
    notes: list[str] = field(default_factory=list)


def load_captions(
    path: str | os.PathLike[str],
    role: Role,
    *,
    id_column: str | None = None,
    columns: Sequence[str] = (),
    need_ids: bool = True,
) -> CaptionFile:
    """Read the captions that a file holds in a role.

    Args:
        path: a CSV, TSV, JSON, JSONL or Parquet file.
        role: whether the captions are a system's or people's: many files hold both.
        id_column: the column with the ids, where the file has it; default every column with a usual name.
        columns: the columns with the captions; default those that the role has by name.
        need_ids: False for a file that is paired with itself, row by row.

    Raises:
        ValueError: the file cannot be read, or not in one way only; the message names row and remedy.
        OSError: there is no such file, or it cannot be opened.
    """
    file = Path(path)
    named = [*columns, *([id_column] if id_column else [])]
    table = read_table(file, named)
    if not table.rows:
        raise ValueError(f"{file} holds no captions")
    ids = _ids(table, id_column, need_ids)
    try:
        chosen = _named(table, columns) or caption_columns(table.columns, role)
    except ValueError as error:
        raise ValueError(f"{file}, {table.places[0]}: {error}") from None
    texts = [_texts(table, place, row, chosen) for place, row in zip(table.places, table.rows, strict=True)]
    begin = start_column(table.columns)
    starts = [_start(row.get(begin)) for row in table.rows] if begin else None
    found = CaptionFile(file, role, chosen, ids, starts, texts)
    return _references(found, table) if role == "references" else _candidates(found, table)


def _named(table: Table, columns: Sequence[str]) -> list[str]:
    plain = [plain_name(name) for name in columns]
    if lacking := [name for name in plain if name not in table.columns]:
        raise ValueError(f"no column {', '.join(lacking)}; it has {', '.join(table.columns)}")
    return plain


def _ids(table: Table, id_column: str | None, needed: bool) -> dict[str, list[str]]:
    """Ids by column, for the columns in which no row is empty."""
    named = plain_name(id_column) if id_column else None
    names = [named] if named in table.columns else id_columns(table.columns)
    found: dict[str, list[str]] = {}
    gap = table.places[0]
    for name in names:
        values = [_id(row.get(name)) for row in table.rows]
        if "" in values:
            gap = table.places[values.index("")]
        else:
            found[str(name)] = values
    if not found and needed:
        has = ", ".join(table.columns) or "none"
        what = f"no value in the column {names[0]}" if names else f"no column with an id; it has {has}"
        raise ValueError(
            f"{table.path}, {gap}: {what}; wanted are id and caption, or name the columns with --id-column "
            "and --caption-column; is there a header?"
        )
    return found


def _id(value: Any) -> str:
    """An id as text: composed characters (NFC), no blanks round it, 3 for 3.0; "" for none."""
    if isinstance(value, Mapping):  # as data sets on the hub name a sound
        value = value.get("path")
    if isinstance(value, float):
        value = int(value) if value.is_integer() else value if value == value else None
    return "" if value is None else unicodedata.normalize("NFC", str(value)).strip()


def _start(value: Any) -> str:
    try:
        return f"{float(value):g}"
    except (TypeError, ValueError):
        return "" if value is None else str(value).strip()


def _texts(table: Table, place: str, row: Mapping[str, Any], columns: Sequence[str]) -> list[str]:
    texts: list[str] = []
    for name in columns:
        try:
            texts += captions_in(row.get(name))
        except ValueError as error:
            raise ValueError(f"{table.path}, {place}: {name} holds {error}") from None
    return texts


def _candidates(found: CaptionFile, table: Table) -> CaptionFile:
    for place, texts in zip(table.places, found.texts, strict=True):
        if not texts:
            raise ValueError(f"{found.path}, {place}: no caption in {found.columns[0]}")
    empty = sum(not text.strip() for texts in found.texts for text in texts)
    if empty:
        found.notes.append(f"{found.path}: {empty} candidates are empty; they are scored as they are")
    return found


def _references(found: CaptionFile, table: Table) -> CaptionFile:
    """Without empty references, and without rows that repeat another one with all its references."""
    empty = repeated = 0
    seen: set[str] = set()
    for number, texts in enumerate(found.texts):
        kept = [text for text in texts if text.strip()]
        empty += max(len(texts), len(found.columns)) - len(kept)
        if len(texts) > 1:
            row = repr(sorted(table.rows[number].items(), key=lambda item: item[0]))
            repeated += row in seen
            kept = [] if row in seen else kept
            seen.add(row)
        found.texts[number] = kept
    if empty:
        found.notes.append(f"{found.path}: {empty} empty references are left out")
    if repeated:
        found.notes.append(f"{found.path}: {repeated} rows repeat another row and are left out")
    return found
