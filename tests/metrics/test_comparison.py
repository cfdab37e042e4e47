"""Statistics of comparisons: p by exchange of systems, Holm's correction, intervals by bootstrap."""

from __future__ import annotations

import itertools
import statistics
import tracemalloc

import numpy as np
import pytest

from earwitness import score
from earwitness.metrics import comparison
from earwitness.metrics.comparison import EXACT, compare, holm, intervals
from earwitness.metrics.report import Report


def report(values, **more):
    """A report of metrics that are means over clips: name -> values."""
    values = {"rouge_l": values, **more}
    clips = len(values["rouge_l"])
    return Report(
        corpus={name: float(np.mean(each)) for name, each in values.items()},
        clips={name: list(map(float, each)) for name, each in values.items()},
        signature="",
        ids=[str(number) for number in range(clips)],
        candidates=["a"] * clips,
        references=[["a"]] * clips,
    )


def brute_force(first, second):
    """The exact two-sided p, by every exchange of clips."""
    gains = [a - b for a, b in zip(first, second, strict=True)]
    observed = abs(sum(gains))
    sums = [
        abs(sum(map(float.__mul__, gains, signs)))
        for signs in itertools.product((1.0, -1.0), repeat=len(gains))
    ]
    return statistics.mean(value >= observed - 1e-9 for value in sums)


@pytest.mark.parametrize("clips", [1, 2, 3, 7, 10])
def test_few_clips_are_exact(clips):
    generator = np.random.default_rng(clips)
    first, second = generator.normal(size=(2, clips)).tolist()
    found = compare(report(first), report(second))["rouge_l"]
    assert found.p == pytest.approx(brute_force(first, second))
    assert not found.significant


def test_three_clips_prove_nothing():
    found = compare(report([0.9, 0.8, 0.9]), report([0.1, 0.2, 0.1]))["rouge_l"]
    assert found.p == 0.25 and not found.significant


def test_sampled_p_is_near_the_exact_one():
    generator = np.random.default_rng(5)
    first = generator.normal(size=EXACT.bit_length() - 1)
    second = first + generator.normal(0.3, 0.6, size=len(first))
    found = compare(report(first), report(second), samples=20_000)["rouge_l"].p
    assert found == pytest.approx(brute_force(first.tolist(), second.tolist()), abs=0.01)
    assert compare(report(first), report(first + 1))["rouge_l"].p == pytest.approx(2 / 16384, abs=0.001)


@pytest.mark.parametrize(
    ("clips", "level"),
    [
        (5, 0.0625),  # of 32 assignments 2 are the least: no p lies between 0 and .0625
        (10, 0.05),
        (20, 0.05),
        (50, 0.05),
        (200, 0.05),
    ],
)
def test_equal_systems_differ_as_often_as_the_level_says(clips, level):
    """Skewed scores of clips that are hard or easy for both, as captions' scores are."""
    generator, trials, positives = np.random.default_rng(clips), 1500, 0
    for trial in range(trials):
        ease = generator.gamma(2.0, 0.2, size=clips)
        first, second = (ease * generator.gamma(3.0, 0.3, size=clips) for _ in range(2))
        found = compare(report(first), report(second), samples=400, seed=trial)["rouge_l"]
        positives += found.p <= level + 1e-9
    assert 0.03 <= positives / trials <= 0.07


def test_p_of_pooled_metrics_is_that_of_exchanged_captions(golden, meteor_data):
    """The slow way: exchange the captions themselves, and score both systems anew."""
    rows = golden["clotho"]
    references, own = rows["references"][:6], rows["candidates"][:6]
    other = [texts[0] for texts in references[1:] + references[:1]]
    names = ["bleu_1", "bleu_4", "meteor"]
    found = compare(score(own, references, names), score(other, references, names))
    seen: dict[str, list[float]] = {name: [] for name in names}
    for swapped in itertools.product((False, True), repeat=6):
        pairs = [(b, a) if swap else (a, b) for a, b, swap in zip(own, other, swapped, strict=True)]
        one, two = (score(list(texts), references, names) for texts in zip(*pairs, strict=True))
        for name in names:
            seen[name].append(abs(one.corpus[name] - two.corpus[name]))
    for name in names:
        wanted = np.mean(np.array(seen[name]) >= seen[name][0] - 1e-12)
        assert found[name].p == pytest.approx(wanted), name


def test_a_seed_gives_the_p_and_the_interval_it_always_gave():
    generator = np.random.default_rng(1)
    first = generator.gamma(2.0, 0.2, size=60)
    second = first + generator.normal(0.03, 0.2, size=60)
    found = compare(report(first), report(second), samples=999, seed=7)["rouge_l"]
    assert found.p == 0.915
    (low, high) = intervals(report(first), samples=999, seed=7)["rouge_l"]
    assert (low, high) == pytest.approx((0.3113474878300547, 0.4128790830516541), abs=1e-9)


def test_memory_does_not_grow_with_the_number_of_samples(monkeypatch):
    """Draws are made BLOCK numbers at a time, and the result is that of one block."""
    values = np.random.default_rng(0).normal(size=1000)
    whole = intervals(report(values), samples=2000)["rouge_l"]
    monkeypatch.setattr(comparison, "BLOCK", 10_000)
    tracemalloc.start()
    assert intervals(report(values), samples=2000)["rouge_l"] == pytest.approx(whole, abs=1e-12)
    compare(report(values), report(values + 0.1), samples=2000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4_000_000  # bytes; two million numbers at once are 16 MB


def test_several_metrics_are_corrected():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0] and holm([]) == []
    generator = np.random.default_rng(3)
    base = generator.normal(size=40)
    better = base + generator.normal(0.4, 0.4, size=40)
    alone = compare(report(better), report(base))["rouge_l"]
    others = {f"m{number}": generator.normal(size=40) for number in range(9)}
    among = compare(report(better, **others), report(base, **others))["rouge_l"]
    assert alone.p == among.p == alone.p_corrected and among.p_corrected == pytest.approx(10 * among.p)


def test_no_star_under_twenty_clips():
    sure = np.linspace(0.5, 1, 20)
    assert compare(report(sure), report(sure - 0.4))["rouge_l"].significant
    nineteen = compare(report(sure[:19]), report(sure[:19] - 0.4))["rouge_l"]
    assert nineteen.p < 0.001 and not nineteen.significant


def test_intervals_of_one_system(golden):
    values = np.random.default_rng(0).gamma(2.0, 0.2, size=400)
    (low, high) = intervals(report(values), samples=4000)["rouge_l"]
    assert (low, high) == pytest.approx(
        (values.mean() - 1.96 * values.std() / 20, values.mean() + 1.96 * values.std() / 20), abs=0.003
    )
    assert intervals(report(values[:19])) == {} and intervals(report(values[:20])) != {}
    rows = golden["clotho"]
    found = score(rows["candidates"], rows["references"], "bleu_4,cider_d,vocabulary")
    bounds = intervals(found)
    assert set(bounds) == {"bleu_4", "cider_d"}
    for name, (low, high) in bounds.items():
        assert low < found.corpus[name] < high
