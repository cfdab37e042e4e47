"""Captions drawn for one sound, and what each gains or loses by its reward among the example sounds."""

import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F
from examples import caption_embeddings, model, references, sound

SOUND, DRAWN, TEMPERATURE = "church_bells.opus", 8, 0.07


@torch.inference_mode()
def draw():
    torch.manual_seed(0)
    texts = model().caption(sound(SOUND), beams=1, do_sample=True, num_return_sequences=DRAWN).texts
    own = list(references()).index(SOUND)
    drawn, wanted = (
        F.normalize(caption_embeddings(model(), x).mean(), dim=1)
        for x in (texts, list(references().values()))
    )
    rewards = (drawn @ wanted.T / TEMPERATURE).log_softmax(-1)[:, own]  # [K]
    advantage = (rewards - rewards.mean()) * DRAWN / (DRAWN - 1)
    figure, axis = plt.subplots(figsize=(7, 3))
    for row, i in enumerate(advantage.argsort(descending=True).tolist()):
        gain = advantage[i].item()
        axis.barh(row, gain, color="tab:green" if gain > 0 else "tab:red", alpha=0.4)
        axis.text(0, row, texts[i], va="center", ha="center")
    axis.axvline(0, color="0.5", linewidth=0.5)
    edge = 1.3 * advantage.abs().max().item()
    axis.set(xlim=(-edge, edge), xlabel="reward beyond the mean of the others (nats)", yticks=[], title=SOUND)
    axis.invert_yaxis()
    return figure
