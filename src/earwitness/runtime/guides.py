"""What changes the logits of the next token, in numpy: the tag guide, penalties of repetition.

Each is called with the tokens of every beam so far [B, n, t] and logits [B, n, V], and returns other logits.
The formulas and their reasons: tag_guide.py, order_guide.py and repetition_penalty.py of decoding/.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from earwitness.decoding.words import (
    ACTIVE_SHARE,
    MAX_OVERLAP,
    MIN_GUIDING_PROBABILITY,
    MIN_TAG_PROBABILITY,
    named_by_tags,
    order_tokens,
    repeatable_kin,
)
from earwitness.encoders.tag_families import source
from earwitness.runtime.beam_search import Ids, Processor
from earwitness.runtime.protocol import Array


class TagGuide:
    """Raises tokens that begin a word of a probable tag, until such a word is said."""

    def __init__(self, tags: Sequence[str], vocabulary: Mapping[str, int], size: int, weight: float) -> None:
        """vocabulary: token -> id. size: V. weight: what a tag of probability 1 adds to a logit."""
        self.names, self.kin = named_by_tags(tags, vocabulary, size)
        self.weight = weight

    def processor(self, probabilities: Array) -> Processor:
        """The change of logits for clips with tag probabilities [B, tags]."""
        change = np.zeros((len(probabilities), 1, len(self.kin)), np.float32)
        for row, own in zip(change[:, 0], probabilities):
            for tag in np.flatnonzero(own >= MIN_GUIDING_PROBABILITY):
                row[self.names[tag]] = np.maximum(row[self.names[tag]], own[tag])
        change *= np.float32(self.weight)

        def guided(said: Ids, logits: Array) -> Array:
            kin = self.kin[said].reshape(*said.shape[:2], -1)  # [B, n, t most]
            raised = logits + change
            np.put_along_axis(raised, kin, np.take_along_axis(logits, kin, 2), 2)
            return raised

        return guided


class OrderGuide:
    """Makes words of order impossible where no two probable tags of different sources follow each other."""

    def __init__(self, tags: Sequence[str], vocabulary: Mapping[str, int], size: int) -> None:
        """vocabulary: token -> id. size: V."""
        sources = [source(tag) for tag in tags]
        self.distinct = np.array([[a != b and None not in (a, b) for b in sources] for a in sources])
        self.tokens = order_tokens(vocabulary, size)

    def processor(self, probabilities: Array, over_time: Sequence[Array]) -> Processor:
        """probabilities: of each clip's tags [B, tags]. over_time: their logits at each token, [N, tags]."""
        in_order = [self._in_order(*clip) for clip in zip(probabilities, over_time)]
        disordered = np.flatnonzero(~np.array(in_order))

        def guided(said: Ids, logits: Array) -> Array:
            logits = logits.copy()
            logits[disordered[:, None], :, self.tokens] = -np.inf
            return logits

        return guided

    def _in_order(self, probabilities: Array, over_time: Array) -> bool:
        probable = np.flatnonzero(probabilities >= MIN_TAG_PROBABILITY)
        if len(probable) < 2:
            return False
        at_times = sigmoid(over_time[:, probable])
        activity = (at_times >= ACTIVE_SHARE * at_times.max(0)).astype(np.float32)  # [N, probable]
        overlap, length = activity.T @ activity, activity.sum(0)
        shorter = np.minimum(length[:, None], length)
        distinct = self.distinct[np.ix_(probable, probable)]
        return bool(((shorter > 0) & (overlap <= MAX_OVERLAP * shorter) & distinct).any())


class RepetitionPenalty:
    """Lowers the tokens that begin any form of a word that was said."""

    def __init__(self, vocabulary: Mapping[str, int], size: int, penalty: float) -> None:
        """vocabulary: token -> id. size: V. penalty: what is taken from a logit."""
        self.kin, self.penalty = repeatable_kin(vocabulary, size), np.float32(penalty)

    def __call__(self, said: Ids, logits: Array) -> Array:
        taken = np.zeros((*logits.shape[:2], logits.shape[2] + 1), np.float32)  # the last: words without kin
        np.put_along_axis(taken, self.kin[said].reshape(*said.shape[:2], -1), self.penalty, 2)
        return logits - taken[..., :-1]


def sigmoid(x: Array) -> Array:
    return np.float32(1.0) / (np.float32(1.0) + np.exp(-x))


def token_guide(change: Array) -> Processor:
    """LAMB's Token Guide: the same change [B, V] of the logits in every step, computed with the prompt."""
    return lambda said, logits: logits + change[:, None]


def without_repeated_ngrams(size: int) -> Processor:
    """Makes tokens impossible that would say the same `size` tokens in a row a second time."""

    def guarded(said: Ids, logits: Array) -> Array:
        if said.shape[2] < size:
            return logits
        runs = sliding_window_view(said, size, axis=2)  # [B, n, t - size + 1, size]
        begun = said[:, :, None, said.shape[2] - size + 1 :]
        clip, beam, run = np.nonzero((runs[..., :-1] == begun).all(3))
        logits = logits.copy()
        logits[clip, beam, runs[clip, beam, run, -1]] = -np.inf
        return logits

    return guarded
