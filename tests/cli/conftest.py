from __future__ import annotations

import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from earwitness.checkpoints.folder import save_checkpoint
from earwitness.cli import app
from earwitness.config.model import ModelConfig

sys.path += [str(Path(__file__).parents[1]), str(Path(__file__).parents[1] / "systems")]
from test_presets import build, tiny

from tiny_parts import write_chat_model, write_clap, write_error_detector


@pytest.fixture
def run(tiny_checkpoint):
    """`earwitness caption` with the tiny checkpoint; its status must be the one expected."""

    def run(*arguments: object, status: int = 0):
        command = ["caption", *map(str, arguments), "--model", str(tiny_checkpoint), "--device", "cpu"]
        result = CliRunner().invoke(app, command, env={"COLUMNS": "200"})
        assert result.exit_code == status, (result.output, result.exception)
        return result

    return run


@pytest.fixture(scope="session")
def clap(tmp_path_factory) -> Path:
    return write_clap(tmp_path_factory.mktemp("clap"))


@pytest.fixture(scope="session")
def everything(tmp_path_factory, clap) -> Path:
    """A checkpoint of the preset `all` at tiny width."""
    folder = tmp_path_factory.mktemp("all")
    data = tiny("all")[0].model_dump()
    data["rerank"]["source"] = str(clap)
    data["correction"]["source"] = str(write_chat_model(folder / "chat"))
    data["correction"]["detector"] = str(write_error_detector(folder / "detector", bias=20.0))
    save_checkpoint(build(ModelConfig.model_validate(data)), folder / "checkpoint")
    return folder / "checkpoint"
