import numpy as np
import pytest
from benchmarks.mini_quality import GALLERY, recall_at

COUNT = 2 * GALLERY + 7
TEXTS = [str(i) for i in range(2 * COUNT)]
NOISE = np.random.default_rng(1).normal(size=(2 * COUNT, 32))


def embed(texts: list[str]) -> np.ndarray:
    """Each text a direction of its own, drawn at random."""
    vectors = NOISE[[int(text) for text in texts]]
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_recall_of_the_references_themselves_of_one_caption_and_of_any_others() -> None:
    references, others = TEXTS[:COUNT], TEXTS[COUNT:]
    assert recall_at(10, references, references, embed) == 1.0
    assert recall_at(10, others[:1] * COUNT, references, embed) == pytest.approx(10 / GALLERY)
    assert recall_at(10, others, references, embed) == pytest.approx(10 / GALLERY, abs=0.05)
    assert recall_at(10, others, references, embed) == recall_at(10, others, references, embed)
