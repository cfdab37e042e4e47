"""The names of the metrics, sets of them, and what some need besides captions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from earwitness.metrics.cider_d import DocumentFrequency
from earwitness.metrics.sounds import Sound

if TYPE_CHECKING:
    from earwitness.metrics.clair_a import Judge
    from earwitness.metrics.clap import ClapEmbedder

BLEUS = ("bleu_1", "bleu_2", "bleu_3", "bleu_4")
DEFAULT = (*BLEUS, "rouge_l", "meteor", "cider_d", "spice_approx", "spider_approx", "vocabulary", "diversity")
# Task 6 of DCASE 2024, whose program hands tokenized text to the neural metrics as well.
DCASE2024 = ("meteor", "cider_d", "spice", "spider", "spider_fl", "sbert_sim", "fer", "fense", "vocabulary")
METRICS = (
    *(*BLEUS, "rouge_l", "meteor", "cider_d", "spice", "spice_approx"),
    *("spider", "spider_approx", "spider_fl", "spider_fl_approx", "spider_max", "spider_max_approx"),
    *("sbert_sim", "fer", "fense", "clap_score", "clap_score_text", "mace_text", "mace_audio", "mace"),
    *("bert_score", "clair_a", "vocabulary", "diversity"),
)
SBERT_MODEL = "sentence-transformers/paraphrase-TinyBERT-L6-v2"
ERROR_MODEL = "echecker_clotho_audiocaps_base.ckpt"
CLAP_MODEL = "laion/clap-htsat-unfused"
BERT_MODEL = "roberta-large"
NeuralText = Literal["raw", "ptb"]
GROUPS: dict[str, Sequence[str]] = {"default": DEFAULT, "all": METRICS, "bleu": BLEUS, "dcase2024": DCASE2024}


@dataclass
class Settings:
    """What some metrics need besides captions: hub names or folders of models, files.

    neural_text: what neural metrics read, the captions as they are ("raw", as FENSE's own program) or their
    tokens ("ptb", as aac-metrics and the tables of DCASE). clap_model: a name, or an embedder. judge_model,
    judge_prompt: of CLAIR-A, an instruct model (or a function from prompt to reply) and a file.
    """

    sbert_model: str = SBERT_MODEL
    error_model: str = ERROR_MODEL
    error_encoder: str | None = None
    clap_model: str | ClapEmbedder = CLAP_MODEL
    bert_model: str = BERT_MODEL
    bert_layer: int | None = None
    judge_model: str | Judge | None = None
    judge_prompt: str | None = None
    neural_text: NeuralText = "raw"
    spice_home: str | None = None
    audio: Sequence[Sound | str] | None = None
    document_frequency: DocumentFrequency | None = None
    device: str = "cpu"

    def __post_init__(self) -> None:
        if self.neural_text not in get_args(NeuralText):
            raise ValueError(f"neural_text is raw or ptb, not {self.neural_text!r}")
