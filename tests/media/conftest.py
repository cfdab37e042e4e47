"""One sound in every kind of file."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1]))  # test modules are imported on their own
from media_samples import KINDS, encode, rate_of, tones


@pytest.fixture(scope="session")
def files() -> dict[str, bytes]:
    """Six seconds of stereo in every kind of file."""
    return {kind: encode(tones(6.0, rate_of(kind), 2), rate_of(kind), kind) for kind in KINDS}
