"""Common batches: right answers to right askers, no batch too large, nobody waits for a greedy one."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from earwitness.serving.batcher import Batcher


class Recorder:
    """Doubles what it is asked, remembers the batches, and can be held up."""

    def __init__(self) -> None:
        self.batches: list[tuple[object, list[int]]] = []
        self.free = threading.Event()
        self.free.set()

    def __call__(self, key, items):
        self.batches.append((key, list(items)))
        self.free.wait(10)
        if -1 in items:
            raise ValueError("minus one")
        return [2 * item for item in items]


def ask_together(batcher: Batcher, asked: list[tuple[object, list[int]]]) -> list[list[int]]:
    with ThreadPoolExecutor(len(asked)) as threads:
        futures = [threads.submit(batcher.ask, key, items) for key, items in asked]
        return [future.result(10) for future in futures]


def test_everyone_gets_their_own_answers() -> None:
    asked = [("a", list(range(n, n + n % 7 + 1))) for n in range(0, 400, 10)]
    run = Recorder()
    with Batcher(run, size=8, patience=0.02) as batcher:
        answers = ask_together(batcher, asked)
    assert answers == [[2 * item for item in items] for _, items in asked]
    assert max(len(items) for _, items in run.batches) == 8  # full, and never more


def test_keys_do_not_mix() -> None:
    run = Recorder()
    with Batcher(run, size=16, patience=0.02) as batcher:
        ask_together(batcher, [(n % 2, [n]) for n in range(12)])
    assert all({item % 2 for item in items} == {key} for key, items in run.batches)


def test_one_item_does_not_wait_behind_a_thousand() -> None:
    run = Recorder()
    run.free.clear()
    with Batcher(run, size=4, patience=0.0) as batcher, ThreadPoolExecutor(2) as threads:
        many = threads.submit(batcher.ask, "key", list(range(1000)))
        while not run.batches:
            time.sleep(0.001)
        one = threads.submit(batcher.ask, "key", [5000])
        while batcher._count < 997:
            time.sleep(0.001)
        run.free.set()
        assert one.result(10) == [10_000]
        many.result(10)
    assert [number for number, (_, items) in enumerate(run.batches) if 5000 in items] == [1]


def test_a_batch_that_fails_fails_alone() -> None:
    with Batcher(Recorder(), size=4, patience=0.0) as batcher:
        with pytest.raises(ValueError, match="minus one"):
            batcher.ask("key", [-1])
        assert batcher.ask("key", [3]) == [6]


def test_closing_answers_what_was_asked_and_no_more() -> None:
    run = Recorder()
    run.free.clear()
    with ThreadPoolExecutor(1) as threads:
        with Batcher(run, size=1, patience=0.0) as batcher:
            asked = threads.submit(batcher.ask, "key", [1, 2, 3])
            while not run.batches:
                time.sleep(0.001)
            run.free.set()
        assert asked.result(10) == [2, 4, 6]
    with pytest.raises(RuntimeError, match="closed"):
        batcher.ask("key", [1])
