"""Draws the figures of docs/ideas, each from the package's own computation; needs earwitness[plots].

python docs/figures/make.py              all of them, some two minutes
python docs/figures/make.py qformer fft  these

Those of LAMB's adapter and Token Guide need EARWITNESS_LAMB, a checkpoint folder that has both.
"""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

import matplotlib
import torch

FOLDER = Path(__file__).parent
STYLE = {
    "svg.hashsalt": "earwitness",  # the same file every time
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 9,
    "figure.constrained_layout.use": True,
    "savefig.dpi": 120,
}


def names() -> list[str]:
    """The figures: every module here with a function `draw`, which returns a matplotlib figure."""
    return sorted(path.stem for path in FOLDER.glob("*.py") if path.stem not in ("make", "examples"))


if __name__ == "__main__":
    matplotlib.use("svg")
    matplotlib.rcParams.update(STYLE)
    for name in sys.argv[1:] or names():
        torch.manual_seed(0)
        try:
            figure = import_module(name).draw()
        except SystemExit as error:  # a model that it needs is missing
            if sys.argv[1:]:
                raise
            print(f"{name}.svg is left as it is: {error}")
            continue
        figure.savefig(FOLDER / f"{name}.svg", metadata={"Date": None})
        print(f"{name}.svg")
