"""Where the queries of two trained streams look."""

import matplotlib.pyplot as plt
import torch
from examples import aligned_model, sound

from earwitness.features import log_mel


def attention(reader, x):
    """Weights of QueryAttention, mean over heads: [queries, tokens]."""
    q, k = reader._split(reader.to_q(reader.queries)[None]), reader._split(reader.to_k(x.values))
    return (q @ k.mT / q.shape[-1] ** 0.5).softmax(-1).mean(1)[0]


@torch.inference_mode()
def draw():
    clip = sound("woman_and_dog.opus")
    h_a = aligned_model().listen(clip)
    adapter = aligned_model().adapter
    panels = {
        "log-mel: a woman speaks, then a dog barks": log_mel(clip["waveforms"])[0, :, ::4],
        "semantic queries": attention(adapter.semantic, h_a),
        "temporal queries": attention(adapter.temporal, adapter.temporal_encoder(h_a)),
    }
    seconds = clip["waveforms"].shape[1] / 16_000
    figure, axes = plt.subplots(3, 1, figsize=(6.5, 4.2), sharex=True)
    for axis, (title, values) in zip(axes, panels.items()):
        low = values.max() - 60 if values.shape[0] == 64 else 0
        extent = (0, seconds, 0, len(values))
        axis.imshow(values, origin="lower", aspect="auto", extent=extent, vmin=low, cmap="magma")
        axis.set_title(title)
    axes[0].set_ylabel("mel bin")
    axes[1].set_ylabel("query")
    axes[2].set(ylabel="query", xlabel="time (s)")
    return figure
