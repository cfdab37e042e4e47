"""How near each example sound is to each caption: by means of embeddings, and in the joint space."""

import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F
from examples import caption_embeddings, model, references, sound

from earwitness.decoding.beam_choice import MeanSpace


@torch.inference_mode()
def draw():
    sounds = references()
    z_t = caption_embeddings(model(), list(sounds.values()))
    figure, axes = plt.subplots(1, 2, figsize=(7, 3.4), sharey=True)
    titles = ("means of embeddings", "joint space")
    for axis, space, title in zip(axes, (MeanSpace(), model().space), titles):
        vectors = []
        for name in sounds:
            h_a = model().listen(sound(name))
            vectors.append(F.normalize(space.embed_audio(h_a, model().adapter(h_a)), dim=1))
        match = torch.cat(vectors) @ F.normalize(space.embed_text(z_t), dim=1).T
        axis.imshow(match, cmap="Oranges")
        for row, column in enumerate(match.argmax(1).tolist()):
            axis.plot(column, row, "o", color="tab:green" if row == column else "tab:red", markersize=4)
        axis.set(title=title, xlabel="its caption", xticks=range(len(sounds)), yticks=range(len(sounds)))
        axis.set_xticklabels([name.partition(".")[0] for name in sounds], rotation=60, ha="right", fontsize=7)
        axis.set_yticklabels([name.partition(".")[0] for name in sounds], fontsize=7)
    return figure
