"""The folder of an evaluation: the settings it was begun with, and its captions as they come."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from earwitness.tables import row as table_row

if TYPE_CHECKING:
    from earwitness.captions import Caption


def open_folder(folder: Path, settings: dict[str, Any]) -> Path:
    """The folder, made if need be. Raises ValueError if its captions were made with other settings."""
    path = folder / "settings.json"
    if path.is_file():
        before = json.loads(path.read_text("utf-8"))
        if other := [name for name in settings if before.get(name) != settings[name]]:
            changes = ", ".join(f"{name} {before.get(name)!r}, now {settings[name]!r}" for name in other)
            raise ValueError(f"{folder} holds captions made otherwise ({changes}): name another --out")
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(settings, indent=1) + "\n", "utf-8")
    return folder


class CaptionFile:
    """captions.jsonl, a row a clip: what a stopped run left is kept, but for a last line that is cut off.

    texts: id -> caption.
    """

    def __init__(self, path: Path) -> None:
        before = path.read_bytes() if path.is_file() else b""
        whole = before[: before.rfind(b"\n") + 1]
        try:
            self.texts = {row["id"]: row["caption"] for row in map(json.loads, whole.splitlines())}
        except (ValueError, KeyError, TypeError):
            raise ValueError(f"{path} was not written by this command: name another --out") from None
        self.file = path.open("ab")
        self.file.truncate(len(whole))

    def __enter__(self) -> CaptionFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def add(self, name: str, caption: Caption, model: str) -> None:
        row = table_row(caption, model) | {"id": name}
        line = json.dumps(row, ensure_ascii=False) + "\n"
        self.file.write(line.encode("utf-8", "backslashreplace"))  # file names need not be text
        self.file.flush()
        self.texts[name] = caption.text
