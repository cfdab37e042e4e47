"""Plain words: sources and documentation have none of the idioms that CONTRIBUTING.md replaces."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SCANNED = (
    *("src/**/*.py", "src/**/*.yaml", "README.md", "CHANGELOG.md"),
    *("docs/**/*.md", "docs/figures/*.py"),
)
IDIOMS = re.compile(
    r"(?<![A-Za-z])("  # in identifiers, too
    r"told|tell(?!\()|tells|"  # but for the method file.tell()
    r"hear|hears|heard|mend(s|ed|ing)?|go(es)? on|went on|hangs? on|lies?|aside|by formula|worked for|"
    r"whoever|passed over|to be had|at hand|looked at|looks at|dealt out|deals? out|likelier|surer"
    r")(?![A-Za-z])",
    re.I,
)
# Word lists hold the words themselves.
WORD_LISTS = {"src/earwitness/metrics/spice/words.yaml", "src/earwitness/scenes/lexicon.yaml"}
# A plain sense: nothing else says it shorter.
PLAIN = {
    "docs/metrics.md": ("no exact p lies between",),
}


def idioms(text: str, allowed: tuple[str, ...] = ()) -> Iterator[str]:
    """Line number and words of every idiom but in allowed phrases."""
    for number, line in enumerate(text.splitlines(), 1):
        for phrase in allowed:
            line = line.replace(phrase, "")
        yield from (f"line {number}: {found[0]}" for found in IDIOMS.finditer(line))


def test_the_package_and_its_documentation_use_plain_words() -> None:
    faults = []
    files = {file for pattern in SCANNED for file in ROOT.glob(pattern) if "_build" not in file.parts}
    for file in sorted(files):
        name = file.relative_to(ROOT).as_posix()
        if name not in WORD_LISTS:
            found = idioms(file.read_text("utf-8"), PLAIN.get(name, ()))
            faults += [f"{name}, {fault}" for fault in found]
    assert len(files) > 300 and not faults, "\n".join(faults)


@pytest.mark.parametrize("name", PLAIN)
def test_every_exception_is_still_needed(name: str) -> None:
    text = (ROOT / name).read_text("utf-8")
    assert all(phrase in text and list(idioms(phrase)) for phrase in PLAIN[name])


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("the sound that the model heard", ["heard"]),
        ("The run goes on; each fault names its mend.", ["goes on", "mend"]),
        ("network = made_aside(load)", ["aside"]),
        ("file.tell() and its category", []),
        ("The caption is decoded, and the run resumes.", []),
    ],
)
def test_idioms_are_noticed(line: str, found: list[str]) -> None:
    assert list(idioms(line)) == [f"line 1: {word}" for word in found]
