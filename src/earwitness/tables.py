"""Captions as tables: JSONL, CSV and Parquet, written and read a row at a time.

A row holds the keys of COLUMNS, and UNCORRECTED where the caption was corrected; `tags` is [[name,
probability], ...]. Names of files need not be valid Unicode: in every format a byte or code point that UTF-8
cannot hold is written as an escape, latin\\xe9.wav, and read back as it was (`spelled`, `unspelled`).
"""

from __future__ import annotations

import csv
import io
import json
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from earwitness.atomic_write import atomic_write

if TYPE_CHECKING:
    from earwitness.captions import Caption

COLUMNS = ("id", "path", "start", "end", "caption", "score", "logprob", "tags", "model")
UNCORRECTED = "uncorrected"  # one column more, in rows whose caption was corrected: what it was before
OPTIONAL = {UNCORRECTED, "logprob"}  # tables of an earlier version lack the second
NUMBERS = ("start", "end", "score", "logprob")
# What `spelled` escapes, and a backslash that begins what would else be read as an escape.
_UNSPELLABLE = re.compile(r"[\ud800-\udfff]|\\(?=x(?:5c|[89a-f][0-9a-f])|ud[89a-f][0-9a-f]{2})")
_SPELLED = re.compile(r"\\x(5c|[89a-f][0-9a-f])|\\u(d[89a-f][0-9a-f]{2})")
ROW_GROUP = 10_000  # rows of a Parquet file that are written together

Row = dict[str, Any]


def row(caption: Caption, model: str = "", name: str | None = None) -> Row:
    """The row of a caption: times to the millisecond, probabilities to four digits.

    name: its id; default: the path without its extension.
    """
    corrected = {} if caption.uncorrected is None else {UNCORRECTED: caption.uncorrected}
    return {
        "id": without_extension(caption.source) if name is None else name,
        "path": str(caption.source),
        "start": round(float(caption.start), 3),
        "end": round(float(caption.end), 3),
        "caption": caption.text,
        "score": round(float(caption.score), 4),
        "logprob": None if caption.logprob is None else round(float(caption.logprob), 4),
        "tags": [[name, round(float(probability), 4)] for name, probability in caption.tags],
        "model": model,
    } | corrected


def without_extension(path: str) -> str:
    """ "a/b.wav" -> "a/b", with forward slashes on every system."""
    return Path(path).with_suffix("").as_posix() if Path(path).name else path


def file_ids(files: Sequence[str], arguments: Iterable[str | os.PathLike[str]]) -> dict[str, str]:
    """An id for each file, unique among them: its path from the folder that all `arguments` share.

    arguments: files and folders in which the files were found. The extension is left out, except where two
    files differ in nothing else.
    """
    folders = [path if (path := Path(argument)).is_dir() else path.parent for argument in arguments]
    base = os.path.commonpath([os.path.abspath(folder) for folder in folders]) if folders else os.curdir
    paths = [Path(os.path.relpath(os.path.abspath(file), base)).as_posix() for file in files]
    counts = Counter(map(without_extension, paths))
    short = {path: without_extension(path) for path in paths}
    return {file: path if counts[short[path]] > 1 else short[path] for file, path in zip(files, paths)}


def spelled(text: str) -> str:
    """A name as valid Unicode: an undecodable byte as "\\xe9", another lone surrogate as "\\ud800".

    A backslash that would be read as the beginning of such an escape is written "\\x5c".
    """

    def escape(found: re.Match[str]) -> str:
        code = ord(found[0])
        return (
            "\\x5c"
            if code == 0x5C
            else f"\\x{code - 0xDC00:02x}"
            if 0xDC80 <= code <= 0xDCFF
            else f"\\u{code:04x}"
        )

    return _UNSPELLABLE.sub(escape, text)


def unspelled(text: str) -> str:
    """The name that `spelled` wrote."""

    def restore(found: re.Match[str]) -> str:
        code = int(found[1] or found[2], 16)
        return "\\" if code == 0x5C else chr(code + 0xDC00 if found[1] else code)

    return _SPELLED.sub(restore, text)


def write_rows(rows: Iterable[Row], path: str | os.PathLike[str], *, corrected: bool = False) -> None:
    """Writes a table in the format that the name ends in (FORMATS), whole or not at all.

    corrected: CSV and Parquet get the column UNCORRECTED. Raises ValueError for another ending.
    """
    columns = (*COLUMNS, UNCORRECTED) if corrected else COLUMNS
    write, _ = _format(path)
    with atomic_write(path) as file:
        write(file, (each | _names(each, spelled) for each in rows), columns)


