"""Reference values of the standard tools, and METEOR's index in a cache of its own."""

from __future__ import annotations

import gzip
import importlib.util
import json
import os
from pathlib import Path
from typing import Any

import pytest

GOLDEN = Path(__file__).parents[1] / "golden" / "metrics.json.gz"


@pytest.fixture(scope="session")
def golden() -> dict[str, Any]:
    return json.loads(gzip.decompress(GOLDEN.read_bytes()))


@pytest.fixture(scope="session")
def shared() -> Path:
    """The full reference files, for who has them."""
    folder = os.environ.get("EARWITNESS_SHARED")
    if not folder:
        pytest.skip("EARWITNESS_SHARED does not name the folder of full reference files")
    return Path(folder) / "metrics"


@pytest.fixture(scope="session")
def meteor_data() -> Any:
    """METEOR's word data; built into the user's cache if they are not there yet (under a minute)."""
    if importlib.util.find_spec("pycocoevalcap") is None:
        pytest.skip("pycocoevalcap is not installed")
    from earwitness.metrics.meteor.data import load

    return load()
