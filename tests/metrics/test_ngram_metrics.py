"""BLEU, ROUGE-L and CIDEr-D against pycocoevalcap's values and against slow, obvious twins."""

from __future__ import annotations

import math
import random
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from earwitness.metrics.bleu import bleu
from earwitness.metrics.cider_d import DocumentFrequency, cider_d
from earwitness.metrics.corpus import Corpus
from earwitness.metrics.diversity import distinct, lengths, self_similarity
from earwitness.metrics.rouge_l import rouge_l
from earwitness.metrics.vocabulary import vocabulary

WORDS = st.lists(st.sampled_from("a b c d e".split()), max_size=9).map(" ".join)
CLIPS = st.lists(st.tuples(WORDS, st.lists(WORDS, min_size=1, max_size=4)), min_size=2, max_size=6)


def corpus_of(clips) -> Corpus:
    return Corpus([c for c, _ in clips], [r for _, r in clips], tokenize=False)


@pytest.fixture(scope="module")
def clotho(golden):
    return Corpus(golden["clotho"]["candidates"], golden["clotho"]["references"])


@pytest.mark.parametrize("name", ["bleu_1", "bleu_2", "bleu_3", "bleu_4", "rouge_l", "cider_d"])
def test_equal_to_the_standard_tool(golden, clotho, name):
    found = dict(zip(("bleu_1", "bleu_2", "bleu_3", "bleu_4"), bleu(clotho), strict=True))
    found |= {"rouge_l": rouge_l(clotho), "cider_d": cider_d(clotho)}
    np.testing.assert_allclose(found[name].clips, golden["clotho"]["clips"][name], rtol=0, atol=1e-9)
    corpus = golden["clotho"]["corpus"].get(name, np.mean(golden["clotho"]["clips"][name]))
    assert found[name].corpus == pytest.approx(corpus, abs=1e-9)


def test_all_clips(shared):
    import json

    rows = json.loads((shared / "clotho_conette.json").read_text(encoding="utf-8"))
    corpus = Corpus([r["cand"] for r in rows], [r["refs"] for r in rows])
    found = {f"bleu_{n}": s for n, s in enumerate(bleu(corpus), 1)}
    found |= {"rouge_l": rouge_l(corpus), "cider_d": cider_d(corpus)}
    for name, value in found.items():
        np.testing.assert_allclose(value.clips, [r["scores"][name] for r in rows], rtol=0, atol=1e-9)


def grams(tokens, n):
    return Counter(tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1))


def slow_bleu(candidate, references):
    """BLEU-1..4 of one clip, as the standard tool defines it."""
    closest = min((abs(len(r) - len(candidate)), len(r)) for r in references)[1]
    values, product = [], 1.0
    ratio = (len(candidate) + 1e-15) / (closest + 1e-9)
    for n in range(1, 5):
        own = grams(candidate, n)
        right = sum(min(k, max(grams(r, n)[g] for r in references)) for g, k in own.items())
        product *= (right + 1e-15) / (max(0, len(candidate) - n + 1) + 1e-9)
        values.append(product ** (1 / n) * (math.exp(1 - 1 / ratio) if ratio < 1 else 1))
    return values


@given(CLIPS)
def test_bleu_twin(clips):
    found = bleu(corpus_of(clips))
    for number, (candidate, references) in enumerate(clips):
        if candidate:
            wanted = slow_bleu(candidate.split(), [r.split() for r in references])
            assert [s.clips[number] for s in found] == pytest.approx(wanted, rel=1e-9, abs=1e-12)


def slow_rouge(candidate, references):
    def lcs(a, b):
        table = [[0] * (len(b) + 1) for _ in range(len(a) + 1)]
        for i, x in enumerate(a):
            for j, y in enumerate(b):
                table[i + 1][j + 1] = table[i][j] + 1 if x == y else max(table[i][j + 1], table[i + 1][j])
        return table[-1][-1]

    if not candidate:
        return 0.0
    precision = max(lcs(candidate, r) / len(candidate) for r in references)
    recall = max(lcs(candidate, r) / len(r) if r else 0 for r in references)
    return (1 + 1.2**2) * precision * recall / (recall + 1.2**2 * precision) if precision and recall else 0.0


