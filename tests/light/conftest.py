"""The package as its core dependencies leave it: the built-in model, without torch.

These tests also run where torch is installed; there they check that it is not imported.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
EXPECTED = json.loads(Path(__file__).with_name("expected.json").read_text("utf-8"))
PROGRAM = """
import sys
from earwitness.cli import app
status = app(sys.argv[1:], standalone_mode=False)
heavy = {"torch", "transformers", "tokenizers", "peft", "safetensors", "huggingface_hub", "scipy"}
heavy &= set(sys.modules)
sys.exit(f"imported {heavy}" if heavy else status)
"""

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run() -> Run:
    """`earwitness ARGUMENTS` in a process of its own, which must not import torch; its status is expected."""

    def run(*arguments: object, status: int = 0) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", PROGRAM, *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert done.returncode == status, done.stderr
        return done

    return run
