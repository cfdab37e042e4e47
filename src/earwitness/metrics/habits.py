"""Signs of a language model that talks instead of captioning: captions that begin, or are, all alike."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

OPENING = 3  # words
FEWEST = 10  # captions from which a share means something
ALIKE, DISTINCT, LONG, SHORT = 0.4, 0.2, 25.0, 3.0  # where a warning is due; ours


@dataclass(frozen=True)
class Habits:
    """opening: the commonest first words. share: of the captions that begin with them. distinct: captions
    that differ. words: mean length of a caption. count: of all captions.
    """

    opening: str
    share: float
    distinct: int
    words: float
    count: int

    @classmethod
    def of(cls, captions: Sequence[str]) -> Habits:
        split = [caption.lower().split() for caption in captions]
        openings = Counter(" ".join(words[:OPENING]) for words in split if len(words) >= OPENING)
        opening, often = openings.most_common(1)[0] if openings else ("", 0)
        count = len(captions)
        mean = sum(map(len, split)) / max(count, 1)
        return cls(opening, often / max(count, 1), len({tuple(words) for words in split}), mean, count)

    def __str__(self) -> str:
        return (
            f"{self.distinct} of {self.count} captions are distinct, {self.words:.1f} words on average; "
            f'{self.share:.0%} begin with "{self.opening}"'
        )

    def warnings(self) -> Iterator[str]:
        """Signs of a model that chats, or whose captions hardly depend on the audio."""
        if self.count < FEWEST:
            return
        if self.share > ALIKE:
            yield (
                f'{self.share:.0%} of the captions begin with "{self.opening}": is that a preamble? '
                "Train longer, or end the prompt where a caption begins"
            )
        if self.distinct < DISTINCT * self.count:
            yield f"only {self.distinct} of {self.count} captions are distinct: they ignore the audio"
        if not SHORT <= self.words <= LONG:
            yield f"captions have {self.words:.1f} words on average; people's have about 10"
