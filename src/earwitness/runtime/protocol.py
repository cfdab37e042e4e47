"""What a captioner needs of a model, whichever library computes it: sounds in; texts, scores and tags out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
NO_JOINT_SPACE = "this model has no joint space (its config lacks decoding.joint_space)"
Captions = Sequence[Sequence[str]]  # those retrieved for each clip, which may be none


class Pictures(NamedTuple):
    """The frames of a video that a model watches: `rate` a second, squares of `size` pixels."""

    rate: float
    size: int
    required: bool  # whether a source without any cannot be captioned


@dataclass
class Decoded:
    """Captions of B clips: texts, mean log-probabilities per token [B], tag probabilities [B, tags] or None.

    A search that returns several captions of a clip gives them side by side: n B texts and scores.
    """

    texts: list[str]
    scores: Array
    tags: Array | None


class CaptioningModel(Protocol):
    """A model that captions sounds: float32 arrays [S], each of its own length, at `sample_rate`."""

    @property
    def sample_rate(self) -> int:
        """Hz."""

    @property
    def resampler(self) -> str:
        """The `resampler` of load_audio with which its sounds are to be read."""

    @property
    def max_seconds(self) -> float:
        """The longest clip that one caption covers."""

    @property
    def beams(self) -> int:
        """Beams of a search that names no number."""

    @property
    def tag_names(self) -> Sequence[str]:
        """In the order of the tags; empty if it tags nothing or has no names for its tags."""

    @property
    def tags_over_time(self) -> bool:
        """Whether `tag_logits` is available."""

    @property
    def tags_clips(self) -> bool:
        """Whether `tag_probabilities` is available."""

    @property
    def retrieved_captions(self) -> int:
        """Captions of similar sounds that it is shown with each clip; 0: it has no prompt for any."""

    @property
    def calibration(self) -> Mapping[str, float] | None:
        """Weights of decoding/calibration.py; None: its scores are not probabilities of being right."""

    @property
    def pictures(self) -> Pictures | None:
        """What it watches; None: nothing. Raises ValueError if it cannot watch videos themselves."""

    def caption(
        self,
        sounds: Sequence[Array],
        *,
        frames: Sequence[NDArray[np.uint8] | None] | None = None,
        captions: Captions | None = None,
        use_guide: bool = True,
        **decoding: Any,
    ) -> Decoded:
        """Captions of B clips. frames: pictures [N, size, size, 3] of each. captions: retrieved for each.

        decoding: beams, max_new_tokens, min_new_tokens, no_repeat_ngram_size, length_penalty,
        num_return_sequences; more of transformers' GenerationConfig where torch computes.
        """

    def tag_logits(self, sounds: Sequence[Array]) -> list[Array]:
        """Logits of every tag at every token of each clip, [N, tags]; tokens divide its time evenly."""

    def embed_texts(self, texts: Sequence[str]) -> Array:
        """N texts -> unit vectors [N, D] of the joint space, where those of one meaning are near each other.

        Raises ValueError for a model without one (config: decoding.joint_space).
        """

    def tag_probabilities(self, sounds: Sequence[Array]) -> Array:
        """Probability that each tag sounds somewhere in each clip, [B, tags]."""
