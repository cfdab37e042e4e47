"""What --help prints is what the documentation's pages hold, brackets included."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from earwitness.cli import app

PAGES = sorted((Path(__file__).parents[2] / "docs" / "commands").glob("*.md"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_help_is_the_documentations_copy(page):
    words = page.stem.split("-", 1)  # of a command and its subcommand: data-audiocaps
    shown = CliRunner().invoke(app, [*words, "--help"], prog_name="earwitness", terminal_width=100).output
    written = page.read_text("utf-8").partition("```text\n")[2].partition("\n```")[0]
    assert [line.rstrip() for line in shown.splitlines()] == written.splitlines()


def test_brackets_survive():
    shown = CliRunner().invoke(app, ["caption", "--help"]).output
    assert "[dog barking]" in shown and "[door slams]" in shown


def test_a_command_ends_with_its_last_line(tmp_path):
    """What a model's libraries would tear down for seconds is left to the operating system."""
    code = (
        "import atexit, sys, types\n"
        "sys.modules['torch'] = types.ModuleType('torch')\n"
        f"class Slow:\n def __del__(self): open({str(tmp_path / 'torn down')!r}, 'w')\n"
        "sys.modules['slow'] = Slow()\n"
        "atexit.register(lambda: print('exit function'))\n"
        "from earwitness.cli import main\n"
        "sys.argv = ['earwitness', 'presets', 'no such preset']\n"
        "main()\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.returncode == 2 and "no such preset" in run.stderr
    assert run.stdout == "exit function\n" and not (tmp_path / "torn down").exists()
