"""The rows of JSON and JSONL: lists of objects, mappings of ids, columns, COCO, wrapped lists."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from earwitness.metrics.files.columns import id_columns, is_known, plain_name

WRAPPERS = ("annotations", "data", "results", "clips")  # names under which files keep their list of rows

Rows = list[Mapping[str, Any]]


def json_rows(path: Path, text: str) -> Rows:
    """The rows of a .json or .jsonl file.

    Raises:
        ValueError: the text is not valid JSON, or no layout that holds rows.
    """
    try:
        if path.suffix.lower() == ".jsonl":
            data: Any = [_parsed(line) for line in text.split("\n") if line.strip()]
        else:
            data = _parsed(text)
    except (ValueError, RecursionError) as error:
        hint = "; JSON lines need a name that ends in .jsonl" if "Extra data" in str(error) else ""
        raise ValueError(f"{path} is not valid JSON: {error}{hint}") from None
    if isinstance(data, dict):
        return _rows_of_object(path, data)
    if not isinstance(data, list):
        raise ValueError(
            f"{path} holds {type(data).__name__}, not a list of rows or a mapping of ids to captions"
        )
    return _checked(path, data)


def _rows_of_object(path: Path, data: dict[str, Any]) -> Rows:
    if isinstance(data.get("annotations"), list) and isinstance(data.get("images"), list):
        return _coco(path, data["annotations"], data["images"])
    for name in WRAPPERS:
        if _is_list_of_rows(data.get(name)):
            return _checked(path, data[name])
    if len(data) == 1 and _is_list_of_rows(only := next(iter(data.values()))):
        return _checked(path, only)
    if _is_split(data):
        return [dict(zip(data["columns"], row, strict=True)) for row in data["data"]]
    if _is_columns(data):
        columns = [list(c.values()) if isinstance(c, dict) else c for c in data.values()]
        return [dict(zip(data, row, strict=True)) for row in zip(*columns, strict=True)]
    return [{"id": name, "caption": texts} for name, texts in data.items()]


def _is_list_of_rows(value: Any) -> bool:
    """A list of objects that have ids of their own: not the captions of one clip."""
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(row, dict) and id_columns(list(map(plain_name, row))) for row in value)
    )


def _is_split(data: Mapping[str, Any]) -> bool:
    """As pandas writes orient="split": the names of the columns, then rows of values."""
    names, rows = data.get("columns"), data.get("data")
    return (
        isinstance(names, list)
        and isinstance(rows, list)
        and all(isinstance(name, str) for name in names)
        and all(isinstance(row, list) and len(row) == len(names) for row in rows)
    )


def _is_columns(data: Mapping[str, Any]) -> bool:
    """Columns of equal length under known names: lists, or pandas' mappings of row numbers."""
    values = list(data.values())
    alike = all(isinstance(v, list) for v in values) or (
        all(isinstance(v, dict) for v in values) and len({tuple(v) for v in values}) == 1
    )
    return len(values) > 1 and alike and len({len(v) for v in values}) == 1 and sum(map(is_known, data)) > 1


def _coco(path: Path, annotations: list[Any], images: list[Any]) -> Rows:
    """COCO's caption annotations: image_id is the clip; `id` counts the captions. Names come from images."""
    names = {
        row["id"]: row["file_name"]
        for row in images
        if isinstance(row, dict) and "id" in row and "file_name" in row
    }
    rows: Rows = []
    for row in _checked(path, annotations):
        name = names.get(row.get("image_id"))
        rows.append(
            {"image_id": row.get("image_id"), "caption": row.get("caption")}
            | ({} if name is None else {"file_name": name})
        )
    return rows


def _checked(path: Path, rows: Iterable[Any]) -> Rows:
    found: Rows = []
    for number, row in enumerate(rows, 1):
        if not isinstance(row, dict):
            raise ValueError(
                f"{path}, row {number}: {type(row).__name__} instead of an object with id and caption"
            )
        found.append(row)
    return found


def _parsed(text: str) -> Any:
    """Parse JSON without duplicate names: of two captions of one id the first would be lost."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        row = dict(pairs)
        if len(row) < len(pairs):
            double = next(name for name, count in Counter(name for name, _ in pairs).items() if count > 1)
            raise ValueError(f"duplicate name {double!r} in one object")
        return row

    return json.loads(text, object_pairs_hook=unique)
