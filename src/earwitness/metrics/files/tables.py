"""The rows of a file, whatever its format, under plain column names."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from earwitness.metrics.files.columns import is_known, plain_name
from earwitness.metrics.files.json_layouts import json_rows
from earwitness.metrics.files.text import read_text

ENDINGS = (".csv", ".tsv", ".json", ".jsonl", ".parquet")
DELIMITERS = (",", ";", "\t")


@dataclass(frozen=True)
class Table:
    """Rows of a file; `places` says where each is, for messages. Names of columns are plain."""

    path: Path
    columns: list[str]
    rows: list[Mapping[str, Any]]
    places: list[str]


def read_table(path: Path, named: Sequence[str] = ()) -> Table:
    """Read the rows of a CSV, TSV, JSON, JSONL or Parquet file.

    named: columns that the user named; a delimiter that finds them in the header is the right one.

    Raises:
        ValueError: another format, a broken file, a duplicate column.
        OSError: the file cannot be read.
    """
    if path.is_dir():
        raise ValueError(f"{path} is a folder, not a file of captions")
    kind = path.suffix.lower()
    if kind not in ENDINGS:
        hint = "; in a spreadsheet, save it as 'CSV UTF-8'" if kind in (".xlsx", ".xls", ".ods") else ""
        raise ValueError(f"{path}: captions are read from .csv, .tsv, .json, .jsonl and .parquet files{hint}")
    if kind in (".csv", ".tsv"):
        return _csv_table(path, read_text(path), named)
    rows = _parquet_rows(path) if kind == ".parquet" else json_rows(path, read_text(path))
    plain = [{plain_name(name): value for name, value in row.items()} for row in rows]
    for number, (row, short) in enumerate(zip(rows, plain, strict=True), 1):
        if len(short) < len(row):
            raise ValueError(f"{path}, row {number}: duplicate column {_double(list(map(plain_name, row)))}")
    columns = list(dict.fromkeys(name for row in plain for name in row))
    return Table(path, columns, list(plain), [f"row {number}" for number in range(1, len(plain) + 1)])


def _csv_table(path: Path, text: str, named: Sequence[str]) -> Table:
    delimiter, text, skipped = _delimiter(path, text, named)
    usual = csv.field_size_limit(1 << 30)  # of the whole process
    try:
        # newline="": a line break inside quotes, of whatever kind, belongs to the caption
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        lines = ((reader.line_num + skipped, record) for record in reader)
        # spreadsheets leave rows of empty fields at the end
        records = [(number, record) for number, record in lines if any(map(str.strip, record))]
    except csv.Error as error:
        raise ValueError(
            f"{path}, line {reader.line_num + skipped}: {error}; write a quote inside a caption twice"
        ) from None
    finally:
        csv.field_size_limit(usual)
    header = [plain_name(name) for name in records[0][1]] if records else []
    used = [name for name in header if name]
    if len(set(used)) < len(used):
        raise ValueError(f"{path}: duplicate column {_double(used)} in the header; rename one")
    rows: list[Mapping[str, Any]] = []
    for number, record in records[1:]:
        if len(record) > len(header):
            raise ValueError(
                f"{path}, line {number}: more fields than the header has; quote commas in captions"
            )
        rows.append({name: value for name, value in zip(header, record, strict=False) if name})
    return Table(path, used, rows, [f"line {number}" for number, _ in records[1:]])


def _delimiter(path: Path, text: str, named: Sequence[str]) -> tuple[str, str, int]:
    """The delimiter, the text without a spreadsheet's line `sep=;`, and how many lines that took.

    The delimiter is the one that finds most columns with known names in the header; a header without any
    is read as the ending says.
    """
    first, _, rest = text.partition("\n")
    declared = first.strip().strip('"')
    if declared.lower().startswith("sep=") and len(declared) == 5:
        return declared[4], rest, 1
    if declared.lower() == "sep=":  # followed by a tab, which strip() took
        return "\t", rest, 1
    own = {plain_name(name) for name in named}

    def found(delimiter: str) -> int:
        try:
            header = next(csv.reader(io.StringIO(text[:100_000], newline=""), delimiter=delimiter), [])
        except csv.Error:
            return 0
        return sum(is_known(name) or plain_name(name) in own for name in header)

    usual = "\t" if path.suffix.lower() == ".tsv" else ","
    order = [usual, *(each for each in DELIMITERS if each != usual)]
    return max(order, key=found), text, 0  # the first of equals


def _parquet_rows(path: Path) -> list[Mapping[str, Any]]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise ValueError(f"{path}: Parquet needs pyarrow: pip install pyarrow") from None
    try:
        return list(pyarrow.parquet.read_table(path).to_pylist())
    except pyarrow.ArrowException as error:
        raise ValueError(f"{path} is not a Parquet file ({error})") from None


def _double(names: Sequence[str]) -> str:
    return repr(next(name for name, count in Counter(names).items() if count > 1))
