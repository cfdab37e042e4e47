"""Which tests call which function of the package, and how long they take; tests in forked processes."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.mutants.changes import MODULE, PACKAGE, ROOT, Mutant

TESTS = ["losses", "decoding", "metrics", "scenes", "analysis/test_modality_gap.py", "training"]
MOST_SECONDS = 90.0  # of tests that are run for one mutant, as long as they take without one
OUTPUT = "output.txt"
SELECTED = "not exhaustive and not gpu and not java and not browser"


class Recorder:
    """A pytest plugin: which functions of the package each test calls, and how long it takes.

    What a fixture calls counts for all tests of the file. Forked processes of a test append to the same file.
    """

    def __init__(self, calls: Path, package: Path):
        self.package, self.test, self.seen = str(package), "", set()
        self.file = os.open(calls, os.O_CREAT | os.O_WRONLY | os.O_TRUNC | os.O_APPEND)

    def trace(self, frame: Any, event: str, argument: Any) -> None:
        code = frame.f_code
        if code not in self.seen:
            self.seen.add(code)
            if code.co_filename.startswith(self.package):
                self.write(file=code.co_filename, function=code.co_qualname.partition(".<locals>")[0])

    def write(self, **row: Any) -> None:
        os.write(self.file, (json.dumps({"test": self.test} | row) + "\n").encode())

    def follow(self, test: str) -> Iterator[None]:
        self.test, self.seen = test, set()
        threading.settrace(self.trace)
        sys.settrace(self.trace)
        yield
        sys.settrace(None)
        threading.settrace(None)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_setup(self, item: Any) -> Any:
        yield from self.follow(item.nodeid.partition("::")[0])

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: Any) -> Any:
        yield from self.follow(item.nodeid)

    def pytest_runtest_logreport(self, report: Any) -> None:
        self.test = report.nodeid
        self.write(seconds=report.duration)


class CallMap:
    """Which tests call which function, from build/mutants/; test files without a record are run for one."""

    def __init__(self, tree: Path) -> None:
        self.seconds: dict[str, float] = {}
        self.callers: dict[tuple[str, str], set[str]] = {}
        folder = ROOT / "build" / "mutants"
        folder.mkdir(parents=True, exist_ok=True)
        for place in TESTS:
            for file in sorted((tree / "tests" / place).rglob("test_*.py")) or [tree / "tests" / place]:
                name = str(file.relative_to(tree))
                digest = hashlib.sha256(file.read_bytes()).hexdigest()[:16]
                kept = folder / f"{name.replace('/', '.')}.{digest}.jsonl"
                if not kept.is_file():
                    print("recording the calls of", name, flush=True)
                    calls = tree / "calls.jsonl"
                    recorder = Recorder(calls, tree / PACKAGE)
                    if forked(partial(run_tests, [name], recorder), tree, 1200) != "passed":
                        sys.exit(f"{name} fails without a mutant:\n{(tree / OUTPUT).read_text()[-3000:]}")
                    kept.write_text(calls.read_text().replace(f"{tree}/", ""))
                self.add(map(json.loads, kept.read_text().splitlines()))

    def add(self, rows: Iterator[dict[str, Any]]) -> None:
        for row in rows:
            if "seconds" in row:
                self.seconds[row["test"]] = self.seconds.get(row["test"], 0.0) + row["seconds"]
            else:
                self.callers.setdefault((row["file"], row["function"]), set()).add(row["test"])

    def limit(self, tests: list[str]) -> float:
        """Seconds after which the tests are stopped."""
        return 120 + 5 * sum(self.seconds[test] for test in tests)

    def tests_of(self, mutant: Mutant) -> list[str]:
        """Tests that call the mutant's function (for MODULE: any of the file), the quickest file first."""
        found: set[str] = set()
        for (file, function), tests in self.callers.items():
            if file == mutant.file and mutant.function in (function, MODULE):
                found |= tests
        whole = {test for test in found if "::" not in test}
        found |= {test for test in self.seconds if test.partition("::")[0] in whole}
        chosen, total = [], 0.0
        for test in sorted((t for t in found if t in self.seconds), key=self.seconds.__getitem__):
            total += self.seconds[test]
            if not chosen or total < MOST_SECONDS:
                chosen.append(test)
        files = [test.partition("::")[0] for test in chosen]
        return sorted(chosen, key=lambda test: files.index(test.partition("::")[0]))


def forked(work: Callable[[], int], tree: Path, seconds: float) -> str:
    """What becomes of work() in a process of its own: passed (it returned 0), failed or timeout."""
    child = os.fork()
    if not child:
        os.setsid()
        output = os.open(tree / OUTPUT, os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
        os.dup2(output, 1)
        os.dup2(output, 2)
        code = 1
        try:
            code = int(work())
        finally:
            os._exit(code)
    end, status = time.monotonic() + seconds, None
    while status is None and time.monotonic() < end:
        done, code = os.waitpid(child, os.WNOHANG)
        status = code if done else time.sleep(0.02)
    with suppress(ProcessLookupError):  # and what it has started
        os.killpg(child, signal.SIGKILL)
    if status is None:
        os.waitpid(child, 0)
        return "timeout"
    return "failed" if status else "passed"


def run_tests(tests: list[str], *plugins: object) -> int:
    """The exit code of pytest, 0 if it finds no test in these files that can be run here."""
    options = ["-x", "-q", "-s", "-p", "no:cacheprovider", "-p", "no:xdist", "--basetemp=tmp", "-m", SELECTED]
    code = pytest.main([*options, *tests], plugins=list(plugins))
    return 0 if code == pytest.ExitCode.NO_TESTS_COLLECTED else int(code)
