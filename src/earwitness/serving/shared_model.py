"""A model shared by threads, whose clips it computes in common batches."""

from __future__ import annotations

import copy
import time
from collections.abc import Sequence
from threading import Event
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from earwitness.runtime.protocol import Array, CaptioningModel, Captions, Decoded
from earwitness.serving.batcher import Batcher
from earwitness.serving.metrics import Metrics

if TYPE_CHECKING:
    from earwitness.captioner import Captioner


MAX_FAILED = 3  # batches in a row, after which the server says that it is not ready


class Abandoned(Exception):
    """The caller no longer waits for the answer."""


class Row(NamedTuple):
    """One clip of a batch."""

    sound: Array  # [S]
    captions: Sequence[str] | None  # retrieved for it


class SharedModel:
    """with SharedModel(model, 16, metrics) as shared: it has the methods of the model."""

    def __init__(self, model: CaptioningModel, batch_size: int, metrics: Metrics) -> None:
        self._model, self._metrics = model, metrics
        self._batcher = Batcher(self._run, batch_size)
        self._failed = 0  # batches in a row

    def __enter__(self) -> SharedModel:
        self._batcher.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._batcher.__exit__(*error)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def behind(self, captioner: Captioner, left: Event) -> Captioner:
        """Return the captioner with this model. Once `left` is set, it raises Abandoned."""
        twin = copy.copy(captioner)
        twin.model = _Until(left, self)
        return twin

    def tag_logits(self, sounds: Sequence[Array]) -> list[Array]:
        """As CaptioningModel.tag_logits."""
        return self._batcher.ask("tag_logits", [Row(sound, None) for sound in sounds])

    def tag_probabilities(self, sounds: Sequence[Array]) -> Array:
        """As CaptioningModel.tag_probabilities."""
        return np.stack(self._batcher.ask("tag_probabilities", [Row(sound, None) for sound in sounds]))

    def caption(
        self,
        sounds: Sequence[Array],
        *,
        frames: None = None,
        captions: Captions | None = None,
        **decoding: Any,
    ) -> Decoded:
        """As CaptioningModel.caption, for audio alone."""
        key = tuple(sorted(decoding.items()))
        rows = [Row(sound, captions[i] if captions else None) for i, sound in enumerate(sounds)]
        parts: list[Decoded] = self._batcher.ask(key, rows)
        texts = [text for part in parts for text in part.texts]
        tags = [part.tags for part in parts if part.tags is not None]
        scores = np.concatenate([part.scores for part in parts])
        return Decoded(texts, scores, np.concatenate(tags) if tags else None)

    @property
    def unready(self) -> str | None:
        """Return the reason why clips cannot be captioned; None if they can."""
        if not self._batcher.alive:
            return "the thread of the model has ended"
        if self._failed >= MAX_FAILED:
            return f"the model failed in its last {self._failed} batches"
        return None

    def _run(self, key: Any, rows: Sequence[Row]) -> Sequence[Any]:
        try:
            answers = self._answer(key, rows)
        except Exception:
            self._failed += 1
            self._metrics.batches_failed.inc()
            raise
        self._failed = 0
        return answers

    def _answer(self, key: Any, rows: Sequence[Row]) -> Sequence[Any]:
        begin = time.perf_counter()
        sounds = [row.sound for row in rows]
        captioning = isinstance(key, tuple)
        answers = self._caption(sounds, rows, dict(key)) if captioning else getattr(self._model, key)(sounds)
        self._metrics.clips.labels(work="caption" if captioning else "listen").inc(len(rows))
        self._metrics.batch_clips.observe(len(rows))
        self._metrics.batch_seconds.observe(time.perf_counter() - begin)
        return answers

    def _caption(
        self, sounds: Sequence[Array], rows: Sequence[Row], decoding: dict[str, Any]
    ) -> list[Decoded]:
        captions = None if rows[0].captions is None else [row.captions or [] for row in rows]
        decoded = self._model.caption(sounds, captions=captions, **decoding)
        each = len(decoded.texts) // len(rows)  # of a clip there may be several, to choose from
        places = [slice(i * each, (i + 1) * each) for i in range(len(rows))]
        tags = [None] * len(rows) if decoded.tags is None else list(decoded.tags[:, None])
        return [Decoded(decoded.texts[p], decoded.scores[p], t) for p, t in zip(places, tags)]


class _Until:
    """A model that refuses calls once `left` is set."""

    def __init__(self, left: Event, model: SharedModel) -> None:
        self._left, self._model = left, model

    def __getattr__(self, name: str) -> Any:
        if self._left.is_set():
            raise Abandoned
        return getattr(self._model, name)
