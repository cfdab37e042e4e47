"""Clip: a segment of a source that gets one caption, with its audio and video frames."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from earwitness.captions import Caption
from earwitness.decoding.words import normalise_caption
from earwitness.media import reading as media
from earwitness.media.source import Source, is_array, media_of, name_of
from earwitness.runtime.protocol import Pictures

log = logging.getLogger("earwitness")

SILENCE = 2.0**-13  # peak to peak: four steps of 16 bits, which is dither
OnError = Literal["raise"] | Callable[[Any, media.MediaError], object]
TOLERANCE = 0.1  # s by which a clip may exceed the model's limit: codecs pad, media.windows joins short rests


@dataclass(frozen=True)
class Clip:
    """start, end: seconds in the source. frames: images of that segment, uint8 [N, size, size, 3], or
    features of them, float32 [N, D]; None where there are none. captions: retrieved ones of similar clips.
    """

    waveform: np.ndarray  # float32 [S]
    start: float
    end: float
    source: str
    frames: np.ndarray | None = None
    captions: Sequence[str] | None = None
    faint: bool = False  # inaudible beside the sound around it in its recording

    @property
    def is_silent(self) -> bool:
        return self.faint or bool(np.ptp(self.waveform) <= SILENCE)

    @staticmethod
    def shown_captions(clips: Sequence[Clip]) -> list[list[str]] | None:
        """Return the retrieved captions stored with the clips, as in training; None if no clip has any."""
        if all(clip.captions is None for clip in clips):
            return None
        return [[normalise_caption(caption) for caption in clip.captions or ()] for clip in clips]

    def captioned_silence(self) -> Caption:
        """Return the caption of a silent clip, for which no model is called."""
        return Caption("silence", 1.0, self.start, self.end, (("silence", 1.0),), self.source, logprob=0.0)


@dataclass(frozen=True)
class FrameSampler:
    """Samples frames for a model with vision: `rate` a second, squares of `size` pixels.

    A source without video has no frames, and neither has a segment whose frames do not decode (a warning is
    logged); with `required` both raise MediaError.
    """

    rate: float
    size: int
    required: bool = False

    @classmethod
    def of(cls, pictures: Pictures | None) -> FrameSampler | None:
        """Return the sampler of a model's frames; None for a model without vision."""
        return None if pictures is None else cls(*pictures)

    def __call__(self, source: Any, clip: Clip) -> Clip:
        """Return the clip with the frames of `source` in its segment."""
        if is_array(source) or not media.probe(source).has_video:
            if self.required:
                raise media.MediaError(clip.source, "has no video, which is required here")
            return clip
        try:
            frames, _ = media.sample_frames(source, self.rate, clip.start, clip.end, self.size)
        except media.MediaError as error:
            if self.required:
                raise
            log.warning("%s; captioned from its audio alone", error)
            return clip
        return replace(clip, frames=frames)


def load_clip(
    source: Any, rate: int, max_seconds: float, sampler: FrameSampler | None, resampler: str = "soxr"
) -> Clip:
    """Load a source as one clip; of one longer than `max_seconds` its loudest window, with a warning.

    Raises MediaError.
    """
    name = name_of(source)
    source = reopenable(source, sampler)
    audio = media.load_audio(source, rate, resampler=resampler)
    media.log_damage(name, audio.faults, audio.lost, audio.repaired)
    clip = Clip(audio.waveform, 0.0, audio.duration, name)
    if audio.duration > max_seconds + TOLERANCE:
        clip = loudest(clip, max_seconds, rate)
        log.warning(
            "%s lasts %.1f s, and the model takes %g s at once: captioned %.1f to %.1f s, where it is "
            "loudest; timeline() or --timeline captions all of it",
            *(name, audio.duration, max_seconds, clip.start, clip.end),
        )
    return sampler(source, clip) if sampler else clip


def clip_or_none(source: Any, outcome: Clip | media.MediaError, on_error: OnError) -> Clip | None:
    """Return the clip; of an error, raise it or pass it to `on_error` and return None."""
    if isinstance(outcome, Clip):
        return outcome
    if on_error == "raise":
        raise outcome
    on_error(source, outcome)
    return None


def reopenable(source: Any, sampler: FrameSampler | None) -> Any:
    """Read a file object into memory where two decoders (of audio and of frames) need it."""
    if not sampler or not hasattr(media_of(source), "read"):
        return source
    data = media_of(source).read()
    return replace(source, media=data) if isinstance(source, Source) else data


def loudest(clip: Clip, seconds: float, rate: int) -> Clip:
    """Return the window of `seconds` with the most energy, of those that start every half window."""
    size = round(seconds * rate)
    last = len(clip.waveform) - size
    starts = [*range(0, last, max(1, size // 2)), last]
    energies = [np.var(clip.waveform[s : s + size], dtype=np.float64) for s in starts]
    start = starts[int(np.argmax(energies))]
    waveform = clip.waveform[start : start + size].copy()  # a copy, so that the rest can be freed
    begin, end = clip.start + start / rate, clip.start + (start + size) / rate
    return replace(clip, waveform=waveform, start=begin, end=end)
