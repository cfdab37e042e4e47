"""Caption: what was heard, where and how surely; and what is done with a row of them."""

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

MAX_TAGS, MIN_TAG = 5, 0.2  # tags told: at most five, from this probability on

SPEECH = re.compile(r"\b(speech|speaking|talking|conversation|narration|monologue|whispering)\b", re.I)
IS_SPEECH = 0.5  # probability of such a tag from which on a caption's time counts as speech

SURE, LIKELY = 0.8, 0.5  # least scores of captions that are called so

Tags = tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class Caption:
    """What was heard in `source` between `start` and `end`.

    score: 0..1; of a calibrated model (its config has decoding.calibration) the probability that every sound
    that the caption names can be heard, else the geometric mean of its tokens' probabilities, exp(logprob).
    tags: (name, probability), the most probable first: those of at least 0.2, at most five, and at least one
    if the model has tags. uncorrected: what the model decoded, where `text` is a correction of it. logprob:
    mean log-probability of the caption's tokens; None where it is not known.
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
        """The score in a word: "sure", "likely" or "unsure"."""
        return sureness(self.score)

    @property
    def kind(self) -> str:
        """ "silence", "speech" where the tags say that somebody speaks, else "sound"."""
        if self.tags == (("silence", 1.0),):
            return "silence"
        speech = any(p >= IS_SPEECH and is_speech_tag(name) for name, p in self.tags)
        return "speech" if speech else "sound"

    def _repr_html_(self) -> str:
        """For notebooks: the caption and its tags, under a player if the source is a file that is there."""
        tags = ", ".join(f"{html.escape(name)} {probability:.2f}" for name, probability in self.tags)
        time, score = f"{self.start:.2f}–{self.end:.2f} s", f"{self.sureness} ({self.score:.2f})"
        where = f"{html.escape(self.source)}, {time}, {score}"
        return (
            f"<figure style='margin:0'>{_player(self)}<figcaption><b>{html.escape(self.text)}</b><br>"
            f"<small>{tags}<br>{where}</small></figcaption></figure>"
        )


def sureness(score: float) -> str:
    """ "sure" from a score of 0.8 on, "likely" from 0.5 on, else "unsure"."""
    return "sure" if score >= SURE else "likely" if score >= LIKELY else "unsure"


def is_speech_tag(name: str) -> bool:
    return SPEECH.search(name) is not None


def top_tags(tags: Iterable[tuple[str, float]], most: int = MAX_TAGS, least: float = MIN_TAG) -> Tags:
    """The most probable tags, at most `most`, of probability `least` at least; the first one always."""
    ranked = heapq.nlargest(most, tags, key=itemgetter(1))
    return tuple(tag for i, tag in enumerate(ranked) if i == 0 or tag[1] >= least)


def merge_neighbours(captions: Iterable[Caption]) -> Iterator[Caption]:
    """Neighbouring captions of a source that say the same, as one from the first's start to the last's end.

    Neighbours touch or overlap. The score and the log-probability are means over time; each tag keeps its
    greatest probability. Constant memory: one caption is held back.
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
    said, again = ((c.source, c.text, c.uncorrected) for c in (a, b))
    return said == again and a.start <= b.start <= a.end + 1e-3


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
    """An <audio> element that carries the sound itself as 16-bit PCM; nothing if it cannot be had."""
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
