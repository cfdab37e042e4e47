"""Re-ranking of beams by their similarity to the audio (CLAP-Refine, Chen et al. 2024, SLAM-AAC)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Ranked(NamedTuple):
    """A beam's caption, its rank in the beam search (0 = first), and its cosine with the audio."""

    caption: str
    beam: int
    similarity: float


class Reranker:
    """Chooses the candidate of a search that matches the audio best.

    embedder: texts and audio -> vectors in one space, as `retrieval.Embedder`. weight: of a candidate's mean
    log-probability beside its cosine, as in `rerank`.
    """

    def __init__(self, embedder: Any, *, weight: float = 0.0) -> None:
        self.embedder, self.weight = embedder, weight

    def searching(self, decoding: dict[str, Any]) -> dict[str, Any]:
        """The settings of `LanguageModel.generate` that return every one of decoding["beams"].

        Raises ValueError if that is only one.
        """
        decoding = {"num_return_sequences": decoding["beams"]} | decoding
        if decoding["num_return_sequences"] < 2:
            raise ValueError("re-ranking chooses among beams: search with at least 2")
        return decoding

    def __call__(
        self, audio: NDArray[Any], candidates: Sequence[str], log_probabilities: Sequence[float]
    ) -> list[int]:
        """Vectors of B sounds [B, D], n candidates of each, side by side -> which B of the B n to take."""
        count = len(candidates) // len(audio)
        firsts = range(0, len(candidates), count)
        ranked = rerank(
            [candidates[i : i + count] for i in firsts],
            audio,
            self.embedder.embed_text,
            log_probabilities=[log_probabilities[i : i + count] for i in firsts],
            weight=self.weight,
        )
        return [first + entries[0].beam for first, entries in zip(firsts, ranked)]


def rerank(
    beams: Sequence[Sequence[str]],
    audio: NDArray[Any],
    embed_text: Callable[[Sequence[str]], NDArray[Any]],
    *,
    log_probabilities: Sequence[Sequence[float]] | None = None,
    weight: float = 0.0,
) -> list[list[Ranked]]:
    """Sort each clip's beams by match, best first; ties keep the order of the beam search.

    beams: the captions of each clip, best beam first; clips may differ in number. audio: a vector for each
    clip, [B, D]. embed_text: texts -> vectors [N, D] in the same space, called once with every different
    caption. Beams are ordered by cosine + weight * log_probabilities (mean log-probability of a token,
    one number a beam); weight 0, as in SLAM-AAC, trusts the match alone. An empty caption comes last.
    """
    audio = np.asarray(audio, dtype=np.float32)
    if audio.ndim != 2 or len(audio) != len(beams):
        raise ValueError(f"audio must be [{len(beams)}, D], a vector for each clip, not {audio.shape}")
    if weight and log_probabilities is None:
        raise ValueError("a weight needs log_probabilities")
    if log_probabilities is not None and [*map(len, log_probabilities)] != [*map(len, beams)]:
        raise ValueError("log_probabilities must hold one number for each beam")
    texts = sorted({caption for captions in beams for caption in captions if caption.strip()})
    vectors = dict(zip(texts, _unit(embed_text(texts)))) if texts else {}
    ranked = []
    for i, (captions, vector) in enumerate(zip(beams, _unit(audio))):
        entries = [
            Ranked(caption, beam, float(vectors[caption] @ vector) if caption in vectors else -np.inf)
            for beam, caption in enumerate(captions)
        ]
        scores = [entry.similarity for entry in entries]
        if weight and log_probabilities is not None:
            scores = [score + weight * extra for score, extra in zip(scores, log_probabilities[i])]
        ranked.append([entries[beam] for beam in np.argsort(-np.asarray(scores), kind="stable")])
    return ranked


def _unit(vectors: NDArray[Any]) -> NDArray[np.float32]:
    vectors = np.asarray(vectors, dtype=np.float32)
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
