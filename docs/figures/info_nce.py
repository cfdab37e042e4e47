"""Cosines of a LAMB model's mean audio embeddings with the mean embeddings of what was composed."""

import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F
from examples import aligned_model, caption_embeddings, references, sound

from earwitness.losses import info_nce


@torch.inference_mode()
def draw():
    captions = references()
    audio = torch.cat(
        [aligned_model().adapter(aligned_model().listen(sound(name))).mean() for name in captions]
    )
    text = caption_embeddings(aligned_model(), list(captions.values())).mean()
    cosines = F.normalize(audio, dim=1) @ F.normalize(text, dim=1).T
    loss = info_nce(audio, text)
    figure, axis = plt.subplots(figsize=(6.5, 3.6))
    image = axis.imshow(cosines, cmap="RdBu_r", vmin=-0.5, vmax=0.5)
    axis.set_yticks(range(len(captions)), captions)
    axis.set_xticks(range(len(captions)), [f"caption {i}" for i in range(1, len(captions) + 1)], rotation=60)
    axis.set_title(f"InfoNCE {loss:.2f} nats (nothing known: {torch.tensor(len(captions)).log():.2f})")
    figure.colorbar(image, label="cosine")
    return figure