def read_rows(path: str | os.PathLike[str]) -> Iterator[Row]:
    """The rows of a table that `write_rows` wrote. Raises ValueError, naming the file, for anything else."""
    _, read = _format(path)
    with open(path, "rb") as file:
        try:
            for found in read(file):
                _check(found)
                found.setdefault("logprob", None)  # of a table of an earlier version
                yield found | _names(found, unspelled)
        except (ValueError, TypeError, KeyError) as error:  # JSON's and Unicode's errors are ValueErrors
            raise ValueError(f"{path} is no table of captions ({error})") from None


def is_table(path: str | os.PathLike[str]) -> bool:
    """Whether this is a file that begins as `write_rows` writes them. Raises OSError."""
    if Path(path).suffix.lower() not in FORMATS:
        return False
    try:
        return next(read_rows(path), None) is not None
    except ValueError:
        return False


def _check(columns: Iterable[str]) -> None:
    if set(columns) | OPTIONAL != set(COLUMNS) | OPTIONAL:
        raise ValueError("its columns are others")


def _names(each: Row, change: Callable[[str], str]) -> Row:
    return {key: change(each[key]) for key in ("id", "path") if isinstance(each.get(key), str)}


def write_lines(objects: Iterable[Row], path: str | os.PathLike[str]) -> None:
    """Any objects as JSON lines, whole or not at all."""
    with atomic_write(path) as file:
        _write_jsonl(file, objects, ())


def _write_jsonl(file: IO[bytes], rows: Iterable[Row], columns: tuple[str, ...]) -> None:
    for each in rows:
        file.write((json.dumps(each, ensure_ascii=False) + "\n").encode("utf-8", "backslashreplace"))


def _read_jsonl(file: IO[bytes]) -> Iterator[Row]:
    return (json.loads(line) for line in file if line.strip())


def _write_csv(file: IO[bytes], rows: Iterable[Row], columns: tuple[str, ...]) -> None:
    text = io.TextIOWrapper(file, "utf-8", "backslashreplace", newline="", write_through=True)
    # every text in quotes: csv would leave a carriage return bare, and take it for the end of a row
    table = csv.DictWriter(text, columns, "", "ignore", lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
    table.writeheader()
    for each in rows:
        table.writerow(each | {"tags": "; ".join(f"{name} {p:.4f}" for name, p in each["tags"])})
    text.detach()


def _read_csv(file: IO[bytes]) -> Iterator[Row]:
    text = io.TextIOWrapper(file, "utf-8", newline="")
    table = csv.DictReader(text)
    _check(table.fieldnames or ())
    for each in table:
        tags = (tag.rpartition(" ") for tag in each["tags"].split("; ") if tag)
        numbers = {name: float(each[name]) if each.get(name) else None for name in NUMBERS}
        yield each | numbers | {"tags": [[name, float(probability)] for name, _, probability in tags]}


def _write_parquet(file: IO[bytes], rows: Iterable[Row], columns: tuple[str, ...]) -> None:
    pa, parquet = _arrow()
    tag = pa.struct([("name", pa.string()), ("probability", pa.float64())])
    kinds = dict.fromkeys(NUMBERS, pa.float64()) | {"tags": pa.list_(tag)}
    schema = pa.schema([(name, kinds.get(name, pa.string())) for name in columns])
    rows = iter(rows)
    with parquet.ParquetWriter(file, schema) as table:
        while group := list(islice(rows, ROW_GROUP)):
            table.write_table(pa.Table.from_pylist([_for_arrow(each) for each in group], schema))


def _read_parquet(file: IO[bytes]) -> Iterator[Row]:
    pa, parquet = _arrow()
    try:
        for batch in parquet.ParquetFile(file).iter_batches(ROW_GROUP):
            for each in batch.to_pylist():
                if each.get(UNCORRECTED, "") is None:
                    del each[UNCORRECTED]
                yield each | {"tags": [[tag["name"], tag["probability"]] for tag in each["tags"]]}
    except pa.ArrowException as error:
        raise ValueError(error) from None


def _for_arrow(each: Row) -> Row:
    tags = [{"name": name, "probability": probability} for name, probability in each["tags"]]
    return each | {"tags": tags}


def _arrow() -> Any:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise ValueError("Parquet needs pyarrow: pip install pyarrow, or name a .jsonl or .csv") from None
    return pyarrow, pyarrow.parquet


Write = Callable[[IO[bytes], Iterable[Row], tuple[str, ...]], None]
Read = Callable[[IO[bytes]], Iterator[Row]]
FORMATS: dict[str, tuple[Write, Read]] = {
    ".jsonl": (_write_jsonl, _read_jsonl),
    ".csv": (_write_csv, _read_csv),
    ".parquet": (_write_parquet, _read_parquet),
}


def _format(path: str | os.PathLike[str]) -> tuple[Write, Read]:
    if (ending := Path(path).suffix.lower()) not in FORMATS:
        raise ValueError(f"{path}: choose a name that ends in {', '.join(FORMATS)}")
    return FORMATS[ending]
