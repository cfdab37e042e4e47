"""The divergence of one tag: what a student's probability costs, for three probabilities of the teacher."""

import matplotlib.pyplot as plt
import torch

from earwitness.losses.tag_distillation import tag_kl


def draw():
    student = torch.linspace(-6, 6, 241)
    figure, axis = plt.subplots(figsize=(5, 2.8))
    for p in (0.02, 0.5, 0.9):
        teacher = torch.full_like(student, p).logit()
        divergence = tag_kl(teacher[:, None], student[:, None])
        axis.plot(student.sigmoid(), divergence, label=f"teacher {p:g}")
    axis.set(xlabel="the student's probability", ylabel="nats", ylim=(0, 2))
    axis.legend(frameon=False)
    return figure
