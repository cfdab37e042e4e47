"""Captioner: the main path of the package, from audio and video to captions.

captioner = Captioner.from_pretrained()              # the built-in model
captioner("dog.wav").text                            # one clip, one caption
captioner(["a.wav", "b.mp4"])                        # many, in order
for caption in captioner.timeline("long.mp4"): ...   # any length, in windows
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Iterator, Sequence
from operator import length_hint
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from earwitness.captions import Caption, merge_neighbours, top_tags
from earwitness.clips import Clip, FrameSampler, OnError, clip_or_none, load_clip
from earwitness.decoding.calibration import scoring
from earwitness.decoding.words import normalise_caption
from earwitness.loading import DEFAULT, Runtime, load_model
from earwitness.media.containers import MediaError
from earwitness.prefetch import BATCH_SIZE, batches, check_positive, map_ahead
from earwitness.progress import Progress, seconds_declared, track_progress
from earwitness.runtime.protocol import CaptioningModel, Decoded
from earwitness.segmentation import timeline_clips

if TYPE_CHECKING:
    import torch

    from earwitness.correction import Corrector
    from earwitness.decoding import Reranker
    from earwitness.retrieval import CaptionDatastore

__all__ = ["DEFAULT", "Caption", "Captioner", "merge_neighbours"]

SORTED_BATCHES = 4  # batches that are sorted by length together


class Captioner:
    """Captions files and arrays with a model."""

    def __init__(
        self,
        model: CaptioningModel,
        name: str = "",
        *,
        datastore: CaptionDatastore | None = None,
        reranker: Reranker | None = None,
        corrector: Corrector | None = None,
        stored_frames: bool = False,
    ) -> None:
        """model: `TorchModel` or `OnnxModel` of earwitness.runtime. name: the model's, for display.
        datastore: source of retrieved captions for the model's prompt. reranker: chooses among the beams.
        corrector: rewrites faulty captions, which `Caption.uncorrected` keeps. stored_frames: clips come with
        frames (`caption_clips`); none are read from videos.
        """
        if datastore is not None and not model.retrieved_captions:
            raise ValueError("this model has no prompt for retrieved captions: remove the datastore")
        self.model, self.name = model, name
        self.datastore, self.reranker, self.corrector = datastore, reranker, corrector
        self.sampler = None if stored_frames else FrameSampler.of(model.pictures)
        self.sample_rate, self.max_seconds = model.sample_rate, model.max_seconds
        self.score = scoring(model.calibration, model.tag_names)
        self.last: Caption | None = None  # the latest result

    @classmethod
    def from_pretrained(
        cls,
        name_or_path: str | Path | None = None,
        device: str = "auto",
        dtype: str | torch.dtype = "auto",
        runtime: Runtime = "auto",
        **parts: Any,
    ) -> Captioner:
        """Load a checkpoint folder, a hub name, or (None or "mini") the built-in model.

        device: "auto" is the GPU if there is one. dtype: of the language model ("bfloat16", torch.float16
        ...); "auto" is bfloat16 on a GPU and float32 elsewhere. The encoder and adapter stay in float32.
        runtime: "onnx" (the built-in model and exported ones), "torch", or "auto": ONNX Runtime for such a
        model on the CPU, else torch. parts: as for `Captioner` itself. Raises CheckpointError or ConfigError
        for a faulty checkpoint, MissingExtra where torch is needed and not installed.
        """
        model = load_model(name_or_path, device, dtype, runtime)
        return cls(model, "mini" if name_or_path is None else Path(name_or_path).name, **parts)

    def save_pretrained(self, folder: str | Path) -> None:
        """Write a checkpoint folder that `from_pretrained` reads."""
        from earwitness.checkpoints.folder import save_checkpoint

        save_checkpoint(self._network(), folder)

    def push_to_hub(self, name: str, *, private: bool = False) -> str:
        """Upload the checkpoint with its model card to the hub repository `name`; return its address."""
        from earwitness.checkpoints.export import push_to_hub

        return push_to_hub(self._network(), name, private=private)

    def _network(self) -> Any:
        if not hasattr(self.model, "network"):
            raise ValueError("an exported model has no network to save: load it with runtime='torch'")
        return self.model.network

    @overload
    def __call__(
        self, sources: list[Any], *, batch_size: int = ..., on_error: OnError = ..., **decoding: Any
    ) -> list[Caption]: ...
    @overload
    def __call__(
        self, sources: Any, *, batch_size: int = ..., on_error: OnError = ..., **decoding: Any
    ) -> Caption: ...

    def __call__(
        self, sources: Any, *, batch_size: int = BATCH_SIZE, on_error: OnError = "raise", **decoding: Any
    ) -> Any:
        """Caption a source, or a list of sources in order.

        A source is a path, bytes, a binary file object, an (array, rate) pair, or an array or tensor [S] or
        [channels, S] at the model's sample rate (16 kHz).

        Of a clip longer than the model's `max_seconds`, the window with the most energy is captioned: `start`
        and `end` name it, and a warning is logged. `timeline` captions the whole clip. The caption of a clip
        without sound (constant samples but for dither) is "silence", with score 1. A model with a vision
        tower uses the frames of a video; it captions a source without frames from its audio alone, and a
        model of frames alone raises MediaError.

        on_error: "raise" raises a MediaError that names the file; a function is called with (source, error)
        instead, and the caption is None. decoding: options of `LanguageModel.generate`: use_guide=True, beams
        (None: the model's own width), max_new_tokens=40 ...
        """
        if isinstance(sources, list):
            return list(self.stream(sources, batch_size=batch_size, on_error=on_error, **decoding))
        return next(self.stream([sources], batch_size=1, on_error=on_error, **decoding))

    def stream(
        self,
        sources: Iterable[Any],
        *,
        batch_size: int = BATCH_SIZE,
        on_error: OnError = "raise",
        workers: int = 1,
        progress: Progress | None = None,
        **decoding: Any,
    ) -> Iterator[Caption | None]:
        """Like a call with a list, but yield captions one by one, in the memory of a few batches.

        workers: threads that decode files ahead. progress: called with the sources captioned so far and in
        total (None: unknown); a call takes it, too.
        """
        check_positive(batch_size=batch_size, workers=workers)
        loaded = map_ahead(self._load, sources, workers=workers, most=2 * batch_size)
        clips = (clip_or_none(source, outcome, on_error) for source, outcome in loaded)
        captions = self._captions(batches(clips, SORTED_BATCHES * batch_size), batch_size, decoding)
        return track_progress(captions, progress, length_hint(sources) or None, lambda number, _: number)

    def caption_clips(
        self, clips: Iterable[Clip], batch_size: int = BATCH_SIZE, **decoding: Any
    ) -> Iterator[Any]:
        """Yield the captions of decoded clips, in order."""
        return self._captions(batches(clips, SORTED_BATCHES * batch_size), batch_size, decoding)

    def timeline(
        self,
        source: Any,
        window: float = 10.0,
        hop: float | None = None,
        *,
        batch_size: int = BATCH_SIZE,
        low_latency: bool = False,
        progress: Progress | None = None,
        **decoding: Any,
    ) -> Iterator[Caption]:
        """Yield consecutive captions that cover the whole source, in constant memory.

        The source is encoded in windows of `window` seconds, one every `hop` seconds (default: 0.8 of a
        window), and cut where its sounds change; no caption covers more than `window` seconds.
        `merge_neighbours` joins equal neighbours. With an encoder without frame-level tags each window gets
        a caption. low_latency: yield captions as audio arrives, in batches that grow up to `batch_size`,
        instead of in groups of four batches sorted by length; `source` may then be a pair (iterator of
        arrays, rate). progress: called with the seconds captioned so far and in total (None: unknown).
        Raises ValueError for a window longer than the model's; MediaError while windows are read.
        """
        check_positive(batch_size=batch_size)
        if window > self.max_seconds:
            raise ValueError(f"this model takes at most {self.max_seconds:g} s at once, not {window:g} s")
        ahead = 1 if low_latency else batch_size  # windows
        clips = timeline_clips(source, self.model, window, hop, self.sampler, batch_size=ahead)
        groups = batches(clips, batch_size, 1) if low_latency else batches(clips, SORTED_BATCHES * batch_size)
        captions = self._captions(groups, batch_size, decoding)
        total = seconds_declared(source) if progress else None
        return track_progress(captions, progress, total, lambda _, caption: caption.end)

    def _repr_html_(self) -> str:
        """HTML for notebooks: the model's name, and its last caption under a player."""
        last = self.last._repr_html_() if self.last else ""
        return f"<b>Captioner {html.escape(self.name)}</b>: clips of up to {self.max_seconds:g} s{last}"

    def _load(self, source: Any) -> tuple[Any, Clip | MediaError]:
        """Return a source with its clip (of a long one, the loudest window), or with the error."""
        try:
            clip = load_clip(source, self.sample_rate, self.max_seconds, self.sampler, self.model.resampler)
            return source, clip
        except MediaError as error:
            return source, error

    def _captions(
        self, groups: Iterable[Sequence[Clip | None]], batch_size: int, decoding: dict[str, Any]
    ) -> Iterator[Any]:
        """Yield the captions of clips (None: not read) in order; a group is batched by length."""
        for group in groups:
            captions = [clip.captioned_silence() if clip and clip.is_silent else None for clip in group]
            audible = [(i, clip) for i, clip in enumerate(group) if clip and not captions[i]]
            audible.sort(key=lambda pair: len(pair[1].waveform))
            for first in range(0, len(audible), batch_size):
                places, batch = zip(*audible[first : first + batch_size])
                for i, decoded in zip(places, self._caption_batch(batch, decoding)):
                    captions[i] = decoded
            for caption in captions:
                self.last = caption or self.last
                yield caption

    def _caption_batch(self, clips: Sequence[Clip], decoding: dict[str, Any]) -> Iterator[Caption]:
        """Encode, retrieve, decode, rerank and correct one batch."""
        if decoding.get("beams") is None:
            decoding = decoding | {"beams": self.model.beams}
        vectors = self._embed(clips)  # [B, D] of each embedder
        watched = any(clip.frames is not None for clip in clips)
        decoded = self.model.caption(
            [clip.waveform for clip in clips],
            frames=[clip.frames for clip in clips] if watched else None,
            captions=self._similar(clips, vectors),
            **(self.reranker.searching(decoding) if self.reranker else decoding),
        )
        texts, logprobs = self._best(decoded, vectors)
        probabilities = [[]] * len(clips) if decoded.tags is None else decoded.tags.tolist()
        for clip, (text, before), logprob, row in zip(clips, self._correct(texts), logprobs, probabilities):
            score = self.score(text if before is None else before, logprob, row)
            tags = top_tags(zip(self.model.tag_names, row))
            yield Caption(text, score, clip.start, clip.end, tags, clip.source, before, logprob)

    def _embed(self, clips: Sequence[Clip]) -> dict[Any, Any]:
        """Embed the audio, [B, D], once for each embedder of the datastore and the reranker."""
        embedders = {part.embedder for part in (self.datastore, self.reranker) if part is not None}
        return {e: e.embed_audio([clip.waveform for clip in clips], self.sample_rate) for e in embedders}

    def _similar(self, clips: Sequence[Clip], vectors: dict[Any, Any]) -> list[list[str]] | None:
        """Return the datastore's captions nearest to each clip, or those stored with the clips."""
        if self.datastore is None:
            return Clip.shown_captions(clips)
        found = self.datastore.retrieve(vectors[self.datastore.embedder], self.model.retrieved_captions)
        return [[normalise_caption(similar.caption) for similar in own] for own in found]

    def _best(self, decoded: Decoded, vectors: dict[Any, Any]) -> tuple[list[str], list[float]]:
        """Return each clip's caption and the mean log-probability of its tokens."""
        texts, scores = decoded.texts, decoded.scores
        if self.reranker is not None:
            rows = self.reranker(vectors[self.reranker.embedder], texts, scores.tolist())
            texts, scores = [texts[row] for row in rows], scores[rows]
        return texts, scores.tolist()

    def _correct(self, texts: list[str]) -> list[tuple[str, str | None]]:
        """Return each caption and its text before correction (None: unchanged)."""
        if self.corrector is None:
            return [(text, None) for text in texts]
        return [(c.text, c.original if c.outcome == "corrected" else None) for c in self.corrector(texts)]
