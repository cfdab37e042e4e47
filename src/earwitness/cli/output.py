"""Where captions go: a printed table, rows in a file, subtitles beside the media."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from earwitness.captions import Caption
from earwitness.subtitles import COLUMNS, UNCORRECTED, row, write_srt, write_vtt

ROWS, SUBTITLES = (".jsonl", ".csv"), (".srt", ".vtt")


class OutputError(ValueError):
    """An output that cannot be written as asked."""


class Output(Protocol):
    def has(self, path: str) -> bool:
        """Whether the captions of this file are there already."""

    def refuses(self, path: str) -> str | None:
        """Why this file's captions must not be written, if so."""

    def write(self, path: str, captions: Sequence[Caption]) -> None:
        """All captions of one file."""

    def close(self) -> None: ...


class Table:
    """Printed at the end, for eyes."""

    def __init__(self) -> None:
        self.rows: list[Caption] = []

    def has(self, path: str) -> bool:
        return False

    def refuses(self, path: str) -> str | None:
        return None

    def write(self, path: str, captions: Sequence[Caption]) -> None:
        self.rows += captions

    def close(self) -> None:
        from rich.box import SIMPLE_HEAD
        from rich.console import Console
        from rich.table import Table as RichTable
        from rich.text import Text

        if not self.rows:
            return
        console = Console(highlight=False)
        if not console.is_terminal:
            console.width = max(console.width, 120)
        table = RichTable(box=SIMPLE_HEAD, pad_edge=False)
        table.add_column("file", overflow="fold")
        table.add_column("time", no_wrap=True)
        table.add_column("caption", style="bold", min_width=20)
        table.add_column("score", justify="right")
        table.add_column("tags", style="dim")
        for c in self.rows:
            tags = ", ".join(f"{name} {probability:.2f}" for name, probability in c.tags)
            cells = [c.source, f"{clock(c.start)}–{clock(c.end)}", c.text, f"{c.score:.2f}", tags]
            table.add_row(*map(Text, cells))
        console.print(table)


class RowFile:
    """JSONL or CSV, one row a caption; all rows of a file are written at once, as soon as they are known.

    resume: keep what is there. A last row cut off in the middle is dropped with all rows of its file.
    corrected: a CSV file has a column for what was said before a correction.
    """

    def __init__(self, path: Path, model: str, *, resume: bool = False, corrected: bool = False) -> None:
        self.path, self.model, self.as_json = path, model, path.suffix.lower() == ".jsonl"
        self.columns = (*COLUMNS, UNCORRECTED) if corrected else COLUMNS
        kept = self._kept() if resume and path.is_file() else []
        self.done = {row["path"] for row in kept}
        path.parent.mkdir(parents=True, exist_ok=True)
        head = "" if self.as_json else _csv_line(self.columns)
        fresh = path.with_name(path.name + ".part")
        fresh.write_text(head + "".join(map(self._line, kept)), "utf-8", "backslashreplace")
        os.replace(fresh, path)
        self.file = path.open("a", encoding="utf-8", errors="backslashreplace", newline="")

    def has(self, path: str) -> bool:
        return path in self.done

    def refuses(self, path: str) -> str | None:
        return None

    def write(self, path: str, captions: Sequence[Caption]) -> None:
        self.file.write("".join(self._line(row(caption, self.model)) for caption in captions))
        self.file.flush()
        self.done.add(path)

    def close(self) -> None:
        self.file.close()

    def _line(self, row: dict[str, Any]) -> str:
        if self.as_json:
            return json.dumps(row, ensure_ascii=False) + "\n"
        tags = row["tags"]
        if not isinstance(tags, str):  # it is one already where a CSV file was read
            tags = "; ".join(f"{name} {probability:.4f}" for name, probability in tags)
        return _csv_line([tags if column == "tags" else row.get(column, "") for column in self.columns])

    def _kept(self) -> list[dict[str, Any]]:
        text = self.path.read_text("utf-8", "replace")
        whole, newline, torn = text.rpartition("\n")
        try:
            if self.as_json:
                rows = [json.loads(line) for line in whole.split("\n") if line.strip()]
            else:
                rows = list(csv.DictReader(io.StringIO(whole + newline)))
            optional = {UNCORRECTED} if self.as_json else set()
            if any(set(row) - optional != set(self.columns) - optional for row in rows):
                raise ValueError("its columns are others")
        except (ValueError, TypeError) as error:
            raise OutputError(
                f"{self.path} was not written by this command ({error}): name another --out"
            ) from None
        return [row for row in rows if row["path"] != rows[-1]["path"]] if torn else rows


class Subtitles:
    """One .srt or .vtt for each media file: beside it, or where `target` says."""

    def __init__(self, suffix: str, *, target: Path | None = None, overwrite: bool = False) -> None:
        self.suffix, self.target, self.overwrite = suffix, target, overwrite or target is not None

    def path_for(self, path: str) -> Path:
        return self.target or Path(path).with_suffix(self.suffix)

    def has(self, path: str) -> bool:
        return self.path_for(path).is_file()

    def refuses(self, path: str) -> str | None:
        """Why this file's subtitles cannot be written: they may be its dialogue, made by someone else."""
        if self.has(path) and not self.overwrite:
            return f"{self.path_for(path)} is there already; --overwrite replaces it, --resume skips the file"
        return None

    def write(self, path: str, captions: Sequence[Caption]) -> None:
        (write_srt if self.suffix == ".srt" else write_vtt)(captions, self.path_for(path))

    def close(self) -> None:
        pass


def clock(seconds: float) -> str:
    """75.25 -> "1:15.2", 3675.25 -> "1:01:15.2"."""
    tenths = int(seconds * 10)
    hours, minutes, rest = tenths // 36_000, tenths // 600 % 60, tenths % 600 / 10
    return f"{hours}:{minutes:02}:{rest:04.1f}" if hours else f"{minutes}:{rest:04.1f}"


def _csv_line(cells: Sequence[Any]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(cells)
    return line.getvalue()
