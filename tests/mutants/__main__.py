"""Mutation run: change one operator or number of the package at a time and see that a test fails.

    python -m tests.mutants                  # 150 mutants, 30 of each part of PARTS
    python -m tests.mutants --only losses    # those whose path:line contains the word
    python -m tests.mutants --again          # those that are not known to be killed
    python -m tests.mutants --list           # the mutants alone

All happens in a copy of the working tree. The tests that call a mutant's function are run in a forked process
in which that function has the changed code; where the change is outside of functions, the file is changed and
imported anew. A mutant is killed if a test fails or the time is over. Which tests call a function is recorded
first, test file by test file, in build/mutants/; a test file that has not changed is not run again.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from itertools import zip_longest
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

from tests.mutants.calls import CallMap, forked, run_tests
from tests.mutants.changes import MODULE, ROOT, Mutant, draw


def copied_tree(folder: Path) -> Path:
    """The working tree's files, ignored ones left out, in `folder`."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    for name in subprocess.run(listed, cwd=ROOT, capture_output=True, check=True).stdout.decode().split("\0"):
        if name and (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    return folder


def put_in_place(mutant: Mutant, tree: Path) -> None:
    """Gives the mutant's function its changed code, wherever the function has been imported or wrapped."""
    path = str(tree / mutant.file)
    queue: list[Any] = [compile(mutant.source, path, "exec", dont_inherit=True)]
    changed = None
    while changed is None:
        code = queue.pop()
        queue += [const for const in code.co_consts if isinstance(const, CodeType)]
        changed = code if code.co_qualname == mutant.function else None
    for found in gc.get_objects():
        code = found.__code__ if isinstance(found, FunctionType) else None
        if code and (code.co_filename, code.co_qualname) == (path, mutant.function):
            found.__code__ = changed


class Checks:
    """A pytest plugin: instead of the tests that were collected, those of each mutant, against it."""

    def __init__(
        self, tree: Path, mutants: list[Mutant], calls: CallMap, report: Callable[..., None]
    ) -> None:
        self.tree, self.mutants, self.calls, self.report = tree, mutants, calls, report

    def pytest_runtestloop(self, session: Any) -> bool:
        items = {item.nodeid: item for item in session.items}
        for mutant in self.mutants:
            begin, tests = time.monotonic(), self.calls.tests_of(mutant)
            work = partial(self.run, session, mutant, [items[test] for test in tests if test in items])
            self.report(mutant, forked(work, self.tree, self.calls.limit(tests)), begin)
        return True

    def run(self, session: Any, mutant: Mutant, items: list[Any]) -> int:
        put_in_place(mutant, self.tree)
        for item, following in zip_longest(items, items[1:]):
            item.ihook.pytest_runtest_protocol(item=item, nextitem=following)
            if session.testsfailed:
                return 1
        return 0


def check_file(mutant: Mutant, number: int, tree: Path, calls: CallMap) -> str:
    """What becomes of the tests with the changed file, which is restored. number: from 1, each its own."""
    tests, file = calls.tests_of(mutant), tree / mutant.file
    whole, before = file.read_bytes(), file.stat().st_mtime
    try:
        file.write_bytes(mutant.source)
        os.utime(file, (0, before + 10 * number))  # bytecode is told apart by whole seconds and size
        return forked(partial(run_tests, tests), tree, calls.limit(tests))
    finally:
        file.write_bytes(whole)
        os.utime(file, (0, before))


class Report:
    """Prints what became of each mutant and keeps it in build/mutants/results.json."""

    FILE = ROOT / "build" / "mutants" / "results.json"

    def __init__(self) -> None:
        self.found = json.loads(self.FILE.read_text()) if self.FILE.is_file() else {}

    def __call__(self, mutant: Mutant, outcome: str, begin: float) -> None:
        outcome = {"passed": "survived", "failed": "killed", "timeout": "killed"}.get(outcome, outcome)
        self.found[str(mutant)] = outcome
        self.FILE.write_text(json.dumps(self.found, indent=0))
        os.write(1, f"{outcome:8} {time.monotonic() - begin:5.1f} s  {mutant}\n".encode())


def check(drawn: list[Mutant], tree: Path) -> None:
    """Runs the tests of all mutants: those in functions in one session of pytest, the others each alone."""
    import accelerate, hypothesis, soundfile, torch, transformers  # noqa: E401, F401, I001

    calls, report = CallMap(tree), Report()
    for mutant in [m for m in drawn if not calls.tests_of(m)]:
        report(mutant, "no test", time.monotonic())
    inside = [m for m in drawn if m.function != MODULE and calls.tests_of(m)]
    files = sorted({test.partition("::")[0] for m in inside for test in calls.tests_of(m)})
    if inside:
        session = os.fork()
        if not session:
            os._exit(run_tests(files, Checks(tree, inside, calls, report)))
        os.waitpid(session, 0)
        report = Report()
    for number, mutant in enumerate([m for m in drawn if m.function == MODULE and calls.tests_of(m)], 1):
        begin = time.monotonic()
        report(mutant, check_file(mutant, number, tree, calls), begin)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--count", type=int, default=150)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="a part of a mutant's path:line: old -> new")
    parser.add_argument("--again", action="store_true", help="those that are not known to be killed")
    parser.add_argument("--list", action="store_true")
    options = parser.parse_args()
    drawn = [m for m in draw(options.count, options.seed) if options.only in str(m)]
    if options.list:
        print(*drawn, sep="\n")
        return
    os.environ |= {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    chosen = [m for m in drawn if not options.again or Report().found.get(str(m)) != "killed"]
    with tempfile.TemporaryDirectory() as name:
        tree = copied_tree(Path(name))
        os.chdir(tree)
        sys.path.insert(0, str(tree / "src"))
        os.environ["PYTHONPATH"] = str(tree / "src")
        check(chosen, tree)
    found = [Report().found.get(str(mutant), "not run") for mutant in drawn]
    print(f"{len(drawn)} mutants: " + ", ".join(f"{found.count(what)} {what}" for what in sorted(set(found))))


if __name__ == "__main__":
    main()
