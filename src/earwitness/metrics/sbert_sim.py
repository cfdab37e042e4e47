"""Sentence similarity of FENSE (Zhou et al. 2022): cosine of sentence embeddings, from raw text."""

from __future__ import annotations

import numpy as np

from earwitness.metrics.corpus import Corpus, Score, mean_score
from earwitness.metrics.sentence_encoder import SentenceEncoder


def sbert_sim(corpus: Corpus, model: str, device: str = "cpu") -> Score:
    """Per clip the mean over references of the cosine with the candidate.

    Args:
        corpus: captions; their raw text is used, not the tokens.
        model: hub name or folder of a sentence-transformers model (a transformer with mean pooling). The
            published
            metric is that of paraphrase-TinyBERT-L6-v2; any other gives other numbers, so reports name the
            model.

    Raises:
        MissingData: the model cannot be loaded.
    """
    texts = list(
        dict.fromkeys([*corpus.candidates, *(text for texts in corpus.references for text in texts)])
    )
    vectors = dict(zip(texts, SentenceEncoder(model, device, "sbert_sim")(texts), strict=True))
    return mean_score(
        [
            float(np.mean([vectors[candidate] @ vectors[text] for text in references]))
            for candidate, references in zip(corpus.candidates, corpus.references, strict=True)
        ]
    )
