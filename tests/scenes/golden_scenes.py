"""Golden values of what is drawn from seeds: synthetic recordings, planned and rendered scenes, mixtures.

    python -m tests.scenes.golden_scenes     # records them anew, into tests/golden/scenes.json

The recipe of a model names seeds: the same ones must give the same clips in every version. A change of a
formula, a range or the order of draws is made on purpose, with these values recorded anew.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from earwitness.scenes.bank import Bank
from earwitness.scenes.composer import Composer, Scene
from earwitness.scenes.lexicon import Lexicon
from earwitness.scenes.mixing import Mixer
from earwitness.scenes.render import render
from earwitness.scenes.synthesis import MAKERS, synthesise
from earwitness.scenes.tag_set import TagSet

FILE = Path(__file__).parents[1] / "golden" / "scenes.json"
IN_FRAMES = ("source", "length", "onset")
NUMBERS = (3, 4)  # of the synthetic recordings of each label
CAPTIONS = [
    "A dog barks several times followed by a man speaking",
    "Rain falls as a bell rings in the background",
]
CAPTIONS += ["A loud engine runs", "A crowd of people talk", "Women speak then a dog barks"]


def fingerprint(values: Any) -> list[float]:
    """How many values there are, their root mean square, and two sums of all with random weights.

    A change of any value changes the sums, which are divided by the root of the sum of squares.
    """
    x = np.asarray(values, np.float64).ravel()
    weights = np.random.default_rng(len(x)).standard_normal((2, len(x)))
    power = float(np.sqrt(np.square(x).sum()))
    return [
        float(f"{value:.8g}") for value in (len(x), power / len(x) ** 0.5, *(weights @ x / (power or 1.0)))
    ]


def numbers_of(scene: Scene) -> list[float]:
    """All numbers of a plan in one row, those of frames in seconds; of the caption its length."""
    row = [scene.frames / 100, *scene.tags, scene.seed / 2**31, len(scene.caption)]
    for part in (*scene.placed, scene.channel):
        for name, value in vars(part).items():
            row += (np.ravel(value) / (100 if name in IN_FRAMES else 1)).tolist()
    return row


def synthetic(label: str) -> list[list[float]]:
    return [fingerprint(synthesise(label, number)) for number in NUMBERS]


def of_bank(bank: Bank) -> dict[str, list[list[float]]]:
    """Of a bank as tests/bank_fixture.py writes it: tables, scenes with and without a channel, mixtures."""
    tags = TagSet.of(sorted({r.label for r in bank.recordings}), Lexicon.default())
    pool = bank.subset(frozenset(), inside=False)
    found = {"bank": [fingerprint(x) for x in (bank.level, bank.colour, bank.start, bank.samples)]}
    for name, options in {"plain": {"augment": 0.0}, "full": {"augment": 1.0, "balance": 0.5}}.items():
        composer = Composer(bank, pool, tags, CAPTIONS, seconds=3, seed=5, **options)
        plans = [composer.plan(i) for i in range(40)]
        found[f"plans {name}"] = [fingerprint(numbers_of(scene)) for scene in plans]
        waveforms, targets = render(plans[:10], bank, len(tags.names))
        found[f"waveforms {name}"] = [fingerprint(x) for x in waveforms]
        found[f"targets {name}"] = [fingerprint(targets)]
    mixer = Mixer(bank, range(len(bank.recordings)), seed=5)
    found["mixtures"] = [fingerprint(x) for i in range(3) for x in mixer.batch(i, 8, 1.0)]
    return found


def main() -> None:
    from tests.bank_fixture import write_bank

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        bank = Bank.open(write_bank(Path(folder) / "bank"), Path(folder), workers=1)
        values = of_bank(bank) | {label: synthetic(label) for label in MAKERS}
    rows = [f"{json.dumps(name)}: {json.dumps(rows)}" for name, rows in values.items()]
    FILE.write_text("{\n" + ",\n".join(rows) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
