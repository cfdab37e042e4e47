"""A bank of synthetic recordings: six labels, three or four groups each, noise and tones of known level."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

LABELS = [
    "man speaking",
    "woman speaking",
    "dog barking",
    "rain falling",
    "bell ringing",
    "car engine running",
]
RATE = 16_000


def write_bank(folder: Path, groups: int = 4) -> Path:
    """Writes FOLDER/manifest.csv and FOLDER/audio/*.wav; one recording a group, 0.4 to 2 s long."""
    import soundfile

    rng = np.random.default_rng(0)
    (folder / "audio").mkdir(parents=True)
    rows = []
    for k, label in enumerate(LABELS):
        for g in range(groups):
            seconds = 0.4 + 0.4 * g
            t = np.arange(int(seconds * RATE)) / RATE
            tone = np.sin(2 * np.pi * (200 * (k + 1) + 15 * g) * t)
            sound = 0.3 * tone * (1 + np.sin(2 * np.pi * (k + 1) * t)) + 0.01 * rng.standard_normal(len(t))
            name = f"audio/{label.replace(' ', '-')}-{g}.wav"
            soundfile.write(folder / name, np.concatenate([np.zeros(1600), sound, np.zeros(1600)]), RATE)
            rows.append([name, label, f"a {label}", f"group-{k}-{g}", "synthetic", "CC0", "yes"])
    with (folder / "manifest.csv").open("w", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(
            ["path", "label", "caption_hint", "group", "source_repo", "license", "redistributable"]
        )
        writer.writerows(rows)
    return folder
