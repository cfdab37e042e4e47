"""The documentation is true: help pages are those of the program, examples run, figures and numbers exist."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest
from typer.main import get_command

from earwitness.cli import app

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
IDEAS = sorted((DOCS / "ideas").glob("*.md"))
PAGES = [page for page in sorted(DOCS.rglob("*.md")) if "_build" not in page.parts]


def script(path: Path) -> ModuleType:
    spec = spec_from_file_location(f"docs_{path.parent.name}", path)
    assert spec and spec.loader
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text("utf-8"), re.M | re.S)


def command_lines() -> list[str]:
    lines = [line for page in PAGES for block in blocks(page, "sh") for line in block.splitlines()]
    return sorted({line for line in lines if line.startswith("earwitness ")})


def test_help_pages_are_the_programs() -> None:
    folder = DOCS / "commands"
    written = {page.name: page.read_text("utf-8") for page in folder.glob("*.md")}
    assert written == script(folder / "make.py").pages(), "run: python docs/commands/make.py"


@pytest.mark.parametrize("line", command_lines())
def test_command_lines_parse(line: str) -> None:
    """Commands, options and values exist, also where only the reader has the files."""
    _, name, *words = shlex.split(line.partition(" > ")[0], comments=True)
    get_command(app).commands[name].make_context(name, words)  # type: ignore[attr-defined]


def test_quick_start_runs(tmp_path: Path) -> None:
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    (code,) = blocks(DOCS / "index.md", "python")
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=os.environ | {"HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    first, *windows, last = done.stdout.splitlines()
    assert "dog" in first
    times = [re.findall(r"(\d+\.\d) (?:to|s:)", line) for line in windows]
    assert times[0][0] == "0.0" and times[-1][1] == "20.0"
    assert [end for _, end in times[:-1]] == [start for start, _ in times[1:]]
    assert 0 < float(last) < 1


def test_figures_are_those_that_are_drawn() -> None:
    """Each script that draws has drawn its figure, and each figure stands on one page."""
    scripts = (DOCS / "figures").glob("*.py")
    drawn = sorted(path.stem for path in scripts if "\ndef draw(" in path.read_text("utf-8"))
    assert drawn == sorted(figure.stem for figure in (DOCS / "figures").glob("*.svg"))
    text = "".join(page.read_text("utf-8") for page in IDEAS)
    assert drawn == sorted(re.findall(r"!\[[^\]]+\]\(\.\./figures/(\w+)\.svg\)", text))


@pytest.mark.parametrize("page", IDEAS, ids=lambda page: page.stem)
def test_an_idea_is_whole(page: Path) -> None:
    """Equation, figure, file, measured effect; and every measured number stands in the log."""
    text = page.read_text("utf-8")
    assert "$$" in text and "](../figures/" in text and "](../../src/earwitness/" in text
    measured = text.partition("## Measured effect\n")[2]
    assert measured
    log = (DOCS / "LOG.md").read_text("utf-8")
    numbers = re.findall(r"(?<![\w.])(?:\d+\.|\.)\d+", measured)
    assert not [number for number in numbers if number not in log]
    assert numbers or "Not measured yet" in measured


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(DOCS)))
def test_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text("utf-8"))
    assert not [target for target in targets if not (page.parent / target).exists()]


@pytest.mark.exhaustive
def test_builds_without_a_warning(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sphinx", "-qW", "--keep-going", str(DOCS), str(tmp_path)]
    done = subprocess.run(command, env=os.environ | {"HF_HUB_OFFLINE": "1"}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "<math" in (tmp_path / "ideas" / "token_guide.html").read_text("utf-8")
