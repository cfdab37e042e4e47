"""The tag head's predictions for three sounds, and the model's captions at three weights of the guide."""

import matplotlib.pyplot as plt
import torch
from examples import model, sound

from earwitness.decoding import TagGuide

SOUNDS = ("church_bells.opus", "farm.opus", "telephone.flac")
SHARES = {0.0: "without", 1.0: "with", 2.0: "twice"}


@torch.inference_mode()
def draw():
    guide = next(guide for guide in model().search.guides if isinstance(guide, TagGuide))
    usual = guide.weight
    figure, axes = plt.subplots(1, 3, figsize=(9, 3.4))
    for axis, name in zip(axes, SOUNDS):
        tags = model().encoder.tag_probabilities(model().listen(sound(name)))[0]
        best = tags.topk(6).indices
        axis.barh([model().tag_names[i] for i in best.tolist()], tags[best], color="tab:blue")
        axis.invert_yaxis()
        axis.set_title(name)
        said = []
        for share, label in SHARES.items():
            guide.weight = share * usual
            said.append(f"{label}: {model().caption(sound(name)).texts[0]}")
        axis.set_xlabel("\n".join(said), fontsize=6)
    guide.weight = usual
    return figure
