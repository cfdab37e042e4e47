"""Sentence similarity of FENSE (Zhou et al. 2022): cosine of sentence embeddings."""

from __future__ import annotations

from collections.abc import Sequence

from earwitness.metrics.corpus import Score
from earwitness.metrics.neural import mean_cosines
from earwitness.metrics.sentence_encoder import SentenceEncoder


def sbert_sim(
    candidates: Sequence[str], references: Sequence[Sequence[str]], model: str, device: str = "cpu"
) -> Score:
    """Per clip the mean over references of the cosine with the candidate.

    Args:
        candidates, references: raw texts, as FENSE's own program takes them, or tokenized ones, as
            aac-metrics and so the tables of DCASE do.
        model: hub name or folder of a sentence-transformers model (a transformer with mean pooling). The
            published metric is that of paraphrase-TinyBERT-L6-v2; any other gives other numbers, so reports
            name the model.

    Raises:
        MissingData: the model cannot be loaded.
    """
    return mean_cosines(candidates, references, SentenceEncoder(model, device, "sbert_sim"))
