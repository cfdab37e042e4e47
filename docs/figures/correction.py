"""Which answers of a language model are taken for a correction of a ten-word caption."""

import matplotlib.pyplot as plt
import torch

from earwitness.correction.corrector import caption_in

ORIGINAL = "rain falls on a tin roof while thunder rumbles far".split()
OTHERS = "the heavy loud storm and wind blow over some quiet old wooden house near trees beside water".split()
LONGEST = 24


def answer(words, shared):
    """So many words, of which so many are the caption's."""
    return " ".join((ORIGINAL * 3)[:shared] + (OTHERS * 2)[: words - shared])


def draw():
    accepted = torch.full((LONGEST + 1, LONGEST + 1), torch.nan)
    for words in range(1, LONGEST + 1):
        for shared in range(words + 1):
            accepted[shared, words] = caption_in(answer(words, shared), " ".join(ORIGINAL)) is not None
    figure, axis = plt.subplots(figsize=(4.5, 3.2))
    axis.imshow(accepted, origin="lower", cmap="RdYlGn", vmin=0, vmax=1, aspect="auto")
    axis.set(xlabel="words of the answer", ylabel="of them in the caption", xlim=(0.5, LONGEST + 0.5))
    axis.set_title("green: accepted, red: refused")
    return figure
