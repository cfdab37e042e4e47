"""The text of a prompt's `<tags>`: the clip's probable tags by name, in three grades of probability. Ours.

    dog, bark; animal; speech, music

reads: a dog and its bark are probable, an animal is likely, speech and music are possible. A grade without a
tag is empty.
"""

from __future__ import annotations

from collections.abc import Sequence

GRADES = (0.4, 0.15, 0.05)  # least probability of each grade
MAX_PROMPT_TAGS = 7


def short_name(name: str) -> str:
    """The first of a class's names, in lower case: "Male speech, man speaking" -> "male speech"."""
    return name.split(",")[0].split("(")[0].strip().lower()


def tag_text(names: Sequence[str], probabilities: Sequence[float]) -> str:
    """names, probabilities: of all tags. Returns at most seven short names, the most probable first.

    If no tag reaches the last grade, it holds the most probable one.
    """
    ranked = sorted(range(len(names)), key=lambda i: -probabilities[i])[:MAX_PROMPT_TAGS]
    grades: list[list[str]] = [[] for _ in GRADES]
    for i in ranked:
        grade = next((g for g, least in enumerate(GRADES) if probabilities[i] >= least), None)
        if grade is None and any(grades):
            break
        grades[len(GRADES) - 1 if grade is None else grade].append(short_name(names[i]))
    return "; ".join(", ".join(grade) for grade in grades)
