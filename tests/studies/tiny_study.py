"""What a study needs, tiny: folders of CED and Llama as they are published, clips with captions."""

from __future__ import annotations

import json
import re
import shlex
import sys
from pathlib import Path

import numpy as np
import soundfile
import torch

sys.path.append(str(Path(__file__).parents[1] / "systems"))
CAPTIONS = [
    "a dog barks and a man speaks",
    "rain falls on a roof",
    "birds sing while wind blows",
    "a bell rings",
]
TINY = [
    "model.encoder.size=null",
    "stages.*.data.epochs=1",
    "stages.*.batch_size=2",
    "stages.*.workers=0",
    "report_to=[]",
]


PAGE = Path(__file__).parents[2] / "docs" / "howto" / "papers.md"


def block(section: str, language: str) -> str:
    """The first block in a language in a section of the how-to of the papers' tables."""
    text = PAGE.read_text("utf-8").partition(f"\n## {section}\n")[2]
    found = re.search(rf"^```{language}\n(.*?)^```$", text, re.M | re.S)
    assert found, (section, language)
    return found[1]


def commands(section: str) -> list[list[str]]:
    """The words of the commands in a section's first block of them, without the program's name."""
    return [shlex.split(line)[1:] for line in block(section, "sh").splitlines()]


def write_towers(folder: Path) -> None:
    """ced-base and Llama-2-7b-hf: width 24, layouts of the hub."""
    from test_presets import TINY_LLAMA
    from test_published_layouts import hugging_face, write_language_model

    from earwitness.encoders.ced import CedEncoder

    torch.manual_seed(0)
    (folder / "ced-base").mkdir()
    hugging_face(CedEncoder(dim=24, depth=2, heads=2), folder / "ced-base")
    write_language_model(folder / "Llama-2-7b-hf", TINY_LLAMA)


def write_clip(path: Path, seed: int, seconds: float = 1.0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    time = np.arange(int(16_000 * seconds)) / 16_000
    tone = np.sin(2 * np.pi * rng.uniform(200, 2000) * time)
    soundfile.write(path, 0.2 * tone + 0.02 * rng.standard_normal(len(time)), 16_000)


def write_split(path: Path, count: int, seed: int) -> None:
    rows = []
    for i in range(count):
        write_clip(path.parent / f"{path.stem}{i}.wav", seed + i)
        rows.append({"id": f"{path.stem}{i}", "audio": f"{path.stem}{i}.wav", "captions": [CAPTIONS[i % 4]]})
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
