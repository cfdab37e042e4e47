"""The folder of an evaluation: its settings, its captions as they are decoded, how long
they took.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from earwitness.tables import UNCORRECTED
from earwitness.tables import row as table_row

if TYPE_CHECKING:
    from earwitness.captions import Caption

SETTINGS, CAPTIONS, TIMING, REPORT = "settings.json", "captions.jsonl", "timing.json", "report.json"


def open_folder(folder: Path, settings: dict[str, Any]) -> Path:
    """The folder, made if need be. Raises ValueError if its captions were made with other settings."""
    path = folder / SETTINGS
    if path.is_file():
        before = json.loads(path.read_text("utf-8"))
        if other := [name for name in settings if before.get(name) != settings[name]]:
            changes = ", ".join(f"{name} {before.get(name)!r}, now {settings[name]!r}" for name in other)
            raise ValueError(f"{folder} holds captions made otherwise ({changes}): name another --out")
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(settings, indent=1) + "\n", "utf-8")
    return folder


class CaptionFile:
    """captions.jsonl, a row a clip: what a stopped run left is kept, except for a last line that is cut off.

    texts: id -> caption. cut: id -> seconds of a clip of which only a window was captioned. corrected: ids of
    captions that a corrector changed.
    """

    def __init__(self, path: Path) -> None:
        before = path.read_bytes() if path.is_file() else b""
        whole = before[: before.rfind(b"\n") + 1]
        try:
            rows = [json.loads(line) for line in whole.splitlines()]
            self.texts = {row["id"]: row["caption"] for row in rows}
        except (ValueError, KeyError, TypeError):
            raise ValueError(f"{path} was not written by this command: name another --out") from None
        self.cut: dict[str, float] = {row["id"]: row["cut_from"] for row in rows if "cut_from" in row}
        self.corrected = {row["id"] for row in rows if UNCORRECTED in row}
        self.file = path.open("ab")
        self.file.truncate(len(whole))

    def __enter__(self) -> CaptionFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def add(self, name: str, caption: Caption, model: str, cut_from: float | None = None) -> None:
        """cut_from: seconds of the whole clip, where the caption is of a window of it."""
        row = table_row(caption, model) | {"id": name}
        if cut_from is not None:
            row["cut_from"] = self.cut[name] = round(cut_from, 3)
        if UNCORRECTED in row:
            self.corrected.add(name)
        line = json.dumps(row, ensure_ascii=False) + "\n"
        self.file.write(line.encode("utf-8", "backslashreplace"))  # file names need not be text
        self.file.flush()
        self.texts[name] = caption.text


def add_time(folder: Path, clips: int, seconds: float) -> dict[str, float]:
    """Adds a run's clips and seconds to timing.json; returns the sums: clips, seconds, seconds_per_clip."""
    path = folder / TIMING
    before = json.loads(path.read_text("utf-8")) if path.is_file() else {"clips": 0, "seconds": 0.0}
    total, taken = before["clips"] + clips, before["seconds"] + seconds
    timing = {"clips": total, "seconds": round(taken, 3)}
    if total:
        timing |= {"seconds_per_clip": round(taken / total, 4), "clips_per_second": round(total / taken, 2)}
        path.write_text(json.dumps(timing, indent=1) + "\n", "utf-8")
    return timing
