"""How commands end on errors."""

from pathlib import Path

import pytest
import typer

import earwitness.cli
from earwitness.cli.errors import exit_on_error


def test_an_expected_error_becomes_a_message_and_status_2(capsys) -> None:
    with pytest.raises(typer.Exit) as ended, exit_on_error():
        raise FileNotFoundError("there is no file x.wav")
    assert ended.value.exit_code == 2
    assert capsys.readouterr() == ("", "Error: there is no file x.wav\n")


def test_other_errors_keep_their_traceback() -> None:
    with pytest.raises(ImportError), exit_on_error():
        raise ImportError("a fault of the program")
    with pytest.raises(typer.Exit), exit_on_error(ImportError):
        raise ImportError("an extra that is not installed")


def test_every_command_ends_this_way() -> None:
    folder = Path(earwitness.cli.__file__).parent
    own = [
        f.name
        for f in folder.glob("*.py")
        if '"Error: ' in f.read_text("utf-8") or "Exit(2)" in f.read_text("utf-8")
    ]
    assert own == ["errors.py"]
