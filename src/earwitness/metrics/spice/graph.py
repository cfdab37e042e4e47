"""SPICE's score (Anderson et al. 2016): F1 of scene-graph tuples, words compared by WordNet synonym sets."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from earwitness.metrics.meteor.data import MeteorData
from earwitness.metrics.meteor.matches import synonym_sets

SceneTuple = tuple[str, ...]


class SynonymJudge:
    """Whether two words or phrases mean the same: equal, or in a common synonym set."""

    def __init__(self, data: MeteorData) -> None:
        self._data = data
        self._sets: dict[str, frozenset[str]] = {}

    def sets(self, phrase: str) -> frozenset[str]:
        """The phrase and its synonym sets."""
        found = self._sets.get(phrase)
        if found is None:
            found = frozenset((phrase, *synonym_sets(phrase.replace(" ", "_"), self._data)))
            self._sets[phrase] = found
        return found


Slots = tuple[frozenset[str], ...]


def graph(tuples: Iterable[SceneTuple], judge: SynonymJudge) -> list[Slots]:
    """The tuples of one or several captions as one graph: objects that mean the same are one node.

    An object joins the node that shares most synonym sets with it. Tuples that become equal count once.
    """
    nodes: list[frozenset[str]] = []
    home: dict[str, int] = {}
    rows = list(dict.fromkeys(tuples))
    for parts in rows:
        for name in {parts[0], parts[-1]} if len(parts) != 2 else {parts[0]}:
            if name not in home:
                own = judge.sets(name)
                best = max(range(len(nodes)), key=lambda k: len(nodes[k] & own), default=-1)
                if best >= 0 and nodes[best] & own:
                    nodes[best] |= own
                    home[name] = best
                else:
                    home[name] = len(nodes)
                    nodes.append(own)
    merged: dict[tuple[object, ...], Slots] = {}
    for parts in rows:
        key: list[object] = [home[parts[0]]]
        slots = [nodes[home[parts[0]]]]
        if len(parts) > 1:
            key.append(parts[1])
            slots.append(judge.sets(parts[1]))
        if len(parts) > 2:
            key.append(home[parts[2]])
            slots.append(nodes[home[parts[2]]])
        merged.setdefault(tuple(key), tuple(slots))
    return list(merged.values())


def f1(candidate: Sequence[Slots], reference: Sequence[Slots]) -> float:
    """2PR / (P + R), where a candidate tuple is right if a reference tuple of the same kind agrees in
    every slot."""
    if not candidate or not reference:
        return 0.0
    right = sum(
        any(
            len(own) == len(other) and all(not a.isdisjoint(b) for a, b in zip(own, other, strict=True))
            for other in reference
        )
        for own in candidate
    )
    precision, recall = right / len(candidate), right / len(reference)
    return 2 * precision * recall / (precision + recall) if right else 0.0
