"""Tables and JSON lines of benchmarks, and what they call better."""

from __future__ import annotations

import json
import time

import pytest
from benchmarks.__main__ import BENCHMARKS, main
from benchmarks.record import Row, Stopwatch, report, side_by_side

from benchmarks import record


def test_a_ratio_above_one_is_better_for_times_and_for_rates():
    assert Row("time", "ms", 2.0, 3.0).ratio == pytest.approx(1.5)
    assert Row("rate", "clips/s", 3.0, 2.0, rate=True).ratio == pytest.approx(1.5)
    assert Row("alone", "ms", 2.0).ratio is None


def test_a_report_is_a_table_and_a_line_that_says_where_it_came_from(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(record, "RESULTS", tmp_path / "results")
    report("sinkhorn", [Row("batched", "ms", 2.0, 30.0, 1.0, wanted=">= 10 x")], batch=32)
    report("sinkhorn", [Row("batched", "ms", 2.0)])
    first, second = (tmp_path / "results" / "sinkhorn.jsonl").read_text().splitlines()
    entry = json.loads(first)
    assert entry["rows"][0]["ratio"] == 15.0 and entry["batch"] == 32
    assert {"date", "commit", "versions", "machine"} <= entry.keys() and entry["machine"]["cores"] >= 1
    assert json.loads(second)["rows"][0]["ratio"] is None
    table = capsys.readouterr().out
    assert "batched" in table and "wanted >= 10 x" in table


@pytest.fixture
def wall_clock(monkeypatch):
    monkeypatch.setattr(record, "fair_clock", lambda: time.perf_counter)  # sleep takes no work


def test_functions_take_turns_and_the_first_round_does_not_count(wall_clock):
    order = []
    times = side_by_side(2, a=lambda: order.append("a"), b=lambda: (order.append("b"), time.sleep(0.005)))
    assert order == ["a", "b"] * 3
    assert times["b"] >= 0.005 > times["a"]


def test_a_stopwatch_counts_calls_and_passes_everything_through(wall_clock):
    watch = Stopwatch()
    timed = watch.around(lambda a, *, b: (time.sleep(0.005), a + b)[1])
    assert timed(1, b=2) == 3 and timed(2, b=2) == 4
    assert watch.calls == 2 and watch.seconds >= 0.01
    with pytest.raises(TypeError, match="missing"):
        timed(1)
    assert watch.calls == 3
    watch.reset()
    assert watch.calls == watch.seconds == 0


@pytest.mark.parametrize("words, code", [(["--help"], 0), (["frontend"], 1)])
def test_the_command_lists_the_benchmarks(words, code, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["benchmarks", *words])
    assert main() == code
    listed = capsys.readouterr().out
    assert all(name in listed for name in BENCHMARKS)
