"""Captions a person can trust: calibrated scores, sentences, events and words of order on held-out sounds.

    python -m benchmarks.calibration --bank BANK                            # measure the built-in model
    python -m benchmarks.calibration --bank BANK --model FOLDER --write     # fit; store in FOLDER

BANK: a folder with manifest.csv and recordings (see scenes/bank.py). Only groups that training holds out are
used: single recordings, and scenes of two or three of them that overlap or follow each other. With 400 of
each (the default) the command takes less than three minutes on one core.

A caption is right if every sound that it names, as the lexicon reads it, is one of those in the clip (the
same label, or one that a concept of the lexicon joins with it), and it names one at least. The weights that
`--write` stores are fitted on all clips; the errors that are printed are those of five-fold cross-validation,
where no recording's group is on both sides.
"""

from __future__ import annotations

import argparse
import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.grammar import broken
from benchmarks.known_sounds import Example, Judge, examples
from benchmarks.record import Row, report
from earwitness.atomic_write import atomic_write_text
from earwitness.captioner import DEFAULT, Captioner
from earwitness.captions import SURE, sureness
from earwitness.checkpoints.folder import CONFIG
from earwitness.config.model import with_decoding
from earwitness.decoding.calibration import (
    Evidence,
    EvidenceReader,
    Weights,
    expected_calibration_error,
    fit_calibration,
    plain_score,
)
from earwitness.runtime.settings import SETTINGS

FOLDS = 5
BATCH = 16
ORDER = re.compile(r"\b(?:followed by|then|before|after|afterwards|later|finally|eventually)\b")


@dataclass(frozen=True)
class Judged:
    """A caption and what is true of it. order: whether it has words of order, and whether rightly."""

    example: Example
    text: str
    evidence: Evidence
    right: bool
    events: int
    order: tuple[bool, bool]


def judge(captioner: Captioner, found: Sequence[Example]) -> list[Judged]:
    """Captions every example."""
    model, judge_of = captioner.model, Judge()
    reader = EvidenceReader(model.tag_names)
    judged: list[Judged] = []
    order = sorted(range(len(found)), key=lambda i: len(found[i].waveform))
    for first in range(0, len(order), BATCH):
        batch = [found[i] for i in order[first : first + BATCH]]
        decoded = model.caption([example.waveform for example in batch])
        tags = [[]] * len(batch) if decoded.tags is None else decoded.tags.tolist()
        for example, text, logprob, row in zip(batch, decoded.texts, decoded.scores.tolist(), tags):
            named = judge_of.named(text)
            said = ORDER.search(text) is not None
            judged.append(
                Judged(
                    example,
                    text,
                    reader(text, logprob, row),
                    judge_of.right(named, example.labels),
                    judge_of.events(named),
                    (said, said and judge_of.ordered(example)),
                )
            )
    return judged


def cross_validated(judged: Sequence[Judged]) -> NDArray[np.float64]:
    """Each caption's probability by weights that were fitted without its recordings' groups."""
    names = sorted({group for one in judged for group in one.example.groups})
    fold = {name: i % FOLDS for i, name in enumerate(names)}
    p = np.full(len(judged), np.nan)
    for k in range(FOLDS):
        fitted = [one for one in judged if all(fold[g] != k for g in one.example.groups)]
        weights = fit_calibration([one.evidence for one in fitted], [one.right for one in fitted])
        for i, one in enumerate(judged):
            if min(fold[g] for g in one.example.groups) == k:
                p[i] = weights.probability(one.evidence)
    return p


def rows(judged: Sequence[Judged], stored: Weights | None) -> list[Row]:
    right = np.array([one.right for one in judged])
    p = cross_validated(judged)
    plain = np.array([plain_score(one.evidence.logprob) for one in judged])
    single = [one for one in judged if len(one.example.labels) == 1]
    said = [one for one in judged if one.order[0]]
    sure = p >= SURE
    table = [
        Row("captions that are right", "share", float(right.mean())),
        Row(
            "calibration error, cross-validated",
            "ECE",
            expected_calibration_error(p, right),
            expected_calibration_error(plain, right),
        ),
        Row(
            "right where the score is .8 or more",
            "share",
            float(right[sure].mean()) if sure.any() else float("nan"),
        ),
        Row("captions whose score is .8 or more", "share", float(sure.mean())),
        Row("AUC of the score", "share", auc(p, right), auc(plain, right), rate=True),
        Row("broken sentences", "share", share(bool(broken(one.text)) for one in judged)),
        Row("single sources that get two events", "share", share(one.events > 1 for one in single)),
        Row("words of order without support in time", "share", share(not one.order[1] for one in said)),
        Row("captions with words of order", "share", len(said) / len(judged)),
    ]
    if stored is not None:
        own = [stored.probability(one.evidence) for one in judged]
        table.append(
            Row("calibration error of the stored weights", "ECE", expected_calibration_error(own, right))
        )
    return table


def share(truths: Iterator[bool]) -> float:
    listed = list(truths)
    return sum(listed) / len(listed) if listed else 0.0


def auc(p: NDArray[np.float64], right: NDArray[np.bool_]) -> float:
    """Probability that a caption that is right has the higher score than one that is wrong."""
    ahead = p[right][:, None] - p[~right]
    return float((ahead > 0).mean() + (ahead == 0).mean() / 2)


def write(folder: Path, weights: Weights) -> None:
    """Stores the weights in the checkpoint's config, and in its settings for ONNX Runtime if it has any."""
    data = with_decoding(json.loads((folder / CONFIG).read_text(encoding="utf-8")))
    data["decoding"] = {**(data.get("decoding") or {}), "calibration": weights._asdict()}
    atomic_write_text(folder / CONFIG, json.dumps(data, indent=1) + "\n")
    if (folder / SETTINGS).is_file():
        settings = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))
        settings["calibration"] = weights._asdict()
        atomic_write_text(folder / SETTINGS, json.dumps(settings, indent=1) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--bank", type=Path, required=True, help="folder with manifest.csv and recordings")
    parser.add_argument(
        "--model", type=Path, default=DEFAULT, help="checkpoint folder; default: the built-in"
    )
    parser.add_argument("--recordings", type=int, default=400, help="single recordings")
    parser.add_argument("--scenes", type=int, default=400, help="scenes composed of them")
    parser.add_argument("--write", action="store_true", help="store the fitted weights in the model's config")
    parser.add_argument("--show", type=int, default=8, help="captions to print of each kind")
    options = parser.parse_args()
    captioner = Captioner.from_pretrained(options.model)
    judged = judge(captioner, examples(options.bank, options.recordings, options.scenes))
    for one in [j for j in judged if broken(j.text)][: options.show]:
        print(f"  broken: {one.text}  ({'; '.join(broken(one.text))})")
    for one in judged[:: max(1, len(judged) // max(1, options.show))]:
        print(f"  {'right' if one.right else 'wrong'}: {', '.join(one.example.labels)} -> {one.text}")
    section = captioner.model.calibration
    stored = None if section is None else Weights(**section)
    fitted = fit_calibration([one.evidence for one in judged], [one.right for one in judged])
    report("calibration", rows(judged, stored), recordings=options.recordings, scenes=options.scenes)
    words = Counter(sureness(fitted.probability(one.evidence)) for one in judged)
    print(", ".join(f"{words[word]} {word}" for word in ("sure", "likely", "unsure")))
    print(json.dumps(fitted._asdict()))
    if options.write:
        write(options.model, fitted)
        print(f"stored in {options.model / CONFIG} under decoding.calibration")


if __name__ == "__main__":
    main()
