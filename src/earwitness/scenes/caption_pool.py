"""Human captions whose sounds a bank has, parsed once by the lexicon; rare sounds may be favoured."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np

from earwitness.scenes.lexicon import Lexicon, Mention

Phases = list[list[Mention]]


class CaptionPool:
    """Captions with the phases of sounds they name; those that name a sound the bank lacks are skipped.

    balance: a caption is drawn with a chance of (captions that name its rarest sound) ** -balance.
    0 draws all alike and reads them as they come; more than 0 reads them all at once, 10,000 a second.
    """

    def __init__(
        self,
        captions: list[str],
        lexicon: Lexicon,
        playable: Callable[[Mention], bool],
        *,
        tolerance: int = 1,
        balance: float = 0.0,
    ):
        self.captions, self.lexicon, self.playable, self.tolerance = captions, lexicon, playable, tolerance
        self._known: dict[int, Phases | None] = {}
        self._chances = self._favouring_rare(balance) if balance and captions else None

    def __len__(self) -> int:
        return len(self.captions)

    def draw(self, rng: np.random.Generator) -> tuple[str, Phases]:
        """Draw a caption and its phases. Raises ValueError when the bank lacks a sound of every one."""
        while len(self._known) < len(self) or any(self._known.values()):
            i = int(rng.integers(len(self))) if self._chances is None else self._weighed(rng.random())
            if phases := self._phases(i):
                return self.captions[i], phases
        raise ValueError(f"the bank has not all sounds of any one of the {len(self)} captions")

    def _weighed(self, uniform: float) -> int:
        assert self._chances is not None
        return int(np.searchsorted(self._chances, uniform * self._chances[-1], side="right"))

    def _phases(self, i: int) -> Phases | None:
        if i not in self._known:
            phases = self.lexicon.read(self.captions[i], self.tolerance)
            whole = phases and all(self.playable(mention) for phase in phases for mention in phase)
            self._known[i] = phases if whole else None
        return self._known[i]

    def _favouring_rare(self, balance: float) -> np.ndarray:
        """Cumulative chances [captions]."""
        named = [{m.concept for phase in self._phases(i) or () for m in phase} for i in range(len(self))]
        counts = Counter(concept for concepts in named for concept in concepts)
        rarest = [min((counts[c] for c in concepts), default=0) for concepts in named]
        return np.cumsum([count**-balance if count else 0.0 for count in rarest])
