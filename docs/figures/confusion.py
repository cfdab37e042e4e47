"""The encoder's tags of one sound, unchanged and shifted from a second sound towards a third."""

import matplotlib.pyplot as plt
import torch
from examples import model, references, sound

from earwitness.embeds import Embeds

SOUND, AWAY, TOWARDS = "church_bells.opus", "farm.opus", "rain_and_thunder.opus"
SHARES = (0.0, 0.7, 1.4)  # s / sqrt(2)


@torch.inference_mode()
def draw():
    assert {SOUND, AWAY, TOWARDS} <= set(references())
    tokens = {name: model().listen(sound(name)) for name in (SOUND, AWAY, TOWARDS)}
    shift = tokens[TOWARDS].mean() - tokens[AWAY].mean()
    rows = []
    for share in SHARES:
        h_a = Embeds(tokens[SOUND].values + share * shift[:, None], tokens[SOUND].mask)
        rows.append(model().encoder.tag_probabilities(h_a)[0])
    shown = torch.stack(rows).amax(0).topk(8).indices
    figure, axis = plt.subplots(figsize=(7, 3))
    for i, (share, row) in enumerate(zip(SHARES, rows)):
        places = torch.arange(len(shown)) + 0.27 * (i - 1)
        axis.bar(places, row[shown], 0.25, color=f"{0.2 + 0.3 * i}", label=f"s = {share * 2**0.5:.1f}")
    axis.set(xticks=range(len(shown)), ylabel="probability", title=f"{SOUND}, from {AWAY} towards {TOWARDS}")
    axis.set_xticklabels([model().tag_names[i] for i in shown], rotation=25, ha="right", fontsize=8)
    axis.legend(frameon=False)
    return figure
