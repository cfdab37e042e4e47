"""Against the original Java programs, run here: more text than is stored."""

from __future__ import annotations

import random
import subprocess
import threading
from pathlib import Path

import pytest

from earwitness.metrics.corpus import Corpus
from earwitness.metrics.meteor import meteor
from earwitness.metrics.meteor_data import package_folder
from earwitness.metrics.tokenizer import ptb_tokens

pytestmark = pytest.mark.java

PIECES = (
    "a the dog Dog barks The It he's don't cannot gonna 'tis y'all o'clock d'oh 'em '80s Mr. St. Inc. "
    "etc. vs. e.g. U.S. a.m. no. "
    "No. 5 fig. Jan. J. 1/2 1,000 -5 5% $5 £5 #5 #hash @user a@b.com www.foo.com a.b :) :-( <3 ^_^ ( ) [ "
    "] <b> <unk> ... .. . ! ?! , "
    "; : - -- — \" ' ` “ ” ‘ ’ & &amp; R&B / w/o = ~ foo_bar ½ é café 👍 3-year-old U.S.-based "
    "555-1234 12:30 5pm"
).split()


def messy_lines(count: int, seed: int) -> list[str]:
    chosen = random.Random(seed)
    return [
        "".join(chosen.choice(PIECES) + chosen.choice([" ", " ", ""]) for _ in range(chosen.randrange(1, 8)))
        for _ in range(count)
    ]


def test_tokenizer_on_fresh_messy_lines(tmp_path: Path):
    lines = messy_lines(20_000, seed=11)
    (tmp_path / "lines").write_text("\n".join(lines), encoding="utf-8")
    jar = package_folder() / "tokenizer" / "stanford-corenlp-3.4.1.jar"
    command = ["java", "-Dfile.encoding=UTF-8", "-cp", str(jar), "edu.stanford.nlp.process.PTBTokenizer"]
    done = subprocess.run(
        [*command, "-preserveLines", "-lowerCase", str(tmp_path / "lines")], capture_output=True, check=True
    )
    wanted = done.stdout.decode().split("\n")[: len(lines)]
    found = [" ".join(tokens) for tokens in ptb_tokens(lines, keep_punctuation=True)]
    wrong = [row for row in zip(lines, wanted, found, strict=True) if row[1] != row[2]]
    assert len(wrong) <= len(lines) // 5000, wrong[:5]


def jar_scores(rows: list[tuple[str, list[str]]]) -> tuple[list[float], float]:
    command = ["java", "-Xmx2G", "-jar", "meteor-1.5.jar", "-", "-", "-stdio", "-l", "en", "-norm"]
    folder = package_folder() / "meteor"
    process = subprocess.Popen(
        command,
        cwd=folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
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


def test_meteor_on_shuffled_pairs(golden, meteor_data):
    rows = golden["clotho"]
    chosen = random.Random(5)
    texts = [text for refs in rows["references"] for text in refs]
    words = " ".join(texts).split()
    pairs = []
    for _ in range(400):
        candidate = chosen.choice(texts)
        if chosen.random() < 0.3:
            candidate = " ".join(
                chosen.choices(candidate.split() + chosen.choices(words, k=3), k=chosen.randrange(1, 25))
            )
        pairs.append((candidate, chosen.sample(texts, chosen.randrange(1, 6))))
    pairs += [
        (f"{' '.join(line.split())} dog", ["the u.s. dog 's no. 5 , 10-second clip-clop"])
        for line in _ascii(200)
    ]
    clips, corpus = jar_scores(pairs)
    found = meteor(Corpus([c for c, _ in pairs], [r for _, r in pairs], tokenize=False))
    assert found.clips == clips
    assert found.corpus == corpus


def _ascii(count: int) -> list[str]:
    return [line for line in messy_lines(count, seed=3) if line.isascii() and line.strip()]
