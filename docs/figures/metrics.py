"""METEOR's alignment of a caption with a reference."""

import matplotlib.pyplot as plt

from earwitness.metrics.meteor.alignment import align
from earwitness.metrics.meteor.data import load
from earwitness.metrics.meteor.matches import Matcher
from earwitness.metrics.meteor.text import normalize

CANDIDATE = "a man talking and an automobile passing by quickly"
REFERENCE = "a man talks as a car passes by very fast"
STAGES = ("equal", "same stem", "synonym", "paraphrase")


def draw():
    data = load()
    candidate, reference = normalize(CANDIDATE, data), normalize(REFERENCE, data)
    matcher = Matcher(data, [candidate, reference])
    matcher.begin(candidate, [reference])
    chosen, chunks = align(matcher.options(candidate, reference), len(candidate))
    figure, axis = plt.subplots(figsize=(7, 2))
    for height, words in ((1, candidate), (0, reference)):
        for place, word in enumerate(words):
            axis.text(place, height, word, ha="center", va="center", bbox={"fc": "white", "ec": "none"})
    for match in chosen:
        x = (match.i + (match.width - 1) / 2, match.start + (match.length - 1) / 2)
        axis.plot(x, (0.85, 0.15), color=f"C{match.module}", label=STAGES[match.module])
    handles = dict(zip(*axis.get_legend_handles_labels()[::-1]))
    axis.legend(
        handles.values(), handles, loc="lower center", bbox_to_anchor=(0.5, 1), ncols=4, frameon=False
    )
    axis.set(xlim=(-0.6, max(len(candidate), len(reference)) - 0.4), ylim=(-0.2, 1.2))
    axis.set_title(f"{chunks} chunks", loc="right")
    axis.axis("off")
    return figure
