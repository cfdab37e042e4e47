"""Every metric by name: what it needs, and how it is computed once for an evaluation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from earwitness.metrics.bleu import bleu
from earwitness.metrics.cider_d import cider_d
from earwitness.metrics.corpus import Corpus, Score, mean_score
from earwitness.metrics.fense import fense
from earwitness.metrics.mace import mace, mace_combined
from earwitness.metrics.meteor.data import MissingData
from earwitness.metrics.rouge_l import rouge_l
from earwitness.metrics.settings import BLEUS, Settings
from earwitness.metrics.spider import spider
from earwitness.metrics.spider_fl import spider_fl

if TYPE_CHECKING:
    from earwitness.metrics.clap import ClapEmbedder

# What leaves out one metric and not the whole report: missing data, odd input, files and devices that fail,
# foreign weights that do not fit their vocabulary.
FAILURES = (MissingData, ValueError, OSError, RuntimeError, LookupError)


@dataclass
class Evaluation:
    """One corpus, its settings, and every value computed so far, so that no metric is computed twice.

    models: what the signature names. comments: texts by clip, such as a judge's reasons.
    """

    corpus: Corpus
    settings: Settings
    values: dict[str, Score] = field(default_factory=dict)
    parts: dict[str, Score] = field(default_factory=dict)
    comments: dict[str, list[str]] = field(default_factory=dict)
    models: dict[str, str] = field(default_factory=dict)
    failures: dict[str, Exception] = field(default_factory=dict)

    def clips(self, name: str) -> list[float]:
        return self.value(name).clips

    def value(self, name: str) -> Score:
        if name in self.failures:
            raise self.failures[name]
        if name not in self.values:
            try:
                _COMPUTE[name](self)
            except FAILURES as error:
                self.failures[name] = error
                raise
        return self.values[name]

    @cached_property
    def neural_candidates(self) -> list[str]:
        """The candidates as neural metrics read them."""
        if self.settings.neural_text == "raw":
            return self.corpus.candidates
        return [" ".join(tokens) for tokens in self.corpus.candidate_tokens]

    @cached_property
    def neural_references(self) -> list[list[str]]:
        """The references as neural metrics read them."""
        if self.settings.neural_text == "raw":
            return self.corpus.references
        return [[" ".join(tokens) for tokens in texts] for texts in self.corpus.reference_tokens]

    @cached_property
    def clap(self) -> ClapEmbedder:
        """The embedder of sounds and texts. Raises MissingData."""
        from earwitness.metrics.clap import TransformersClap

        chosen = self.settings.clap_model
        return TransformersClap(chosen, self.settings.device) if isinstance(chosen, str) else chosen

    def neural(self, metric: str, model: str) -> None:
        """Put into the signature what a neural metric was computed with."""
        self.models |= {metric: model, "neural_text": self.settings.neural_text}

    def error_probabilities(self) -> list[float]:
        """Of each candidate, that it reads as faulty in some way."""
        self.value("fer")
        return self.parts["fer.error_prob"].clips


def _bleu(e: Evaluation) -> None:
    e.values.update(zip(BLEUS, bleu(e.corpus), strict=True))


def _meteor(e: Evaluation) -> None:
    from earwitness.metrics.meteor.score import meteor

    e.values["meteor"] = meteor(e.corpus)


def _spice(e: Evaluation) -> None:
    from earwitness.metrics.spice.official import spice

    e.values["spice"] = spice(e.corpus, e.settings.spice_home)
    e.models["spice"] = "official-1.0"


def _spice_approx(e: Evaluation) -> None:
    from earwitness.metrics.spice.approximate import VERSION, spice_approx

    e.values["spice_approx"] = spice_approx(e.corpus)
    e.models["spice_approx"] = VERSION


def _vocabulary(e: Evaluation) -> None:
    from earwitness.metrics.vocabulary import vocabulary, vocabulary_ratio

    e.values["vocabulary"] = Score(vocabulary(e.corpus), [])
    e.parts["vocabulary.ratio"] = Score(vocabulary_ratio(e.corpus), [])


def _diversity(e: Evaluation) -> None:
    from earwitness.metrics.diversity import distinct, lengths, self_similarity

    e.values["diversity"] = Score(distinct(e.corpus, 2), [])
    e.parts["diversity.div_1"] = Score(distinct(e.corpus, 1), [])
    e.parts["diversity.self_similarity"] = self_similarity(e.corpus)
    e.parts["diversity.length"] = lengths(e.corpus)


def _sbert_sim(e: Evaluation) -> None:
    from earwitness.metrics.sbert_sim import sbert_sim

    e.values["sbert_sim"] = sbert_sim(
        e.neural_candidates, e.neural_references, e.settings.sbert_model, e.settings.device
    )
    e.neural("sbert", e.settings.sbert_model)


def _fer(e: Evaluation) -> None:
    from earwitness.metrics.fer import ERRORS, error_probabilities, fer

    probabilities = error_probabilities(
        e.neural_candidates, e.settings.error_model, e.settings.error_encoder, e.settings.device
    )
    e.values["fer"] = fer(probabilities)
    for column, name in enumerate(ERRORS):
        clips = [row[column] for row in probabilities]
        e.parts[f"fer.{name}_prob"] = Score(sum(clips) / len(clips), clips)
    e.neural("fer", e.settings.error_model)


def _clap_score(e: Evaluation) -> None:
    from earwitness.metrics.clap_score import clap_score, sounds_of_clips

    sounds = sounds_of_clips(e.settings.audio, len(e.corpus))
    e.values["clap_score"] = clap_score(e.neural_candidates, sounds, e.clap)
    e.neural("clap", e.clap.name)


def _clap_score_text(e: Evaluation) -> None:
    from earwitness.metrics.clap_score import clap_score_text

    e.values["clap_score_text"] = clap_score_text(e.neural_candidates, e.neural_references, e.clap)
    e.neural("clap", e.clap.name)


def _bert_score(e: Evaluation) -> None:
    from earwitness.metrics.bert_score import bert_score

    precision, recall, f1 = bert_score(
        e.neural_candidates,
        e.neural_references,
        e.settings.bert_model,
        e.settings.bert_layer,
        e.settings.device,
    )
    e.values["bert_score"] = f1
    e.parts["bert_score.precision"], e.parts["bert_score.recall"] = precision, recall
    e.neural("bert_score", e.settings.bert_model)


def _clair_a(e: Evaluation) -> None:
    from earwitness.metrics.clair_a import PROMPT, LocalJudge, clair_a, prompt_name, read_prompt

    chosen = e.settings.judge_model
    if chosen is None:
        raise MissingData("clair_a needs an instruct model: name its folder with --judge-model")
    path = Path(e.settings.judge_prompt) if e.settings.judge_prompt else PROMPT
    prompt = read_prompt(path)
    judge = LocalJudge(chosen, e.settings.device) if isinstance(chosen, str) else chosen
    verdicts = clair_a(e.corpus.candidates, e.corpus.references, judge, prompt)
    e.values["clair_a"] = mean_score([verdict.score for verdict in verdicts])
    e.comments["clair_a.reason"] = [verdict.reason for verdict in verdicts]
    name = chosen if isinstance(chosen, str) else getattr(chosen, "name", type(chosen).__name__)
    e.models["clair_a"] = f"{name},prompt:{prompt_name(path)}"


def _set(name: str, make: Callable[[Evaluation], Score]) -> Callable[[Evaluation], None]:
    return lambda e: e.values.__setitem__(name, make(e))


_COMPUTE: dict[str, Callable[[Evaluation], None]] = {
    **dict.fromkeys(BLEUS, _bleu),
    "rouge_l": _set("rouge_l", lambda e: rouge_l(e.corpus)),
    "meteor": _meteor,
    "cider_d": _set("cider_d", lambda e: cider_d(e.corpus, e.settings.document_frequency)),
    "spice": _spice,
    "spice_approx": _spice_approx,
    "spider": _set("spider", lambda e: spider(e.clips("cider_d"), e.clips("spice"))),
    "spider_approx": _set("spider_approx", lambda e: spider(e.clips("cider_d"), e.clips("spice_approx"))),
    "spider_fl": _set("spider_fl", lambda e: spider_fl(e.clips("spider"), e.clips("fer"))),
    "spider_fl_approx": _set(
        "spider_fl_approx", lambda e: spider_fl(e.clips("spider_approx"), e.clips("fer"))
    ),
    "sbert_sim": _sbert_sim,
    "fer": _fer,
    "fense": _set("fense", lambda e: fense(e.clips("sbert_sim"), e.clips("fer"))),
    "clap_score": _clap_score,
    "clap_score_text": _clap_score_text,
    "mace_text": _set("mace_text", lambda e: mace(e.clips("clap_score_text"), e.error_probabilities())),
    "mace_audio": _set("mace_audio", lambda e: mace(e.clips("clap_score"), e.error_probabilities())),
    "mace": _set(
        "mace",
        lambda e: mace_combined(e.clips("clap_score_text"), e.clips("clap_score"), e.error_probabilities()),
    ),
    "bert_score": _bert_score,
    "clair_a": _clair_a,
    "vocabulary": _vocabulary,
    "diversity": _diversity,
}
