"""The three losses of DistillCaps where retrieval knows all and the sound nothing.

A tiny model (the preset's parts at width 24, random weights) learns eight captions of silence; the teacher is
shown each clip's own caption.
"""

import matplotlib.pyplot as plt
import torch
from examples import model, references

from earwitness.build import build_model
from earwitness.config.model import ModelConfig
from earwitness.config.preset import load_preset
from earwitness.training.objective import CaptioningTask

STEPS = 400
SAMPLES = 16_000
LLAMA = {
    "model_type": "llama",
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
}


def tiny():
    """The preset at small width, trained in full, with the built-in model's tokenizer."""
    preset = load_preset("distillcaps")
    config = preset.model.model_dump()
    config["encoder"] |= {"source": None, "size": None, "dim": 24, "depth": 1, "heads": 2}
    config["adapter"][1] |= {"hidden": 24, "heads": 2}
    config["language_model"] |= {"source": None, "tune": "full", "config": LLAMA}
    built = build_model(ModelConfig.model_validate(config), model().language_model.tokenizer)
    return CaptioningTask(built, preset.stages[0].losses).train()


def draw():
    captions = list(references().values())
    silence = {"waveforms": torch.zeros(8, SAMPLES), "lengths": torch.full((8,), SAMPLES)}
    task = tiny()
    ids, mask = task.model.language_model.encode_captions(captions)
    retrieved = [[caption] for caption in captions]
    optimizer = torch.optim.Adam([p for p in task.parameters() if p.requires_grad], 3e-3)
    curves = {"caption": [], "retrieval_caption": [], "distillation": []}
    for _ in range(STEPS):
        losses = task(silence, ids, mask, captions=retrieved)
        optimizer.zero_grad()
        losses["loss"].backward()
        optimizer.step()
        for name, curve in curves.items():
            curve.append(losses[name].item())
    figure, axis = plt.subplots(figsize=(5.5, 3))
    labels = ("L_auto: without retrieval", "L_rag: with retrieval", "L_DDA: KL between them")
    for label, curve in zip(labels, curves.values()):
        axis.plot(curve, label=label)
    axis.set(xlabel="step", ylabel="nats a token", ylim=(0, 2))
    axis.legend(frameon=False)
    return figure
