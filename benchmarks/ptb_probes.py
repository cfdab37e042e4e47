"""Tables from which five shapes of the Penn Treebank tokenizer were read: python -m benchmarks.ptb_probes.

The tokenizer of CoreNLP 3.4.1 (pycocoevalcap carries it; needs Java) is only run, on texts made here:
  - telephone numbers: which lengths of digit groups, joined by which signs, make one token;
  - web and e-mail addresses, smileys, hyphenated words: which characters a place in a template takes;
  - hyphenated words, too: of all short texts over a few characters, which are one token, as an automaton.
src/earwitness/metrics/ptb/shapes.py writes the tables down as regular expressions; tests/metrics/test_jars.py
compares them with the tokenizer on these and other texts.
"""

from __future__ import annotations

import itertools
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

PLANE = "".join(chr(code) for code in range(0x21, 0xFFFE) if not 0xD800 <= code < 0xE000 and code != 0x85)
PLANE = PLANE.replace("\u2028", "").replace("\u2029", "")
PLACES = (
    *("http://{}xz", "http://x{}z", "http://xz{}", "www.{}#x.com", "www.#x{}z.com", "www.#a.com/x{}z"),
    *("www.#a.com/xz{}", "{}#xz.com", "#x{}z.com", "#a.com{}xz", "{}b@cd", "a{}b@cd", "ab@{}cd", "ab@cd{}"),
    *("<ab@cd{}", "d{}7ab-b", "d'{}ab-b", "{}'7ab-b", "7b{}7b-b", "7.{}-b", "7.b-{}", "b/{}", "b{}/b"),
    *(
        ":{}",
        ":{})",
        "{})",
        "{}:)",
        ":-){}",
        "^{}^",
        "{}_^",
        "({}^)",
        "(>{}<)",
        "(212){}555-1234",
        "212{}555 1234",
    ),
)
ALPHABETS = ("b7-_.", "b7-/", "db-'", "b7-,.")


def original_tokens(lines: Sequence[str]) -> list[str]:
    """Tokens of every line, blanks between, as pycocoevalcap's jar makes them of the lines as one file."""
    from earwitness.metrics.meteor.data import package_folder

    jar = package_folder() / "tokenizer" / "stanford-corenlp-3.4.1.jar"
    command = ["java", "-Dfile.encoding=UTF-8", "-cp", str(jar), "edu.stanford.nlp.process.PTBTokenizer"]
    with tempfile.TemporaryDirectory() as folder:
        text = Path(folder) / "lines"
        text.write_text("\n".join(lines), encoding="utf-8", newline="\n")
        done = subprocess.run(
            [*command, "-preserveLines", "-lowerCase", str(text)], capture_output=True, check=True
        )
    return done.stdout.decode().split("\n")[: len(lines)]


def apart(texts: Iterable[str]) -> list[str]:
    """The texts with a neutral line after each, so that none is judged by the next."""
    return [line for text in texts for line in (text, "zq")]


def single(texts: Iterable[str]) -> list[str]:
    """Those of the texts that are one token."""
    texts = list(texts)
    found = original_tokens(apart(texts))[::2]
    return [text for text, tokens in zip(texts, found, strict=True) if tokens and " " not in tokens]


def telephone_table() -> Iterator[str]:
    """For every way to join digit groups: the lengths that make one token."""
    ways = itertools.product(("", "+", "++", "+++"), (False, True), (2, 3, 4))
    for sign, bracketed, groups in ways:
        for gaps in itertools.product("- ./", repeat=groups - 1):
            texts = {}
            for lengths in itertools.product(range(1, 7), repeat=groups):
                digits = ["2345678901234567"[3 * i : 3 * i + n] for i, n in enumerate(lengths)]
                first = f"({digits[0]})" if bracketed else digits[0]
                texts[sign + first + "".join(a + b for a, b in zip(gaps, digits[1:], strict=True))] = lengths
            columns = list(zip(*(texts[text] for text in single(texts)), strict=True))
            if columns:
                yield f"{sign}{'()' * bracketed} {gaps}: " + ", ".join(ranges(column) for column in columns)


def place_table() -> Iterator[str]:
    """For every template: the characters with which it is one token, or those with which it is not."""
    for place in PLACES:
        taken = set(single(place.replace("{}", character) for character in PLANE))
        good = [ord(c) for c in PLANE if place.replace("{}", c) in taken]
        bad = [ord(c) for c in PLANE if place.replace("{}", c) not in taken]
        shown = ("only " + ranges(good, 16)) if len(good) < len(bad) else ("all but " + ranges(bad, 16))
        yield f"{place}: {shown:.500}"


def automaton(alphabet: str, longest: int = 7, ahead: int = 3) -> Iterator[str]:
    """The single tokens over an alphabet as an automaton.

    Beginnings are one state if the same endings, up to `ahead` characters, complete both (k-tails; Biermann
    and Feldman 1972).
    """
    accepted = set(single(_texts(alphabet, 1, longest)))
    endings = list(_texts(alphabet, 0, ahead))
    beginnings = list(_texts(alphabet, 0, longest - ahead))
    tails = {text: frozenset(end for end in endings if text + end in accepted) for text in beginnings}
    states: dict[frozenset[str], str] = {}
    for text in beginnings:
        states.setdefault(tails[text], text)
    for tail, text in states.items():
        if tail and len(text) < longest - ahead:
            steps = [f"{c}->{states[tails[text + c]]!r}" for c in alphabet if tails[text + c]]
            yield f"{text!r}{' *' * ('' in tail)}: {' '.join(steps)}"


def _texts(alphabet: str, shortest: int, longest: int) -> Iterator[str]:
    for length in range(shortest, longest + 1):
        yield from map("".join, itertools.product(alphabet, repeat=length))


def ranges(numbers: Iterable[int], base: int = 10) -> str:
    """1, 2, 3, 5 -> "1-3 5"."""
    runs: list[list[int]] = []
    for number in sorted(set(numbers)):
        if runs and runs[-1][1] == number - 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    write = "{:x}" if base == 16 else "{}"
    return " ".join("-".join(write.format(n) for n in dict.fromkeys(run)) for run in runs)


def main() -> None:
    for line in itertools.chain(telephone_table(), place_table()):
        print(line)
    for alphabet in ALPHABETS:
        print(f"\nsingle tokens over {alphabet!r} (* is a whole one)")
        print("\n".join(automaton(alphabet)))


if __name__ == "__main__":
    main()
