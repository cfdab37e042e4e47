"""What the neural metrics share: loading models, saying plainly what is missing, similarities of texts."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import numpy as np

from earwitness.metrics.corpus import Floats, Score, mean_score
from earwitness.metrics.meteor.data import MissingData

T = TypeVar("T")
BATCH = 64


def load_or_explain(what: str, name: str, load: Callable[[], T]) -> T:
    """Load a model.

    Raises:
        MissingData: it is not available; the message names the model and how to get it.
    """
    try:
        return load()
    except Exception as error:  # a damaged or foreign file makes its reader raise anything at all
        first = (str(error).strip() or "no message").split("\n")[0]
        raise MissingData(
            f"{what} needs the model {name!r}, which could not be loaded "
            f"({type(error).__name__}: {first:.200}); "
            "give a folder that holds it, or run once with network access"
        ) from error


def batches(items: Sequence[str], size: int = BATCH) -> Iterator[list[str]]:
    """Slices of a list."""
    for start in range(0, len(items), size):
        yield list(items[start : start + size])


def plain_words(caption: str) -> str:
    """Lower case, without punctuation."""
    return re.sub(r"[^\w\s]", "", caption).lower()


def mean_cosines(
    candidates: Sequence[str],
    references: Sequence[Sequence[str]],
    embed: Callable[[Sequence[str]], Floats],
) -> Score:
    """Per clip the mean over references of the cosine with the candidate.

    embed: N texts -> unit vectors [N, D]; each distinct text is embedded once.
    """
    texts = list(dict.fromkeys([*candidates, *(text for texts in references for text in texts)]))
    vectors = dict(zip(texts, embed(texts), strict=True))
    return mean_score(
        [
            float(np.mean([vectors[candidate] @ vectors[text] for text in others]))
            for candidate, others in zip(candidates, references, strict=True)
        ]
    )
