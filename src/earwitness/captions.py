"""Caption: the text, time, score and tags of a clip; and operations on sequences of captions."""

from __future__ import annotations

import base64
import heapq
import html
import io
import re
import wave
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from operator import itemgetter

MAX_TAGS, MIN_TAG_PROBABILITY = 5, 0.2  # of the tags that a caption keeps

SPEECH = re.compile(r"\b(speech|speaking|talking|conversation|narration|monologue|whispering)\b", re.I)
MIN_SPEECH_PROBABILITY = 0.5  # of such a tag, for a caption's time to count as speech

SURE, LIKELY = 0.8, 0.5  # minimum scores of captions with these labels

Tags = tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class Caption:
    """The caption of `source` between `start` and `end`.

    score: 0..1; of a calibrated model (its config has decoding.calibration) the probability that every sound
    that the caption names is present, else the geometric mean of its tokens' probabilities, exp(logprob).
    tags: (name, probability), the most probable first: those of at least 0.2, at most five, and at least one
    if the model has tags. uncorrected: the decoded text, where `text` is a correction of it. logprob: mean
    log-probability of the caption's tokens; None where it is unknown.
    """

    text: str
    score: float
    start: float = 0.0  # s
    end: float = 0.0  # s
    tags: Tags = ()
    source: str = ""
    uncorrected: str | None = None
    logprob: float | None = None

    @property
    def sureness(self) -> str:
        """The score's label: "sure", "likely" or "unsure"."""
        return sureness(self.score)

    @property
    def kind(self) -> str:
        """ "silence", "speech" where a speech tag is probable, else "sound"."""
        if self.tags == (("silence", 1.0),):
            return "silence"
        speech = any(p >= MIN_SPEECH_PROBABILITY and is_speech_tag(name) for name, p in self.tags)
        return "speech" if speech else "sound"

    def _repr_html_(self) -> str:
        """HTML for notebooks: the caption and its tags, under a player if the source is an existing file."""
        tags = ", ".join(f"{html.escape(name)} {probability:.2f}" for name, probability in self.tags)
        time, score = f"{self.start:.2f}–{self.end:.2f} s", f"{self.sureness} ({self.score:.2f})"
        where = f"{html.escape(self.source)}, {time}, {score}"
        return (
            f"<figure style='margin:0'>{_player(self)}<figcaption><b>{html.escape(self.text)}</b><br>"
            f"<small>{tags}<br>{where}</small></figcaption></figure>"
        )


def sureness(score: float) -> str:
    """Return "sure" for scores from 0.8, "likely" from 0.5, else "unsure"."""
    return "sure" if score >= SURE else "likely" if score >= LIKELY else "unsure"


def is_speech_tag(name: str) -> bool:
    return SPEECH.search(name) is not None


def top_tags(
    tags: Iterable[tuple[str, float]], most: int = MAX_TAGS, least: float = MIN_TAG_PROBABILITY
) -> Tags:
    """Return at most `most` tags, of probability `least` or more; always the most probable one."""
    ranked = heapq.nlargest(most, tags, key=itemgetter(1))
    return tuple(tag for i, tag in enumerate(ranked) if i == 0 or tag[1] >= least)


def merge_neighbours(captions: Iterable[Caption]) -> Iterator[Caption]:
    """Merge neighbouring captions of a source with the same text into one from the first start to the last
    end.

    Neighbours touch or overlap. The score and the log-probability are means over time; each tag keeps its
    greatest probability. Memory is constant.
    """
    last: Caption | None = None
    for caption in captions:
        if last is not None and _continues(last, caption):
            last = _merged(last, caption)
            continue
        if last is not None:
            yield last
        last = caption
    if last is not None:
        yield last


def _continues(a: Caption, b: Caption) -> bool:
    first, second = ((c.source, c.text, c.uncorrected) for c in (a, b))
    return first == second and a.start <= b.start <= a.end + 1e-3


def _merged(a: Caption, b: Caption) -> Caption:
    before, more = a.end - a.start, max(0.0, b.end - a.end)
    share = more / (before + more) if before + more else 0.0
    score = a.score + share * (b.score - a.score)
    logprob = None
    if a.logprob is not None and b.logprob is not None:
        logprob = a.logprob + share * (b.logprob - a.logprob)
    best = dict(a.tags)
    for name, probability in b.tags:
        best[name] = max(probability, best.get(name, 0.0))
    tags = top_tags(best.items())
    return replace(a, end=max(a.end, b.end), score=score, tags=tags, logprob=logprob)


def _player(caption: Caption) -> str:
    """Return an <audio> element with the clip as 16-bit PCM; nothing if it cannot be decoded."""
    from earwitness.media.containers import MediaError
    from earwitness.media.reading import load_audio

    try:
        audio = load_audio(caption.source, start=caption.start, end=caption.end or None)
    except (MediaError, ValueError):
        return ""
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setparams((1, 2, audio.sample_rate, 0, "NONE", ""))
        out.writeframes((audio.waveform.clip(-1, 1) * 32767).astype("<i2").tobytes())
    data = base64.b64encode(file.getvalue()).decode("ascii")
    return f"<audio controls src='data:audio/wav;base64,{data}'></audio>"
