"""`score`: evaluate candidates against references and report the requested metrics."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches

from earwitness.metrics.corpus import Corpus, Score, entries
from earwitness.metrics.registry import FAILURES, Evaluation
from earwitness.metrics.report import Report, signature
from earwitness.metrics.settings import GROUPS, METRICS, Settings
from earwitness.metrics.spider_max import spider_max

BEST_OF = {"spider_max": "spider", "spider_max_approx": "spider_approx"}  # the best over several candidates
Progress = Callable[[str, int, int], object]  # (metric that begins, its number from 0, how many there are)


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
    progress: Progress | None = None,
    **settings: object,
) -> Report:
    """Score captions.

    Args:
        candidates: one caption a clip; or, for spider_max, several: then all other metrics judge the first.
        references: the references of every clip, in the same order; counts may differ.
        metrics: "default" (all that need no neural model), "all", "dcase2024" (the challenge's, computed as
            there: neural metrics read tokenized text), a name, names with commas between, or a list.
        ids: what to call the clips in reports; default their numbers.
        tokenize: False for texts that were tokenized before: they are split at blanks.
        progress: is called as each metric begins.
        **settings: fields of Settings: sbert_model, error_model, clap_model, spice_home, audio, ...

    Returns:
        A report. A metric whose data, model or tool is missing is left out and named, with the reason, in
        `.missing`.

    Raises:
        ValueError: an unknown metric, or candidates and references that do not fit each other.
    """
    names, options = checked(metrics, settings)
    sets = _candidate_sets(candidates)
    corpus = Corpus(sets[0], references, tokenize=tokenize)
    labels = _labels(ids, len(corpus))
    evaluation = Evaluation(corpus, options)
    values, missing = _values(names, sets, evaluation, progress)
    return Report(
        corpus={name: value.corpus for name, value in values.items()},
        clips={name: value.clips for name, value in values.items() if value.clips},
        signature=signature(corpus, evaluation.models, options.document_frequency is not None),
        ids=labels,
        candidates=corpus.candidates,
        references=corpus.references,
        missing=missing,
        pooled={name: value.pooled for name, value in values.items() if value.pooled},
        comments=evaluation.comments,
    )


def checked(metrics: str | Iterable[str], settings: dict[str, object]) -> tuple[list[str], Settings]:
    """The metrics that a request names, and its settings. Raises ValueError for what `score` lacks."""
    asked = _asked(metrics)
    return metric_names(asked), _settings(_as_challenge(settings) if "dcase2024" in asked else settings)


def _labels(ids: Sequence[str] | None, clips: int) -> list[str]:
    labels = [str(name) for name in entries("ids", range(clips) if ids is None else ids)]
    if len(labels) != clips or len(set(labels)) != clips:
        distinct = len(set(labels))
        raise ValueError(f"{clips} clips but {distinct} distinct ids: every clip needs one of its own")
    return labels


def _values(
    names: Sequence[str], sets: list[list[str]], evaluation: Evaluation, progress: Progress | None
) -> tuple[dict[str, Score], dict[str, str]]:
    """The values of metrics and of their parts, and why the others could not be computed."""
    values: dict[str, Score] = {}
    missing: dict[str, str] = {}
    for number, name in enumerate(names):
        if progress is not None:
            progress(name, number, len(names))
        try:
            if name in BEST_OF:
                values[name] = _best_of(BEST_OF[name], sets, evaluation)
            else:
                values[name] = evaluation.value(name)
                values.update((k, v) for k, v in evaluation.parts.items() if k.startswith(f"{name}."))
        except FAILURES as error:
            missing[name] = str(error) or type(error).__name__
    return values, missing


def metric_names(metrics: str | Iterable[str]) -> list[str]:
    """The metrics that a request names, in order, each once."""
    names = [name for word in _asked(metrics) for name in GROUPS.get(word, (word,))]
    for name in names:
        if name not in METRICS:
            near = get_close_matches(name.lower().replace("-", "_"), [*METRICS, *GROUPS], n=1)
            meant = f"; did you mean {near[0]!r}?" if near else ""
            raise ValueError(
                f"there is no metric {name!r}{meant}; known: {', '.join(METRICS)}, and {', '.join(GROUPS)}"
            )
    return list(dict.fromkeys(names))


def _asked(metrics: str | Iterable[str]) -> list[str]:
    """The words of a request."""
    words = metrics.split(",") if isinstance(metrics, str) else map(str, entries("metrics", metrics))
    return [word.strip() for word in words]


def _as_challenge(settings: dict[str, object]) -> dict[str, object]:
    """Settings with which values are those of DCASE's tables."""
    if settings.get("neural_text", "ptb") != "ptb":
        raise ValueError(
            "dcase2024 is computed on tokenized text: leave neural_text out, or name the metrics"
        )
    return settings | {"neural_text": "ptb"}


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


def _best_of(metric: str, sets: list[list[str]], first: Evaluation) -> Score:
    """Per clip the best of several candidates, each set of them a corpus of its own."""
    references, tokenize = first.corpus.references, first.corpus.tokenize
    others = [Evaluation(Corpus(row, references, tokenize=tokenize), first.settings) for row in sets[1:]]
    return spider_max([evaluation.clips(metric) for evaluation in (first, *others)])
