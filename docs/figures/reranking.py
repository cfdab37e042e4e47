"""Eight beams for one sound, ordered by the search and by likeness to the sound."""

import matplotlib.pyplot as plt
import torch
from examples import caption_embeddings, model, sound

from earwitness.decoding.rerank import rerank

SOUND = "rain_and_thunder.opus"


@torch.inference_mode()
def draw():
    clip = sound(SOUND)
    h_a = model().listen(clip)
    own = model().space.embed_audio(h_a, model().adapter(h_a)).numpy()
    decoded = model().caption(clip, beams=8, num_return_sequences=8)
    (ranked,) = rerank(
        [decoded.texts],
        own,
        lambda texts: model().space.embed_text(caption_embeddings(model(), texts)).numpy(),
    )
    figure, axis = plt.subplots(figsize=(7, 3))
    for entry in ranked:
        chosen = entry is ranked[0]
        axis.barh(entry.beam, entry.similarity, color="tab:orange" if chosen else "0.8")
        label = f"{entry.caption} ({decoded.scores[entry.beam].exp():.2f})"
        axis.text(0.005, entry.beam, label, va="center", weight="bold" if chosen else "normal")
    axis.set(xlabel="cosine with the sound", ylabel="place in the search", yticks=range(8))
    axis.invert_yaxis()
    axis.set_title(SOUND)
    return figure
