"""The `stages` of a preset: each is one run of the trainer."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from earwitness.config.data import Data
from earwitness.config.section import Section
from earwitness.config.towers import Encoder


class Losses(Section):
    """Weights of the named losses; 0 disables a loss. SETTINGS names the keys that are not weights."""

    SETTINGS: ClassVar[frozenset[str]] = frozenset(
        ("temperature", "ot_temperature", "distillation_temperature", "align_end", "sigma", "label_smoothing")
    )

    caption: float = Field(1.0, ge=0)
    guided_caption: float = Field(0.0, ge=0)
    cs_global: float = Field(0.0, ge=0)
    cs_token: float = Field(0.0, ge=0)
    info_nce: float = Field(0.0, ge=0)
    ot_alignment: float = Field(0.0, ge=0)
    retrieval_caption: float = Field(0.0, ge=0)
    distillation: float = Field(0.0, ge=0)
    tagging: float = Field(0.0, ge=0)
    self_critical: float = Field(0.0, ge=0)
    sentence: float = Field(0.0, ge=0)
    temperature: float = Field(0.07, gt=0)  # of InfoNCE
    ot_temperature: float = Field(0.07, gt=0)  # of ot_alignment
    distillation_temperature: float = Field(1.0, gt=0)
    align_end: bool = True  # whether z_t in cs_* and info_nce holds the end of the sentence
    sigma: Annotated[float, Field(gt=0)] | Literal["median"] = "median"
    label_smoothing: float = Field(0.0, ge=0, lt=1)


class RewardConfig(Section):
    """The reward of sampled captions in losses.self_critical (see training/reward.py)."""

    sentence_encoder: str  # hub name or folder of a sentence-transformers model with mean pooling
    samples: int = Field(5, ge=2)  # captions drawn for each clip
    temperature: float = Field(0.07, gt=0)


class Imitation(Section):
    """Weights of the terms of distillation from a teacher; 0 disables a term.

    local: each layer takes the teacher's input of that layer, not the output of the student's layers before.
    kl: divergence of the tags' probabilities, summed over them. logits, features, maps: squared errors of the
    tags' logits, of the clip's mean, and of every layer's output, the last two relative to their variance.
    """

    local: bool = False
    kl: float = Field(1.0, ge=0)
    logits: float = Field(0.2, ge=0)
    features: float = Field(1.0, ge=0)
    maps: float = Field(4.0, ge=0)


class Stage(Section):
    """One run of the trainer. task: what is trained (the encoder's tags, from labels or from a teacher; the
    language model on text; all that makes captions; the space in which they are chosen).

    teacher: for losses.sentence, hub name or folder of a sentence-transformers model; for task distillation,
    an encoder section, or the file or folder of a published tagger (kind mobilenet).
    """

    name: str
    task: Literal["tagging", "distillation", "language", "labels", "captioning", "alignment"]
    data: Data
    losses: Losses = Losses()
    reward: RewardConfig | None = None
    teacher: str | Encoder | None = None
    imitation: Imitation = Imitation()  # of task distillation
    freeze: list[Literal["encoder", "adapter", "language_model"]] = Field([])
    batch_size: int = Field(32, ge=1)
    accumulate: int = Field(1, ge=1)
    learning_rate: float = Field(5e-5, gt=0)
    encoder_learning_rate: float | None = None
    weight_decay: float = 1e-6
    warmup: float = Field(0.05, ge=0, lt=1)
    clip: float = 1.0
    average: float = Field(0.0, ge=0, lt=1)  # decay of an exponential moving average of the weights; 0: none
    confusion: float = Field(0.0, ge=0)  # largest shift of the encoder's tokens between clips; 0: none
    blend: float = Field(
        1.0, gt=0, le=1
    )  # share of the trained weights in the result; the rest are the initial ones
    evaluate_every: int = Field(1000, ge=1)  # steps; a checkpoint is written then too
    # What makes the kept weights the best on the validation data. None: the mAP of tags, the loss of captions
    # that are rewarded, else the loss of the clips' own captions.
    best_by: Literal["caption", "loss", "spider", "fense", "cider_d", "last"] | None = None
    evaluate_start: bool | None = None  # before the first step too; None: where init brought a whole model
    patience: int = Field(0, ge=0)  # evaluations without improvement that end the stage; 0: disabled
    workers: int = Field(1, ge=0)
    seed: int = 0
    bf16: bool | None = None  # mixed precision, with pretrained towers in bf16; None: on a GPU
    gradient_checkpointing: bool = False  # of the language model, frozen or not: less memory, a third slower
    trainer: dict[str, Any] = Field({})  # more of TrainingArguments: fsdp, deepspeed, logging_steps ...