@given(CLIPS)
def test_rouge_twin(clips):
    wanted = [slow_rouge(c.split(), [r.split() for r in refs]) for c, refs in clips]
    assert rouge_l(corpus_of(clips)).clips == pytest.approx(wanted, abs=1e-12)


def weigh(counts, frequency, clips):
    return {g: k * (math.log(clips) - math.log(max(1, frequency[g]))) for g, k in counts.items()}


def slow_cider(clips):
    """CIDEr-D straight from the paper's formula."""
    rows = [(c.split(), [r.split() for r in refs]) for c, refs in clips]
    result = []
    for candidate, references in rows:
        total = 0.0
        for n in range(1, 5):
            frequency = Counter(g for _, refs in rows for g in {g for r in refs for g in grams(r, n)})
            own = weigh(grams(candidate, n), frequency, len(rows))
            for reference in references:
                other = weigh(grams(reference, n), frequency, len(rows))
                dot = sum(min(v, other.get(g, 0)) * other.get(g, 0) for g, v in own.items())
                norm = math.sqrt(sum(v * v for v in own.values())) * math.sqrt(
                    sum(v * v for v in other.values())
                )
                gap = max(0, len(candidate) - 1) - max(0, len(reference) - 1)
                total += (dot / norm if norm else 0) * math.exp(-gap * gap / 72) / len(references)
        result.append(10 * total / 4)
    return result


@given(CLIPS)
def test_cider_twin_and_given_frequencies(clips):
    corpus = corpus_of(clips)
    wanted = slow_cider(clips)
    assert cider_d(corpus).clips == pytest.approx(wanted, abs=1e-9)
    given_by_hand = DocumentFrequency.from_tokens(corpus.reference_tokens)
    assert cider_d(corpus, given_by_hand).clips == pytest.approx(wanted, abs=1e-9)


def test_cider_needs_two_clips_or_frequencies():
    corpus = Corpus(["a dog"], [["a dog"]])
    with pytest.raises(ValueError, match="at least two clips"):
        cider_d(corpus)
    frequency = DocumentFrequency(100, {("a",): 100, ("dog",): 10, ("a", "dog"): 9})
    assert cider_d(corpus, frequency).corpus == pytest.approx(5.0)  # n = 1 and 2 perfect, no 3- and 4-grams


@given(CLIPS)
def test_diversity_twins(clips):
    corpus = corpus_of(clips)
    rows = [c.split() for c, _ in clips]
    for n in (1, 2):
        all_grams = [g for r in rows for g in grams(r, n).elements()]
        assert distinct(corpus, n) == (len(set(all_grams)) / len(all_grams) if all_grams else 0)
    assert vocabulary(corpus) == len({w for r in rows for w in r})
    assert lengths(corpus).clips == [len(r) for r in rows]

    def cosine(a, b):
        dot = sum(k * b[w] for w, k in a.items())
        return (
            dot / math.sqrt(sum(k * k for k in a.values()) * sum(k * k for k in b.values())) if dot else 0.0
        )

    bags = [Counter(r) for r in rows]
    wanted = [np.mean([cosine(a, b) for j, b in enumerate(bags) if j != i]) for i, a in enumerate(bags)]
    assert self_similarity(corpus).clips == pytest.approx(wanted, abs=1e-9)


def test_order_of_clips_does_not_matter():
    words = "a b c d e f".split()
    chosen = random.Random(0)
    clips = [
        (" ".join(chosen.choices(words, k=5)), [" ".join(chosen.choices(words, k=6)) for _ in range(3)])
        for _ in range(20)
    ]
    order = list(range(20))
    chosen.shuffle(order)
    for metric in (rouge_l, cider_d, lambda c: bleu(c)[3]):
        straight, shuffled = metric(corpus_of(clips)), metric(corpus_of([clips[i] for i in order]))
        assert shuffled.clips == pytest.approx([straight.clips[i] for i in order], abs=1e-12)
        assert shuffled.corpus == pytest.approx(straight.corpus, abs=1e-12)
