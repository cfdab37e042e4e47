from __future__ import annotations

import pytest
from typer.testing import CliRunner

from earwitness.cli import app


@pytest.fixture
def run(tiny_checkpoint):
    """`earwitness caption` with the tiny checkpoint; its status must be the one expected."""

    def run(*arguments: object, status: int = 0):
        command = ["caption", *map(str, arguments), "--model", str(tiny_checkpoint), "--device", "cpu"]
        result = CliRunner().invoke(app, command, env={"COLUMNS": "200"})
        assert result.exit_code == status, (result.output, result.exception)
        return result

    return run
