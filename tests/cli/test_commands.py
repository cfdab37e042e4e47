"""The list of commands is that of their modules, and names the extra of what is not installed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from typer.main import get_command
from typer.testing import CliRunner

import earwitness.cli
from earwitness.cli import app, commands


def test_every_command_is_listed_with_the_first_sentence_of_its_help() -> None:
    found = get_command(app).commands  # type: ignore[attr-defined]
    assert list(found) == list(commands.SUMMARIES)
    for name, command in found.items():
        assert command.name == name and command.help.split("\n")[0] == commands.SUMMARIES[name]


def test_every_module_of_a_command_is_listed() -> None:
    folder = Path(earwitness.cli.__file__).parent
    with_one = {f.stem for f in folder.glob("*.py") if f"\ndef {f.stem}(" in f.read_text("utf-8")}
    with_one |= {f.stem for f in folder.glob("*.py") if "\napp = typer" in f.read_text("utf-8")} - {
        "__init__"
    }
    assert with_one == set(commands.SUMMARIES)


def test_listing_imports_no_command() -> None:
    program = (
        "import sys; from typer.testing import CliRunner; from earwitness.cli import app;"
        "told = CliRunner().invoke(app, ['--help']).output;"
        "assert 'serve' in told and 'Serve captions over' in told;"
        "sys.exit(sorted(m for m in sys.modules if m in ('earwitness.cli.caption', 'av', 'numpy')) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_module_that_is_not_installed_is_named_with_its_extra(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "faiss", None)  # importing it raises
    monkeypatch.setattr(commands, "_load", lambda name: get_command(_importing("faiss")))
    result = CliRunner().invoke(app, ["search"])
    assert result.exit_code == 2 and "pip install 'earwitness[rag]'" in result.stderr
    monkeypatch.setattr(commands, "_load", lambda name: get_command(_importing("no_such_module")))
    assert isinstance(CliRunner().invoke(app, ["search"]).exception, ModuleNotFoundError)


def _importing(module: str):
    import typer

    made = typer.Typer(add_completion=False)

    @made.command()
    def work() -> None:
        try:
            __import__(module)
        except ModuleNotFoundError:
            raise ModuleNotFoundError(f"No module named {module!r}", name=module) from None

    return made


@pytest.mark.parametrize("arguments", ["--version", "caption --help", "nonsense", "caption --nonsense"])
def test_the_program_leaves_with_the_status_of_the_command(arguments: str) -> None:
    program = "import sys; from earwitness.cli import main; sys.argv[0] = 'earwitness'; main()"
    done = subprocess.run([sys.executable, "-c", program, *arguments.split()], capture_output=True, text=True)
    wanted = 2 if "nonsense" in arguments else 0
    assert done.returncode == wanted and (done.stderr if wanted else done.stdout)
