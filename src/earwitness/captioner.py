"""Captioner: sound files in, captions out. The main path of the package, from top to bottom.

captioner = Captioner.from_pretrained()              # the model that comes with the package
captioner("dog.wav").text                            # one clip, one caption
captioner(["a.wav", "b.mp4"], batch_size=16)         # many, in order
for caption in captioner.timeline("long.mp4"): ...   # any length, in windows
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, Literal, overload

import numpy as np
import torch

from earwitness import media
from earwitness.captions import Caption, merge_neighbours, top_tags
from earwitness.checkpoint import WEIGHTS, CheckpointError
from earwitness.containers import name_of
from earwitness.model import AudioCaptioningModel
from earwitness.reading_ahead import draw_ahead, map_ahead

__all__ = ["Caption", "Captioner", "merge_neighbours"]

log = logging.getLogger("earwitness")

DEFAULT = Path(__file__).parent / "assets" / "mini"
SILENCE = 2.0**-13  # peak to peak: four steps of 16 bits, which is dither
TOLERANCE = 0.1  # s a clip may exceed the model's limit: codecs pad, and media.windows joins a rest so short
SORTED_BATCHES = 4  # batches that are sorted by length together

OnError = Literal["raise"] | Callable[[Any, media.MediaError], object]


@dataclass(frozen=True)
class Clip:
    """A stretch of sound that gets one caption."""

    waveform: np.ndarray  # float32 [S]
    start: float  # s
    end: float  # s
    source: str


class Captioner:
    """A model and all that it takes to make a file a caption."""

    def __init__(self, model: AudioCaptioningModel, name: str = "") -> None:
        """model: put into eval mode. name: what its captions are signed with."""
        self.model, self.name = model.eval(), name
        self.sample_rate: int = model.encoder.sample_rate
        self.max_seconds: float = model.config.max_seconds

    @classmethod
    def from_pretrained(
        cls, name_or_path: str | Path | None = None, device: str = "auto", dtype: str | torch.dtype = "auto"
    ) -> Captioner:
        """A checkpoint folder, a hub name, or None: the model that comes with the package.

        device: "auto" is the GPU if there is one. dtype: of the language model ("bfloat16", torch.float16
        ...); "auto" is bfloat16 on a GPU and float32 elsewhere. The encoder and adapter stay in float32.
        Raises CheckpointError or ConfigError that says what is wrong with the checkpoint.
        """
        if name_or_path is None and not (DEFAULT / WEIGHTS).is_file():
            raise CheckpointError(
                f"this installation lacks the default model ({DEFAULT / WEIGHTS}): "
                "install the package again, or name a checkpoint folder"
            )
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        model = AudioCaptioningModel.from_pretrained(str(name_or_path or DEFAULT)).to(device)
        model.language_model.to(_torch_dtype(dtype, device))
        return cls(model, "mini" if name_or_path is None else Path(name_or_path).name)

    def save_pretrained(self, folder: str | Path) -> None:
        """Writes a checkpoint folder that `from_pretrained` reads."""
        self.model.save_pretrained(str(folder))

    @overload
    def __call__(
        self, sources: list[Any], *, batch_size: int = ..., on_error: OnError = ..., **decoding: Any
    ) -> list[Caption]: ...
    @overload
    def __call__(
        self, sources: Any, *, batch_size: int = ..., on_error: OnError = ..., **decoding: Any
    ) -> Caption: ...

    def __call__(
        self, sources: Any, *, batch_size: int = 16, on_error: OnError = "raise", **decoding: Any
    ) -> Any:
        """A source -> its Caption; a list of sources -> the list of their Captions, in order.

        A source is a path, bytes, a binary file object, an (array, rate) pair, or an array or tensor [S] or
        [channels, S] at the model's sample rate (16 kHz).

        A clip longer than the model's `max_seconds` is never cut silently: the window that holds the most
        sound energy is captioned, `start` and `end` say which one it is, and a warning is logged; `timeline`
        captions all of it. A clip without any sound (all samples alike but for dither) is captioned
        "silence" with score 1.

        on_error: "raise" raises a MediaError that names the file; a function is called with (source, error)
        instead, and the caption is None. decoding: use_guide=True, and beams=3, max_new_tokens=40 ... of
        `LanguageModel.generate`.
        """
        if isinstance(sources, list):
            return list(self.stream(sources, batch_size=batch_size, on_error=on_error, **decoding))
        return next(self.stream([sources], batch_size=1, on_error=on_error, **decoding))

    def stream(
        self,
        sources: Iterable[Any],
        *,
        batch_size: int = 16,
        on_error: OnError = "raise",
        workers: int = 1,
        **decoding: Any,
    ) -> Iterator[Caption | None]:
        """As a call with a list, but yields as it goes: a million files take the memory of a few batches.

        workers: threads that decode files ahead.
        """
        _check_positive(batch_size=batch_size, workers=workers)
        loaded = map_ahead(self._load, sources, workers=workers, most=2 * batch_size)
        clips = (_clip_or_none(source, outcome, on_error) for source, outcome in loaded)
        return self._captions(clips, batch_size, SORTED_BATCHES * batch_size, decoding)

    def timeline(
        self,
        source: Any,
        window: float = 10.0,
        hop: float | None = None,
        *,
        batch_size: int = 16,
        **decoding: Any,
    ) -> Iterator[Caption]:
        """Captions of windows of `window` seconds every `hop` seconds (default: the window), to the very end.

        Memory does not grow with the length of the recording. The last window is as short as the recording
        leaves it (less than 0.1 s joins the window before). `merge_neighbours` joins those that say the same.
        Raises ValueError for a window that the model cannot take; MediaError as windows are drawn.
        """
        _check_positive(batch_size=batch_size)
        if window > self.max_seconds:
            raise ValueError(f"this model hears at most {self.max_seconds:g} s at once, not {window:g} s")
        name = name_of(source)
        windows = media.windows(source, window, hop, self.sample_rate)
        clips = (Clip(w.waveform, w.start, w.end, name) for w in windows)
        return self._captions(draw_ahead(clips, most=batch_size), batch_size, batch_size, decoding)

    def _load(self, source: Any) -> tuple[Any, Clip | media.MediaError]:
        """A source and its clip (of a long one, the loudest window), or why there is none."""
        try:
            audio = media.load_audio(source, self.sample_rate)
        except media.MediaError as error:
            return source, error
        if audio.damaged:
            log.warning("%s is damaged: %.0f %% of it could be heard", audio.source, 100 * audio.covered)
        clip = Clip(audio.waveform, 0.0, audio.duration, audio.source)
        if audio.duration > self.max_seconds + TOLERANCE:
            clip = _loudest(clip, self.max_seconds, self.sample_rate)
            log.warning(
                "%s lasts %.1f s, of which the model hears %g s at once: captioned %.1f to %.1f s, where it "
                "is loudest; timeline() or --timeline captions all of it",
                *(audio.source, audio.duration, self.max_seconds, clip.start, clip.end),
            )
        return source, clip

    def _captions(
        self, clips: Iterable[Clip | None], batch_size: int, group_size: int, decoding: dict[str, Any]
    ) -> Iterator[Any]:
        """Clips (None: could not be read) -> captions in the same order.

        In each group, clips of like length are batched together, so that little is spent on padding.
        """
        clips = iter(clips)
        while group := list(islice(clips, group_size)):
            captions = [_silence(clip) if clip and _is_silent(clip.waveform) else None for clip in group]
            heard = [(i, clip) for i, clip in enumerate(group) if clip and not captions[i]]
            heard.sort(key=lambda pair: len(pair[1].waveform))
            for first in range(0, len(heard), batch_size):
                places, batch = zip(*heard[first : first + batch_size])
                for i, caption in zip(places, self._caption_batch(batch, decoding)):
                    captions[i] = caption
            yield from captions

    def _caption_batch(self, clips: Sequence[Clip], decoding: dict[str, Any]) -> Iterator[Caption]:
        lengths = torch.tensor([len(clip.waveform) for clip in clips])
        waveforms = torch.zeros(len(clips), int(lengths.max()))  # [B, S]
        for row, clip in zip(waveforms, clips):
            row[: len(clip.waveform)] = torch.from_numpy(clip.waveform)
        device = self.model.device
        decoded = self.model.caption(
            {"waveforms": waveforms.to(device), "lengths": lengths.to(device)}, **decoding
        )
        scores = decoded.scores.float().exp().clamp(0.0, 1.0).tolist()
        probabilities = [[]] * len(clips) if decoded.tags is None else decoded.tags.tolist()
        for clip, text, score, row in zip(clips, decoded.texts, scores, probabilities):
            tags = top_tags(zip(self.model.tag_names, row))
            yield Caption(text, score, clip.start, clip.end, tags, clip.source)


def _clip_or_none(source: Any, outcome: Clip | media.MediaError, on_error: OnError) -> Clip | None:
    if isinstance(outcome, Clip):
        return outcome
    if on_error == "raise":
        raise outcome
    on_error(source, outcome)
    return None


def _loudest(clip: Clip, seconds: float, rate: int) -> Clip:
    """The window of `seconds` that holds the most energy, of those that begin every half window."""
    size = round(seconds * rate)
    last = len(clip.waveform) - size
    starts = [*range(0, last, max(1, size // 2)), last]
    energies = [np.square(clip.waveform[s : s + size], dtype=np.float64).sum() for s in starts]
    start = starts[int(np.argmax(energies))]
    waveform = clip.waveform[start : start + size].copy()  # a copy, so that the rest can be freed
    return replace(clip, waveform=waveform, start=start / rate, end=(start + size) / rate)


def _is_silent(waveform: np.ndarray) -> bool:
    return bool(np.ptp(waveform) <= SILENCE)


def _silence(clip: Clip) -> Caption:
    return Caption("silence", 1.0, clip.start, clip.end, (("silence", 1.0),), clip.source)


def _torch_dtype(dtype: str | torch.dtype, device: str) -> torch.dtype:
    if dtype == "auto":
        return torch.bfloat16 if torch.device(device).type == "cuda" else torch.float32
    found = getattr(torch, dtype, None) if isinstance(dtype, str) else dtype
    if not isinstance(found, torch.dtype) or not found.is_floating_point:
        raise ValueError(f"unknown dtype {dtype!r}: choose auto, float32, bfloat16 or float16")
    return found


def _check_positive(**numbers: int) -> None:
    for name, number in numbers.items():
        if number < 1:
            raise ValueError(f"{name} must be at least 1, not {number}")
