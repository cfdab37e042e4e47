"""What a stage trains and is validated on: items and collators for each kind of data."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from accelerate import PartialState
from torch import Tensor

from earwitness.config.data import LabelData, ManifestData, MixtureData, SceneData, TextData
from earwitness.config.errors import ConfigError
from earwitness.config.model import ModelConfig
from earwitness.config.stages import Stage
from earwitness.data.manifest import ManifestError
from earwitness.data.overlap import keys_of_test
from earwitness.data.shards import read_index
from earwitness.model import AudioCaptioningModel
from earwitness.slots import FrameTower
from earwitness.training.inputs.clip_index import ClipIndex, Needs, clip_index, read_ids
from earwitness.training.inputs.examples import ClipCollator, Reader
from earwitness.training.inputs.label_data import LabelSource, PairCollator, TagExamples, label_pairs
from earwitness.training.inputs.manifest_data import CaptionedClips, Mixture, ValidationClips
from earwitness.training.inputs.mixture_data import MixtureSource
from earwitness.training.inputs.scene_data import (
    MAX_CAPTION_TOKENS,
    VALIDATION_SEED,
    CaptionEncoder,
    Items,
    SceneCollator,
    SceneSource,
    TextCollator,
    Texts,
    read_captions,
)
from earwitness.training.inputs.shard_data import ClipStream

Source: TypeAlias = "SceneSource | MixtureSource | LabelSource | ClipSource"
MAX_CLIP_TOKENS = 64  # of a caption; Clotho's longest have 20 words


class StageData(NamedTuple):
    """Training items, validation items and the collators of both."""

    train: Any
    validation: Any
    collate: Any
    collate_eval: Any


@dataclass(frozen=True)
class ClipSource:
    """The manifests of a stage, every row checked."""

    section: ManifestData
    train: list[ClipIndex]  # empty where training streams shards
    validation: list[ClipIndex]
    excluded: frozenset[str]
    foreign: frozenset[str]

    @classmethod
    def look_at(cls, model: ModelConfig, stage: Stage, cache: Path) -> ClipSource:
        """Raises ConfigError naming rows that cannot be used, and why. cache: folder of what was found.

        Transport between sound and pictures needs pictures: shards have none, and rows may have none.
        """
        section: Any = stage.data
        losses = stage.losses
        needs = partial(
            Needs,
            video=model.vision is not None,
            retrieved=bool(losses.distillation or losses.retrieval_caption),
        )
        validation = [clip_index(path, needs(), cache) for path in section.validation]
        foreign = _foreign([*section.validation, *section.test])
        excluded = read_ids(section.exclude)
        own = needs(
            excluded=excluded, foreign=foreign, foreign_name=", ".join([*section.validation, *section.test])
        )
        if section.streamed:
            for clips in section.train:
                read_index(clips.path.rstrip("/"))
            train = []
        else:
            train = [clip_index(clips.path, own, cache) for clips in section.train]
        if losses.ot_alignment and not any(index.video.any() for index in train):
            lack = "shards hold sound alone" if section.streamed else "no row has a `video`"
            raise ConfigError(
                f"stage {stage.name}: losses.ot_alignment needs pictures, but {lack} in "
                f"{', '.join(clips.path for clips in section.train)}: name manifests whose rows have that "
                "column, or set losses.ot_alignment=0"
            )
        return cls(section, train, validation, excluded, foreign)

    def table(self) -> Iterator[str]:
        """A row of Markdown for each set."""
        parts = [(s.path, "training", index) for s, index in zip(self.section.train, self.train)]
        parts += [(p, "validation", index) for p, index in zip(self.section.validation, self.validation)]
        for path, use, index in parts:
            hours = float(index.seconds[index.kept].sum(dtype="float64")) / 3600
            yield f"| {'/'.join(Path(path).parts[-2:])} | {use} | {len(index.kept)} | {hours:.1f} |"
        for clips in self.section.train if self.section.streamed else []:
            count = sum(rows for _, rows in read_index(clips.path.rstrip("/")))
            yield f"| {clips.path} | training, from shards | {count} | |"

    def data(self, stage: Stage, model: AudioCaptioningModel) -> StageData:
        vision: Any = model.config.vision
        read = Reader(
            model.encoder.sample_rate,
            vision and vision.frames_per_second,
            model.vision.image_size if isinstance(model.vision, FrameTower) else 0,
            model.resampler,
        )
        captions = bool(stage.losses.distillation or stage.losses.retrieval_caption)
        collator = partial(
            ClipCollator, model.encoder.compute_log_mel, _encoder(model, MAX_CLIP_TOKENS), captions=captions
        )
        masks = self.section.spec_augment
        return StageData(
            self._stream(read, stage.seed) if self.section.streamed else self._mixture(read, stage.seed),
            ValidationClips(self.section.validation, self.validation, read, model.config.max_seconds),
            collator(masks=masks.model_dump() if masks else None),
            collator(),
        )

    def _mixture(self, read: Reader, seed: int) -> Mixture:
        over = self.section.epoch_over == "captions"
        sets = [
            CaptionedClips(s.path, index, s.paraphrases, over_captions=over)
            for s, index in zip(self.section.train, self.train)
        ]
        return Mixture(sets, self.section, read, seed)

    def _stream(self, read: Reader, seed: int) -> ClipStream:
        state = PartialState()
        return ClipStream(
            self.section,
            read,
            seed,
            rank=state.process_index,
            world_size=state.num_processes,
            excluded=self.excluded,
            foreign=self.foreign,
        )


def _foreign(paths: list[str]) -> frozenset[str]:
    """Keys of the recordings of validation and test sets."""
    try:
        return frozenset().union(*map(keys_of_test, paths))
    except ManifestError as error:
        raise ConfigError(f"test: {error}") from None


def stage_data(stage: Stage, model: AudioCaptioningModel, source: Source | None, cache: Path) -> StageData:
    """source: the opened data of the stage, None for text. cache: folder for predicted tags."""
    if isinstance(source, ClipSource):
        return source.data(stage, model)
    if isinstance(source, MixtureSource):
        return StageData(*source.parts(stage))
    encode = _encoder(model, MAX_CAPTION_TOKENS)
    if isinstance(stage.data, TextData):
        return _texts(stage.data, encode)
    if isinstance(source, LabelSource):
        return _labels(stage, source, model, encode, cache)
    assert isinstance(stage.data, SceneData) and isinstance(source, SceneSource)
    return _scenes(stage, source, model.encoder, None if stage.task == "tagging" else encode)


def _texts(section: TextData, encode: CaptionEncoder) -> StageData:
    train = read_captions(section.captions)
    known = set(train)
    validation = [c for c in read_captions(section.validation_captions) if c not in known]
    collate = TextCollator(encode)
    return StageData(Texts(train, section.epochs), Items(validation), collate, collate)


def _labels(
    stage: Stage, source: LabelSource, model: AudioCaptioningModel, encode: CaptionEncoder, cache: Path
) -> StageData:
    examples = TagExamples(source.tags(model, cache), model.tag_names)
    train, validation = label_pairs(source.section, model.tag_names)
    return StageData(
        train,
        validation,
        PairCollator(examples, encode, stage.seed),
        PairCollator(examples, encode, VALIDATION_SEED),
    )


def _scenes(stage: Stage, source: SceneSource, encoder: Any, encode: CaptionEncoder | None) -> StageData:
    section: Any = stage.data
    token_frames = getattr(encoder, "token_frames", 16)
    front_end = encoder.compute_log_mel
    collator = partial(SceneCollator, front_end=front_end, encode=encode, token_frames=token_frames)
    return StageData(
        Items(range(section.count)),
        Items(range(section.validation_count)),
        collator(source.composer(validation=False, seed=stage.seed), masks=True, lengths=section.lengths),
        collator(source.composer(validation=True), masks=False),
    )


def _encoder(model: AudioCaptioningModel, most: int) -> CaptionEncoder:
    def encode(captions: list[str]) -> tuple[Tensor, Tensor]:
        return model.language_model.encode_captions(captions, most, device="cpu")

    return encode


def stage_clips(stage: Stage, source: Any) -> int:
    """Clips, scenes or texts that a stage trains on in all its epochs. source: its opened data.

    Of pairs of labels and captions it is how many there are at the most.
    """
    data: Any = stage.data
    if isinstance(data, SceneData | MixtureData):
        return data.count
    if isinstance(data, TextData):
        return round(data.epochs * len(read_captions(data.captions)))
    if isinstance(data, LabelData):
        return data.epochs * len(read_captions([*data.pairs, *data.captions]))
    assert isinstance(source, ClipSource)
    if data.streamed:
        sizes = [sum(rows for _, rows in read_index(s.path.rstrip("/"))) for s in data.train]
    elif data.epoch_over == "captions":
        sizes = [int(index.captions[index.kept].sum()) for index in source.train]
    else:
        sizes = [len(index.kept) for index in source.train]
    each = [max(1, round(s.weight * size)) for s, size in zip(data.train, sizes)]
    return round(data.epochs * sum(each))


def stage_steps(stage: Stage, source: Any, processes: int = 1) -> int:
    """Optimiser steps of a stage; data that do not fill one are one short step.

    Raises ConfigError where several processes would each get a part of such data.
    """
    clips, step = stage_clips(stage, source), stage.batch_size * stage.accumulate * processes
    if clips < step and processes > 1:
        raise ConfigError(
            f"stage {stage.name}: its data are {clips} clips in all epochs, one step takes {step} "
            f"(batch_size x accumulate x processes): set batch_size={max(1, clips // (4 * processes))}, "
            "or more epochs"
        )
    return max(1, clips // step)
