"""The README is true: its examples run and its links lead somewhere; docs/layout.md is the file tree."""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PACKAGE = ROOT / "src" / "earwitness"
needs_weights = pytest.mark.skipif(
    not (PACKAGE / "assets" / "mini" / "model.safetensors").is_file(),
    reason="assets/mini holds no model.safetensors yet",
)


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.M | re.S)


def commands() -> list[list[str]]:
    """Every `earwitness ...` line of the shell blocks, split into words."""
    lines = [line for block in blocks("sh") for line in block.splitlines() if line.strip()]
    return [shlex.split(line, comments=True) for line in lines]


def is_sketch(words: list[str]) -> bool:
    """A line that needs what the reader has: BANK, RUN, ... in capitals."""
    return any(re.search(r"(^|=)[A-Z]{3,}", word) for word in words)


def caption_table() -> ModuleType:
    spec = importlib.util.spec_from_file_location("caption_table", ROOT / "examples" / "caption_table.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run(arguments: list[str], folder: Path) -> str:
    environment = os.environ | {"HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, f"{arguments} said\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A working folder that holds examples/, as the repository does."""
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    return tmp_path


@needs_weights
def test_python_example(folder: Path) -> None:
    for block in blocks("python"):
        assert "examples/jet.opus" in run(["-c", block], folder)


@needs_weights
def test_shell_example(folder: Path) -> None:
    for words in commands():
        if not is_sketch(words):
            run(["-c", "from earwitness.cli import main; main()", *words[1:]], folder)
    assert "-->" in (folder / "street.srt").read_text(encoding="utf-8")
    assert len((folder / "captions.jsonl").read_text(encoding="utf-8").splitlines()) == 8


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_command_lines_parse(words: list[str]) -> None:
    """Commands, options and values exist, also on the lines that only the reader can run."""
    from typer.main import get_command

    from earwitness.cli import app

    assert words[0] == "earwitness"
    command = get_command(app).commands[words[1]]  # type: ignore[attr-defined]
    command.make_context(words[1], words[2:])


def test_captions_are_the_models() -> None:
    """The table holds what the built-in model says; scores may differ between machines, captions not."""
    examples = caption_table()
    _, shown, _ = examples.between_marks(README)
    if not (PACKAGE / "assets" / "mini" / "model.safetensors").is_file():
        assert not shown.strip(), "captions without a model that said them"
        pytest.skip("assets/mini holds no model.safetensors yet")
    from earwitness import Captioner

    said = re.findall(r"^\| \[(.+?)\].*\*\*(.+?)\*\*", examples.table(Captioner.from_pretrained()), re.M)
    told = re.findall(r"^\| \[(.+?)\].*\*\*(.+?)\*\*", shown, re.M)
    assert told == said, "run: python examples/caption_table.py"


def test_links_lead_somewhere() -> None:
    targets = [t for t in re.findall(r"\]\(([^)#]+)\)", README) if not t.startswith("http")]
    assert targets
    assert not [target for target in targets if not (ROOT / target).exists()]


def test_file_tree_is_the_tree() -> None:
    layout = (ROOT / "docs" / "layout.md").read_text(encoding="utf-8")
    tree = re.search(r"# Where things are\n+```\n(.*?)```", layout, re.S)
    assert tree
    base, named = ROOT, set()
    for line in tree[1].splitlines():
        names = re.split(r" {2,}", line.strip())[0].split()
        if not line.startswith(" "):
            base = ROOT / names[0]
        for name in names if line.startswith(" ") else names[:1]:
            path = base / name if line.startswith(" ") else base
            assert path.exists(), f"docs/layout.md names {name}, which is not there"
            assert path.is_dir() == name.endswith("/"), f"docs/layout.md: {name}"
            named.add(path)
    there = {p for p in PACKAGE.iterdir() if p.suffix == ".py" or p.is_dir()}
    unnamed = {p.name for p in there - named if not p.name.startswith("__")}
    assert not unnamed, f"docs/layout.md lacks {sorted(unnamed)}"


def test_credits_name_every_example() -> None:
    text = (ROOT / "examples" / "CREDITS.md").read_text(encoding="utf-8")
    references = (ROOT / "examples" / "references.csv").read_text(encoding="utf-8")
    sounds = [p for p in (ROOT / "examples").iterdir() if p.suffix in (".opus", ".flac", ".mp4")]
    assert len(sounds) == 8
    assert sum(p.stat().st_size for p in sounds) < 1.5e6
    for sound in sounds:
        assert text.count(f"`{sound.name}`") >= 2, f"{sound.name}: what was composed, and of what"
        assert f"\n{sound.stem}," in references
