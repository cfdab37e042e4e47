"""The sections of a preset for decoding: search, retrieval, re-ranking and correction of captions."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from earwitness.config.section import Section


class GuideConfig(Section):
    distance: Literal["squared_l2", "l1", "cosine"] = "squared_l2"
    beta: float = 0.1


class JointSpaceConfig(Section):
    """The space of audio and captions in which beams are compared with the audio."""

    dim: int = Field(384, ge=1)
    hidden: int = Field(512, ge=1)
    dropout: float = Field(0.3, ge=0, lt=1)  # of the audio tokens, in training


class CalibrationConfig(Section):
    """Weights of the evidence for a caption (see decoding/calibration.py)."""

    bias: float
    logprob: float
    weakest: float = 0.0
    mean: float = 0.0
    strongest: float = 0.0
    named: float = 0.0
    words: float = 0.0


class DecodingConfig(Section):
    """How captions are searched for (see decoding/search.py)."""

    guide: GuideConfig | None = None  # LAMB's Token Guide
    tag_guide: float = Field(0.0, ge=0)  # logit added to words that name a tag of probability 1; 0: none
    order_guide: bool = False  # words of order only where the tags in time show an order
    beams: int = Field(3, ge=1)  # default beam width
    no_repeat_ngram: int = Field(0, ge=0)  # a run of so many tokens occurs once in a caption; 0: no limit
    repetition: float = Field(0.0, ge=0)  # logit taken from words already generated; 0: none
    max_new_tokens: int = Field(40, ge=1)  # of a caption
    length_penalty: float = 1.0  # beams are ranked by log-probability / length ** this
    alignment: float = Field(0.0, ge=0)  # weight of a beam's cosine with the audio in the choice of a beam
    calibration: CalibrationConfig | None = None  # None: scores are not probabilities of being right
    joint_space: JointSpaceConfig | None = None  # where it is measured; None: among token embeddings


class RetrievalConfig(Section):
    """Captions of similar audio in the prompt (DistillCaps)."""

    prompt: str = "Similar audios sound like:\n\n<captions>\n\nDescribe the detail of this audio:<audio>"
    count: int = Field(3, ge=1)  # captions retrieved for a clip


class RerankConfig(Section):
    """Choose the beam that matches the audio best, on request (SLAM-AAC)."""

    kind: Literal["clap"] = "clap"
    source: str = "laion/clap-htsat-unfused"  # hub name or folder
    weight: float = Field(0.0, ge=0)  # of the mean log-probability beside the cosine


class CorrectionConfig(Section):
    """Rewrite captions with detected errors, on request (LOAE)."""

    kind: Literal["causal"] = "causal"
    source: str  # hub name or folder of an instruction-tuned language model
    detector: str  # file of FENSE's error detector
    detector_encoder: str | None = None  # folder of its BERT, if it must not be fetched
    threshold: float = Field(0.90, ge=0, le=1)  # probability of error from which a caption is rewritten
