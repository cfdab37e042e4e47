"""Against the original Java programs, run here: more text than is stored."""

from __future__ import annotations

import itertools
import random
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from benchmarks.ptb_probes import ALPHABETS, PLACES, apart, original_tokens

from earwitness.metrics.corpus import Corpus
from earwitness.metrics.meteor.data import package_folder
from earwitness.metrics.meteor.score import meteor
from earwitness.metrics.tokenizer import ptb_tokens

sys.path.append(str(Path(__file__).parent))  # test modules are imported on their own
from messy_lines import messy_lines

pytestmark = pytest.mark.java


@pytest.mark.parametrize("seed", range(4))
def test_tokenizer_on_fresh_messy_lines(seed):
    assert differing(messy_lines(25_000, seed)) == []


def test_tokenizer_on_every_short_text():
    texts = ["".join(t) for n in range(1, 6) for a in ALPHABETS for t in itertools.product(a, repeat=n)]
    assert differing(apart(texts)) == []


def test_tokenizer_on_probed_places():
    """Every place of the probes with what decides there: ASCII, blanks, and some of all other kinds."""
    taken = [
        *map(chr, range(0x20, 0x7F)),
        *"\t\x92\xa0\xad\xe9\u2003\u2010\u2019\u3000\u3001\u30fc\u0301\u0663",
    ]
    assert differing(apart(place.replace("{}", mark) for place in PLACES for mark in taken)) == []


@pytest.mark.parametrize(
    "last", ["in the U.S.", "at 5p.m.", "Acme Ltd.", "and so on, etc.", "x.", "it's Mr."]
)
def test_a_line_cut_at_the_files_end(last):
    for lines in ([last], ["a dog", last], [last, "The dog"], [last, ""]):
        assert differing(lines) == []


def differing(lines: list[str]) -> list[tuple[str, str, str]]:
    """Lines of which the jar makes other tokens than we do: (line, its tokens, ours)."""
    found = [" ".join(tokens) for tokens in ptb_tokens(lines, keep_punctuation=True)]
    return [row for row in zip(lines, original_tokens(lines), found, strict=True) if row[1] != row[2]]


def jar_scores(rows: list[tuple[str, list[str]]]) -> tuple[list[float], float]:
    command = [
        "java",
        "-Xmx2G",
        "-Dfile.encoding=UTF-8",
        "-jar",
        "meteor-1.5.jar",
        "-",
        "-",
        "-stdio",
        "-l",
        "en",
        "-norm",
    ]
    folder = package_folder() / "meteor"
    process = subprocess.Popen(
        command,
        cwd=folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        encoding="utf-8",
    )
    assert process.stdin and process.stdout

    def ask(lines: list[str], answers: int) -> list[str]:
        def feed() -> None:
            process.stdin.write("\n".join(lines) + "\n")  # type: ignore[union-attr]
            process.stdin.flush()  # type: ignore[union-attr]

        thread = threading.Thread(target=feed)
        thread.start()
        found = [process.stdout.readline().strip() for _ in range(answers)]  # type: ignore[union-attr]
        thread.join()
        return found

    try:
        statistics = ask([" ||| ".join(["SCORE", *refs, candidate]) for candidate, refs in rows], len(rows))
        values = ask([" ||| ".join(["EVAL", *statistics])], len(rows) + 1)
    finally:
        process.kill()
    return [float(value) for value in values[:-1]], float(values[-1])


def test_meteor_on_shuffled_and_messy_pairs(golden, meteor_data):
    chosen = random.Random(5)
    texts = [text for references in golden["clotho"]["references"] for text in references]
    words = " ".join(texts).split()
    messy = [" ".join(tokens).replace("|||", "") or "x" for tokens in ptb_tokens(messy_lines(3_000, seed=3))]
    vocabulary = list(meteor_data.words)

    def pair() -> tuple[str, list[str]]:
        some = chosen.choices(vocabulary, k=8)  # stems, synonyms, paraphrases
        few = [*chosen.sample(words, 3), "the", "a", "of"]  # more ways to align than the beam holds
        kinds = (
            lambda: chosen.choice(texts),
            lambda: chosen.choice(messy),
            lambda: " ".join(chosen.choices(some, k=12)),
            lambda: " ".join(chosen.choices(few, k=chosen.randrange(1, 40))),
            lambda: " ".join(chosen.choices(words, k=chosen.randrange(1, 60))),
        )
        kind = chosen.choice(kinds)
        return kind(), [kind() for _ in range(chosen.randrange(1, 6))]

    pairs = [pair() for _ in range(3_000)]
    clips, corpus = jar_scores(pairs)
    found = meteor(Corpus([c for c, _ in pairs], [r for _, r in pairs], tokenize=False))
    assert found.clips == clips
    assert found.corpus == corpus
