"""Every metric by name: what it needs, and how it is computed once for an evaluation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from earwitness.metrics.bleu import bleu
from earwitness.metrics.cider_d import DocumentFrequency, cider_d
from earwitness.metrics.corpus import Corpus, Score
from earwitness.metrics.fense import fense
from earwitness.metrics.mace import mace
from earwitness.metrics.meteor.data import MissingData
from earwitness.metrics.rouge_l import rouge_l
from earwitness.metrics.sounds import Sound
from earwitness.metrics.spider import spider
from earwitness.metrics.spider_fl import spider_fl

BLEUS = ("bleu_1", "bleu_2", "bleu_3", "bleu_4")
DEFAULT = (*BLEUS, "rouge_l", "meteor", "cider_d", "spice_approx", "spider_approx", "vocabulary", "diversity")
METRICS = (
    *(
        *BLEUS,
        "rouge_l",
        "meteor",
        "cider_d",
        "spice",
        "spice_approx",
        "spider",
        "spider_approx",
        "spider_fl",
    ),
    *(
        "spider_max",
        "sbert_sim",
        "fer",
        "fense",
        "clap_score",
        "mace",
        "bert_score",
        "vocabulary",
        "diversity",
    ),
)
SBERT_MODEL = "sentence-transformers/paraphrase-TinyBERT-L6-v2"
ERROR_MODEL = "echecker_clotho_audiocaps_base.ckpt"
CLAP_MODEL = "laion/clap-htsat-unfused"
BERT_MODEL = "roberta-large"


@dataclass
class Settings:
    """What some metrics need besides captions: hub names or folders of models, files."""

    sbert_model: str = SBERT_MODEL
    error_model: str = ERROR_MODEL
    error_encoder: str | None = None
    clap_model: str = CLAP_MODEL
    bert_model: str = BERT_MODEL
    bert_layer: int | None = None
    spice_home: str | None = None
    audio: Sequence[Sound | str] | None = None
    document_frequency: DocumentFrequency | None = None
    device: str = "cpu"


@dataclass
class Evaluation:
    """One corpus, its settings, and every value computed so far, so that no metric is computed twice."""

    corpus: Corpus
    settings: Settings
    values: dict[str, Score] = field(default_factory=dict)
    parts: dict[str, Score] = field(default_factory=dict)
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
            except (MissingData, ValueError) as error:
                self.failures[name] = error
                raise
        return self.values[name]


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
    from earwitness.metrics.vocabulary import vocabulary

    e.values["vocabulary"] = Score(vocabulary(e.corpus), [])


def _diversity(e: Evaluation) -> None:
    from earwitness.metrics.diversity import distinct, lengths, self_similarity

    e.values["diversity"] = Score(distinct(e.corpus, 2), [])
    e.parts["diversity.div_1"] = Score(distinct(e.corpus, 1), [])
    e.parts["diversity.self_similarity"] = self_similarity(e.corpus)
    e.parts["diversity.length"] = lengths(e.corpus)


def _sbert_sim(e: Evaluation) -> None:
    from earwitness.metrics.sbert_sim import sbert_sim

    e.values["sbert_sim"] = sbert_sim(e.corpus, e.settings.sbert_model, e.settings.device)
    e.models["sbert"] = e.settings.sbert_model


def _fer(e: Evaluation) -> None:
    from earwitness.metrics.fer import ERRORS, error_probabilities, fer

    probabilities = error_probabilities(
        e.corpus.candidates, e.settings.error_model, e.settings.error_encoder, e.settings.device
    )
    e.values["fer"] = fer(probabilities)
    for column, name in enumerate(ERRORS):
        clips = [row[column] for row in probabilities]
        e.parts[f"fer.{name}_prob"] = Score(sum(clips) / len(clips), clips)
    e.models["fer"] = e.settings.error_model


def _clap_score(e: Evaluation) -> None:
    from earwitness.metrics.clap_score import clap_score

    e.values["clap_score"] = clap_score(e.corpus, e.settings.audio, e.settings.clap_model, e.settings.device)
    e.models["clap"] = e.settings.clap_model


def _bert_score(e: Evaluation) -> None:
    from earwitness.metrics.bert_score import bert_score

    precision, recall, f1 = bert_score(
        e.corpus, e.settings.bert_model, e.settings.bert_layer, e.settings.device
    )
    e.values["bert_score"] = f1
    e.parts["bert_score.precision"], e.parts["bert_score.recall"] = precision, recall
    e.models["bert_score"] = e.settings.bert_model


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
    "sbert_sim": _sbert_sim,
    "fer": _fer,
    "fense": _set("fense", lambda e: fense(e.clips("sbert_sim"), e.clips("fer"))),
    "clap_score": _clap_score,
    "mace": _set("mace", lambda e: mace(e.clips("clap_score"), e.clips("fer"))),
    "bert_score": _bert_score,
    "vocabulary": _vocabulary,
    "diversity": _diversity,
}
