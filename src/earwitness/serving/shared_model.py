"""A model that many threads call at once, and that hears their clips in common batches."""

from __future__ import annotations

import copy
import time
from collections.abc import Sequence
from threading import Event
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from earwitness.embeds import Embeds
from earwitness.model import AudioCaptioningModel, Captions, Decoded
from earwitness.serving.batcher import Batcher
from earwitness.serving.metrics import Metrics

if TYPE_CHECKING:
    from earwitness.captioner import Captioner


class Abandoned(Exception):
    """Nobody waits for the answer any more."""


class Row(NamedTuple):
    """One clip of a batch."""

    waveform: Tensor  # [S]
    captions: Sequence[str] | None  # retrieved for it


class SharedModel:
    """with SharedModel(model, 16, metrics) as shared: in everything else as the model itself."""

    def __init__(self, model: AudioCaptioningModel, batch_size: int, metrics: Metrics) -> None:
        self._model, self._metrics = model, metrics
        # A thread computes with as many cores as were last set anywhere when it first asks torch. The threads
        # that serve requests set one, so the model's own has to ask before them.
        self._batcher = Batcher(self._run, batch_size, begin=torch.get_num_threads)

    def __enter__(self) -> SharedModel:
        self._batcher.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._batcher.__exit__(*error)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def behind(self, captioner: Captioner, left: Event) -> Captioner:
        """The captioner, its model replaced by this one. Once `left` is set, it raises Abandoned."""
        twin = copy.copy(captioner)
        twin.model = _Until(left, self)  # type: ignore[assignment]
        return twin

    def listen(self, sound: dict[str, Tensor]) -> Embeds:
        """As AudioCaptioningModel.listen, of waveforms."""
        values, masks = zip(*self._batcher.ask("listen", _rows(sound, None)))
        return Embeds(pad_sequence(list(values), True), pad_sequence(list(masks), True))

    def caption(
        self,
        sound: dict[str, Tensor],
        *,
        video: None = None,
        captions: Captions | None = None,
        **decoding: Any,
    ) -> Decoded:
        """As AudioCaptioningModel.caption; uploads are heard, not watched."""
        key = tuple(sorted(decoding.items()))
        parts: list[Decoded] = self._batcher.ask(key, _rows(sound, captions))
        texts = [text for part in parts for text in part.texts]
        tags = None if parts[0].tags is None else torch.cat([part.tags for part in parts])  # type: ignore[misc]
        return Decoded(texts, torch.cat([part.scores for part in parts]), tags)

    def _run(self, key: Any, rows: Sequence[Row]) -> Sequence[Any]:
        begin = time.perf_counter()
        waveforms = [row.waveform for row in rows]
        lengths = torch.tensor([len(waveform) for waveform in waveforms], device=waveforms[0].device)
        sound = {"waveforms": pad_sequence(waveforms, True), "lengths": lengths}
        answers = self._listen(sound) if key == "listen" else self._caption(sound, rows, dict(key))
        self._metrics.clips.add(len(rows), work="listen" if key == "listen" else "caption")
        self._metrics.batch_clips.observe(len(rows))
        self._metrics.batch_seconds.observe(time.perf_counter() - begin)
        return answers

    @torch.inference_mode()
    def _listen(self, sound: dict[str, Tensor]) -> Sequence[tuple[Tensor, Tensor]]:
        return list(zip(*self._model.listen(sound)))

    def _caption(
        self, sound: dict[str, Tensor], rows: Sequence[Row], decoding: dict[str, Any]
    ) -> list[Decoded]:
        captions = None if rows[0].captions is None else [row.captions or [] for row in rows]
        decoded = self._model.caption(sound, captions=captions, **decoding)
        each = len(decoded.texts) // len(rows)  # of a clip there may be several, to choose from
        places = [slice(i * each, (i + 1) * each) for i in range(len(rows))]
        tags = [None] * len(rows) if decoded.tags is None else decoded.tags.split(1)
        return [Decoded(decoded.texts[p], decoded.scores[p], t) for p, t in zip(places, tags)]


class _Until:
    """A model that nobody can ask anything once `left` is set."""

    def __init__(self, left: Event, model: SharedModel) -> None:
        self._left, self._model = left, model

    def __getattr__(self, name: str) -> Any:
        if self._left.is_set():
            raise Abandoned
        return getattr(self._model, name)


def _rows(sound: dict[str, Tensor], captions: Captions | None) -> list[Row]:
    waveforms = [row[:length] for row, length in zip(sound["waveforms"], sound["lengths"].tolist())]
    return [Row(waveform, captions[i] if captions else None) for i, waveform in enumerate(waveforms)]
