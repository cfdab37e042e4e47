"""`score`: candidates and references in, a report of every metric asked for out."""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from earwitness.metrics.corpus import Corpus, Score, entries
from earwitness.metrics.meteor.data import MissingData
from earwitness.metrics.registry import BLEUS, DEFAULT, METRICS, Evaluation, Settings
from earwitness.metrics.report import Report, signature
from earwitness.metrics.spider_max import spider_max


@contextmanager
def _collector_paused() -> Iterator[None]:
    """No reference cycles come about here, and looking for some among millions of tokens costs a sixth."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@_collector_paused()
def score(
    candidates: Sequence[str] | Sequence[Sequence[str]],
    references: Sequence[Sequence[str]],
    metrics: str | Iterable[str] = "default",
    *,
    ids: Sequence[str] | None = None,
    tokenize: bool = True,
    **settings: object,
) -> Report:
    """Score captions.

    Args:
        candidates: one caption a clip; or, for spider_max, several: then all other metrics judge the first.
        references: the references of every clip, in the same order; counts may differ.
        metrics: "default" (all that need no neural model), "all", a name, names with commas between, or a
            list.
        ids: what to call the clips in reports; default their numbers.
        tokenize: False for texts that were tokenized before: they are split at blanks.
        **settings: fields of Settings: sbert_model, error_model, clap_model, spice_home, audio, ...

    Returns:
        A report. A metric whose data, model or tool is missing is left out and named, with the reason, in
        `.missing`.

    Raises:
        ValueError: an unknown metric, or candidates and references that do not fit each other.
    """
    names = metric_names(metrics)
    options = _settings(settings)
    sets = _candidate_sets(candidates)
    corpus = Corpus(sets[0], references, tokenize=tokenize)
    labels = [str(name) for name in entries("ids", range(len(corpus)) if ids is None else ids)]
    if len(labels) != len(corpus) or len(set(labels)) != len(corpus):
        distinct = len(set(labels))
        raise ValueError(f"{len(corpus)} clips but {distinct} distinct ids: every clip needs one of its own")
    evaluation = Evaluation(corpus, options)
    values: dict[str, Score] = {}
    missing: dict[str, str] = {}
    for name in names:
        try:
            if name == "spider_max":
                values[name] = _spider_max(sets, evaluation)
            else:
                values[name] = evaluation.value(name)
                values.update((k, v) for k, v in evaluation.parts.items() if k.startswith(f"{name}."))
        except (MissingData, ValueError) as error:
            missing[name] = str(error)
    return Report(
        corpus={name: value.corpus for name, value in values.items()},
        clips={name: value.clips for name, value in values.items() if value.clips},
        signature=signature(corpus, evaluation.models, options.document_frequency is not None),
        ids=labels,
        candidates=corpus.candidates,
        references=corpus.references,
        missing=missing,
        pooled={name: value.pooled for name, value in values.items() if value.pooled},
    )


def metric_names(metrics: str | Iterable[str]) -> list[str]:
    """The metrics that a request names, in order, each once."""
    asked = metrics.split(",") if isinstance(metrics, str) else map(str, entries("metrics", metrics))
    groups: dict[str, Sequence[str]] = {"default": DEFAULT, "all": METRICS, "bleu": BLEUS}
    names = [name for word in asked for name in groups.get(word.strip(), (word.strip(),))]
    for name in names:
        if name not in METRICS:
            raise ValueError(
                f"there is no metric {name!r}; known: {', '.join(METRICS)}, and default, all, bleu"
            )
    return list(dict.fromkeys(names))


def _settings(given: dict[str, object]) -> Settings:
    try:
        return Settings(**given)  # type: ignore[arg-type]
    except TypeError:
        unknown = sorted(set(given) - set(Settings.__dataclass_fields__))
        known = ", ".join(Settings.__dataclass_fields__)
        raise ValueError(f"score has no option {', '.join(unknown)}; known: {known}") from None


def _candidate_sets(candidates: Sequence[str] | Sequence[Sequence[str]]) -> list[list[str]]:
    """Candidate sets [sets][clips] from one or several captions a clip; a clip with fewer repeats its
    first."""
    rows = [[entry] if isinstance(entry, str) else entry for entry in entries("candidates", candidates)]
    for number, row in enumerate(rows):
        if not isinstance(row, (list, tuple)) or not row:
            raise ValueError(f"candidate {number} is neither a text nor a list of texts: {row!r:.80}")
    widest = max((len(row) for row in rows), default=1)
    return [[row[i] if i < len(row) else row[0] for row in rows] for i in range(widest)]


def _spider_max(sets: list[list[str]], first: Evaluation) -> Score:
    references, tokenize = first.corpus.references, first.corpus.tokenize
    others = [Evaluation(Corpus(row, references, tokenize=tokenize), first.settings) for row in sets[1:]]
    return spider_max([evaluation.clips("spider") for evaluation in (first, *others)])
