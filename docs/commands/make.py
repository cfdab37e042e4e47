"""Writes a page for each command: what `earwitness COMMAND --help` says.

python docs/commands/make.py
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from typer.main import get_command

from earwitness.cli import app

FOLDER = Path(__file__).parent
WIDTH = 100  # columns


def pages() -> dict[str, str]:
    """File name -> Markdown, one for each command."""
    walked = _walk(get_command(app), "earwitness")
    return {f"{name.split(' ', 1)[1].replace(' ', '-')}.md": page for name, page in walked}


def _walk(command: Any, name: str) -> Iterator[tuple[str, str]]:
    """Every command below this one, at any depth, and its page."""
    for word, child in getattr(command, "commands", {}).items():
        path = f"{name} {word}"
        if hasattr(child, "commands"):
            yield from _walk(child, path)
        else:
            yield path, f"# {path}\n\n```text\n{_help(child, path)}\n```\n"


def _help(command: Any, path: str) -> str:
    context = command.context_class(command, info_name=path, terminal_width=WIDTH)
    return "\n".join(line.rstrip() for line in command.get_help(context).splitlines())


if __name__ == "__main__":
    wanted = pages()
    for stale in FOLDER.glob("*.md"):
        if stale.name not in wanted:
            stale.unlink()
    for name, text in wanted.items():
        (FOLDER / name).write_text(text, encoding="utf-8")
