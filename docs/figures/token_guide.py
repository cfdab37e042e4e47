"""Which tokens a trained Token Guide raises for three sounds."""

import matplotlib.pyplot as plt
import torch
from examples import aligned_model, sound

from earwitness.decoding.guides import Encoded

SOUNDS = ("woman_and_dog.opus", "rain_and_thunder.opus", "church_bells.opus")


@torch.inference_mode()
def draw():
    language_model = aligned_model().language_model
    figure, axes = plt.subplots(1, 3, figsize=(7.5, 3))
    for axis, name in zip(axes, SOUNDS):
        h_a = aligned_model().listen(sound(name))
        encoded = Encoded(h_a, aligned_model().adapter(h_a))
        change = aligned_model().guide.processor(encoded, language_model.token_table).change[0]
        best = change.topk(12).indices
        words = [language_model.decode([i]) for i in best.tolist()]
        axis.barh(words, change[best] - change.median(), color="tab:blue")
        axis.invert_yaxis()
        axis.set_title(name)
        axis.set_xlabel("change of the logit (median: 0)")
    return figure
