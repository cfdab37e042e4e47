"""Names of a tag head's outputs: the labels of a bank, and concepts that join several of them."""

from __future__ import annotations

from earwitness.scenes.lexicon import Lexicon


class TagSet:
    """Names of the tag head's outputs: every label of the bank, then every concept that joins several.

    A coarse tag ("engine") is trained on all its labels, so that a class with few recordings shares theirs.
    """

    def __init__(self, names: list[str], labels: list[str], lexicon: Lexicon):
        self.names = names
        index = {name: i for i, name in enumerate(names)}
        self.of_label: dict[str, tuple[int, ...]] = {}
        for label in labels:
            coarse = [
                c.name for c in lexicon.concepts.values() if label == c.labels[0] or label in c.labels[:3]
            ]
            self.of_label[label] = tuple(sorted({index[n] for n in [label, *coarse] if n in index}))

    @classmethod
    def of(cls, labels: list[str], lexicon: Lexicon) -> TagSet:
        coarse = [c.name for c in lexicon.concepts.values() if len(c.labels) > 1 and c.name not in labels]
        return cls([*sorted(labels), *coarse], sorted(labels), lexicon)
