"""A caption, the recordings placed after it, and the resulting scene.

The bank is cut from the example sounds, so that the figure needs nothing else.
"""

import csv
from pathlib import Path
from tempfile import TemporaryDirectory

import matplotlib.pyplot as plt
import soundfile
import torch
from examples import sound

from earwitness.features import log_mel
from earwitness.scenes.bank import Bank
from earwitness.scenes.composer import Composer
from earwitness.scenes.lexicon import Lexicon
from earwitness.scenes.render import render_waveform
from earwitness.scenes.tag_set import TagSet

CAPTION = "A woman speaks while it rains, followed by a dog barking several times"
CUTS = {  # label -> example, from second, to second
    "woman speaking": ("woman_and_dog.opus", 0.2, 5.4),
    "dog barking": ("woman_and_dog.opus", 5.6, 6.6),
    "rain falling": ("rain_and_thunder.opus", 0.0, 3.0),
}
SECONDS = 10.0


def bank(folder: Path) -> Bank:
    (folder / "audio").mkdir()
    with (folder / "manifest.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["path", "label", "group"])
        for label, cut in CUTS.items():
            path = f"audio/{label.replace(' ', '-')}.flac"
            soundfile.write(folder / path, sound(*cut)["waveforms"][0].numpy(), 16_000)
            rows.writerow([path, label, label])
    return Bank.open(folder, workers=1)


def draw():
    with TemporaryDirectory() as folder:
        recordings = bank(Path(folder))
        labels = sorted(CUTS)
        tag_set = TagSet.of(labels, Lexicon.default())
        pool = recordings.subset(frozenset(), inside=False)
        settings = {"seconds": SECONDS, "human": 1.0, "augment": 0.0, "seed": 1}
        scene = Composer(recordings, pool, tag_set, [CAPTION], **settings).plan(0)
        mel = log_mel(torch.from_numpy(render_waveform(scene, recordings))[None])
    figure, (plan, scene_axis) = plt.subplots(2, 1, figsize=(6.5, 3.8), sharex=True, height_ratios=(1, 1.6))
    for placed in scene.placed:
        row = labels.index(recordings.recordings[placed.recording].label)
        plan.barh(row, placed.length / 100, left=placed.onset / 100, color=f"C{row}", edgecolor="white")
    plan.set_yticks(range(len(labels)), labels)
    plan.set_title(f"“{CAPTION}”")
    scene_axis.imshow(
        mel[0], origin="lower", aspect="auto", extent=(0, SECONDS, 0, 64), vmin=mel.max() - 60, cmap="magma"
    )
    scene_axis.set(xlabel="time (s)", ylabel="mel bin")
    return figure
