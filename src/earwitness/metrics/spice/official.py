"""SPICE (Anderson et al. 2016) by its official Java program, for who has it: each distinct caption is
parsed once.

The program and its libraries come with pycocoevalcap; Stanford CoreNLP 3.6.0 and its models (385 MB) do
not, and it runs
on Java 8 to 14 only. `spice_home` names the folder with spice-1.0.jar and lib/.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from earwitness.atomic_write import atomic_write_text
from earwitness.metrics.corpus import Corpus, Score, mean_score
from earwitness.metrics.meteor.data import MissingData, cache_folder, load
from earwitness.metrics.spice.graph import SceneTuple, SynonymJudge, f1, graph

JAVA = range(8, 15)
HEAP = "8G"
TIMEOUT = 3600  # s


def spice(corpus: Corpus, home: str | os.PathLike[str] | None = None) -> Score:
    """F1 of scene-graph tuples per clip, tuples from the official parser, scored here.

    Raises:
        MissingData: Java, CoreNLP or the program is missing or fails; says what and what to do.
    """
    texts = list(dict.fromkeys(" ".join(tokens) for tokens in corpus.rows))
    tuples = TupleCache(cache_folder() / "spice-tuples")
    if unknown := [text for text in texts if text and text not in tuples]:
        tuples.add(run_parser(unknown, find_home(home)))
    judge = SynonymJudge(load())
    values = []
    for candidate, references in zip(corpus.candidate_tokens, corpus.reference_tokens, strict=True):
        own = graph(tuples[" ".join(candidate)], judge)
        other = graph([t for tokens in references for t in tuples[" ".join(tokens)]], judge)
        values.append(f1(own, other))
    return mean_score(values)


def find_home(home: str | os.PathLike[str] | None) -> Path:
    """The folder of SPICE, checked to be complete."""
    chosen = home or os.environ.get("SPICE_HOME")
    hint = "use spice_approx, which needs none of it"
    if not chosen:
        raise MissingData(
            f"SPICE needs its Java program: name its folder with --spice-home or SPICE_HOME, or {hint}"
        )
    folder = Path(chosen)
    wanted = ["spice-1.0.jar", "lib/stanford-corenlp-3.6.0.jar", "lib/stanford-corenlp-3.6.0-models.jar"]
    if lacking := [name for name in wanted if not (folder / name).is_file()]:
        raise MissingData(f"SPICE is incomplete: {folder} lacks {', '.join(lacking)}; add them, or {hint}")
    version = java_version()
    if version is None:
        raise MissingData(
            f"SPICE needs Java {JAVA[0]} to {JAVA[-1]}, and no java is found; install one, or {hint}"
        )
    if version not in JAVA:
        raise MissingData(
            f"SPICE runs on Java {JAVA[0]} to {JAVA[-1]}, this is Java {version}; put one on PATH, or {hint}"
        )
    return folder


def java_version() -> int | None:
    """The major version of the java on PATH, None without one."""
    java = shutil.which("java")
    if java is None:
        return None
    done = subprocess.run([java, "-version"], capture_output=True, text=True, check=False)
    match = re.search(r'version "(?:1\.)?(\d+)', done.stderr + done.stdout)
    return int(match[1]) if match else None


def run_parser(texts: list[str], home: Path) -> dict[str, list[SceneTuple]]:
    """Parse captions with the official program: caption -> tuples."""
    with tempfile.TemporaryDirectory() as folder:
        given, made = Path(folder) / "in.json", Path(folder) / "out.json"
        rows = [{"image_id": number, "test": text, "refs": ["a"]} for number, text in enumerate(texts)]
        given.write_text(json.dumps(rows), encoding="utf-8")
        command = [
            "java",
            f"-Xmx{HEAP}",
            "-Duser.language=en",
            "-Duser.region=US",
            "-jar",
            str(home / "spice-1.0.jar"),
        ]
        command += [str(given), "-out", str(made), "-detailed", "-silent", "-subset"]
        try:
            done = subprocess.run(
                command, cwd=home, capture_output=True, text=True, timeout=TIMEOUT, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise MissingData(f"SPICE did not finish: {error}") from error
        if done.returncode or not made.is_file():
            last = (done.stderr or done.stdout).strip().splitlines()[-1:] or ["no message"]
            raise MissingData(f"SPICE failed with status {done.returncode}: {last[0]}")
        results = json.loads(made.read_text(encoding="utf-8"))
    return {
        texts[int(row["image_id"])]: [
            tuple(str(part) for part in entry["tuple"]) for entry in row["test_tuples"]
        ]
        for row in results
    }


class TupleCache:
    """Tuples of captions on disk, 256 small files by the captions' hash."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._loaded: dict[str, dict[str, list[SceneTuple]]] = {}

    def _shelf(self, text: str) -> dict[str, list[SceneTuple]]:
        key = hashlib.sha256(text.encode()).hexdigest()[:2]
        if key not in self._loaded:
            self._loaded[key] = {}
            path = self._folder / f"{key}.json"
            try:
                stored = json.loads(path.read_text(encoding="utf-8"))
                self._loaded[key] = {text: [tuple(t) for t in tuples] for text, tuples in stored.items()}
            except (OSError, ValueError):
                pass  # not there yet, or damaged: those captions are parsed again
        return self._loaded[key]

    def __contains__(self, text: str) -> bool:
        return text in self._shelf(text)

    def __getitem__(self, text: str) -> list[SceneTuple]:
        return self._shelf(text).get(text, [])

    def add(self, found: dict[str, list[SceneTuple]]) -> None:
        """Keep the tuples of captions, in memory only where the folder cannot be written."""
        for text, tuples in found.items():
            self._shelf(text)[text] = tuples
        with suppress(OSError):
            for key in _keys(found):
                atomic_write_text(self._folder / f"{key}.json", json.dumps(self._loaded[key]))


def _keys(texts: Iterable[str]) -> set[str]:
    return {hashlib.sha256(text.encode()).hexdigest()[:2] for text in texts}
