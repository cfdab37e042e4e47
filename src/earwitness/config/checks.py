"""Find combinations of parts that cannot work before anything is loaded. Each fault names its keys."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from typing import Any, TypeAlias

from earwitness.config.sizes import SIZES
from earwitness.sample_rate import SAMPLE_RATE

ModelConfig: TypeAlias = Any  # config/model.py and config/stages.py import this module
Stage: TypeAlias = Any

TOKENWISE_FUSIONS = ("ot_attention", "cross_attention", "joint", "concat")  # audio tokens, then visual ones
LORA_TARGETS = ("q_proj", "k_proj", "v_proj", "proj", "fc1", "fc2")  # of CED's and Dasheng's blocks
TAGGERS = ("conv", "mobilenet", "ced")  # encoders whose tags have names
WITH_TAGS = f"needs an encoder.kind with tags ({', '.join(TAGGERS)}) and fidelity: paper"
SLOTS = ("audio", "video", "captions", "tags", "bos")
TIME_ORDERED = "needs tokens in time order; set encoder.token_order to time or band_average"


def token_order(model: ModelConfig) -> str:
    """Return the encoder's token order, its default where none is given."""
    given = getattr(model.encoder, "token_order", "time")
    return given or ("frequency" if part_fidelity(model, model.encoder) == "released" else "time")


def part_fidelity(model: ModelConfig, part: object) -> Any:
    """Return a part's own fidelity, or else the model's."""
    return getattr(part, "fidelity", None) or model.fidelity


def known_width(model: ModelConfig) -> int | None:
    """Return the encoder's width, if the configuration alone determines it."""
    sizes = SIZES.get(model.encoder.kind, {})
    size = sizes.get(getattr(model.encoder, "size", None) or "")
    return size["dim"] if size else getattr(model.encoder, "dim", None)


def model_faults(model: ModelConfig) -> Iterator[str]:
    yield from _fusion_faults(model)
    yield from _adapter_faults(model)
    yield from _prompt_faults(model)
    lora = model.encoder.lora if model.encoder.kind != "conv" and model.encoder.tune == "lora" else None
    if lora and (strange := [name for name in lora.targets if name not in LORA_TARGETS]):
        known = ", ".join(LORA_TARGETS)
        yield f"encoder.lora.targets: there is no {', '.join(strange)}; there are {known}"
    if model.decoding.joint_space and not model.decoding.alignment:
        yield "decoding.joint_space is where beams are compared; give decoding.alignment a weight"
    for slot in ("encoder", "vision"):
        source = getattr(getattr(model, slot), "source", None) or ""
        if source.endswith(".gguf") or source.startswith("package:"):
            yield f"{slot}.source: {source} is in GGUF, which only language models may have"
    if model.fidelity == "released":
        ours = [f"adapter.{i}" for i, a in enumerate(model.adapter) if a.kind == "two_stream"]
        ours += ["decoding.guide"] if model.decoding.guide else []
        if ours:
            yield f"fidelity: released does not go with {', '.join(ours)}: LAMB's code was not released"
        if model.language_model.kind == "seq2seq" and model.retrieval:
            yield "fidelity: released knows retrieval with language_model.kind causal only"


def _fusion_faults(model: ModelConfig) -> Iterator[str]:
    kind = model.fusion.kind if model.fusion else None
    if model.vision and not model.fusion:
        yield "vision needs a fusion, such as fusion.kind: ot_attention"
    if not model.vision and kind not in (None, "audio_only"):
        yield f"fusion.kind: {kind} needs a vision section"
    heads, width = getattr(model.fusion, "heads", None), known_width(model)
    if heads and width and width % heads:
        yield f"fusion.heads: {heads} does not divide the encoder's width {width}"


def _adapter_faults(model: ModelConfig) -> Iterator[str]:
    width = known_width(model)
    if model.adapter[-1].kind == "fft":
        yield f"adapter.{len(model.adapter) - 1}: fft keeps the width; follow it by linear, mlp or qformer"
    if any(adapter.kind == "none" for adapter in model.adapter):
        yield from _faults_without_tokens(model)
    for i, adapter in enumerate(model.adapter):
        ordered = adapter.kind == "two_stream"
        ordered |= adapter.kind == "qformer" and part_fidelity(model, adapter) == "paper"
        ordered |= adapter.kind == "fft" and adapter.spectral
        if ordered and token_order(model) == "frequency":
            yield f"adapter.{i} ({adapter.kind}) {TIME_ORDERED}"
        kept = all(before.kind == "fft" for before in model.adapter[:i])  # so far the encoder's width
        if adapter.kind == "two_stream" and kept and width and (width % adapter.heads or width % 2):
            yield f"adapter.{i}.heads: {adapter.heads} (and 2) must divide the encoder's width {width}"


def _faults_without_tokens(model: ModelConfig) -> Iterator[str]:
    """What needs audio tokens, in a model whose adapter gives none."""
    if len(model.adapter) > 1 or model.adapter_scale is not None:
        yield "adapter: none stands alone, without adapter_scale"
    if "<tags>" not in model.prompt:
        yield "adapter.0: none leaves the language model nothing of the sound; give prompt the slot <tags>"
    if model.language_model.kind == "seq2seq":
        yield "adapter.0: none does not go with language_model.kind seq2seq, whose input is the audio tokens"
    decoding = model.decoding
    if decoding.guide or (decoding.alignment and not decoding.joint_space):
        yield "adapter.0: none needs decoding.guide: null, and a joint_space for decoding.alignment"


def _prompt_faults(model: ModelConfig) -> Iterator[str]:
    prompts = {"prompt": model.prompt}
    if model.retrieval:
        prompts["retrieval.prompt"] = model.retrieval.prompt
        if "<captions>" not in model.retrieval.prompt:
            yield "retrieval.prompt needs the slot <captions>"
    for name, text in prompts.items():
        if text.count("<audio>") != 1 or text.count("<video>") > 1:
            yield f"{name} needs exactly one <audio> and at most one <video>, not {text!r}"
        for word in re.findall(r"<([a-z]+)>", text):
            near = difflib.get_close_matches(word, SLOTS, n=1, cutoff=0.7)
            if word not in SLOTS and near:
                yield f"{name} has no slot <{word}>; did you mean <{near[0]}>?"
        if "<video>" in text and (
            (model.fusion.kind if model.fusion else None) not in TOKENWISE_FUSIONS
            or any(a.kind not in ("linear", "mlp", "fft") for a in model.adapter)
        ):
            yield (
                f"{name} has the slot <video>, for which fusion.kind must be one of "
                f"{', '.join(TOKENWISE_FUSIONS)} and adapter linear or mlp"
            )
        if "<tags>" in text and not _names_tags(model):
            yield f"{name} has the slot <tags>, which {WITH_TAGS}"
    if model.decoding.tag_guide and not _names_tags(model):
        yield f"decoding.tag_guide {WITH_TAGS}"
    if "<captions>" in model.prompt:
        yield "prompt has the slot <captions>, which belongs into retrieval.prompt"


def _names_tags(model: ModelConfig) -> bool:
    return model.encoder.kind in TAGGERS and model.fidelity == "paper"


TASK_DATA = {
    "tagging": ("scenes",),
    "distillation": ("mixtures",),
    "language": ("text",),
    "labels": ("labels",),
    "captioning": ("scenes", "manifest"),
    "alignment": ("scenes", "manifest"),
}


def stage_faults(model: ModelConfig, stage: Stage) -> Iterator[str]:
    """Yield losses and tasks that the model does not support, with the stage's name."""
    losses, where = stage.losses, f"stage {stage.name}"
    if stage.data.kind not in TASK_DATA[stage.task]:
        yield f"{where}: task {stage.task} needs data of kind {' or '.join(TASK_DATA[stage.task])}"
    if losses.guided_caption and not model.decoding.guide:
        yield f"{where}: losses.guided_caption needs model.decoding.guide"
    aligned = [name for name in ("cs_global", "cs_token", "info_nce") if getattr(losses, name)]
    if aligned and model.adapter[0].kind == "none" and stage.task == "captioning":
        yield f"{where}: losses.{aligned[0]} needs audio tokens, which adapter none does not give"
    if stage.task == "alignment" and not model.decoding.joint_space:
        yield f"{where}: task alignment needs model.decoding.joint_space"
    if losses.ot_alignment and (not model.fusion or model.fusion.kind == "audio_only"):
        yield f"{where}: losses.ot_alignment needs model.fusion of a kind that takes up pictures"
    elif losses.ot_alignment and model.fidelity == "released" and model.fusion.kind != "ot_attention":
        yield f"{where}: losses.ot_alignment as released needs model.fusion.kind ot_attention"
    if bool(losses.self_critical) != bool(stage.reward):
        yield f"{where}: losses.self_critical and reward go together"
    if stage.best_by in ("caption", "spider", "fense", "cider_d") and stage.task != "captioning":
        yield f"{where}: best_by: {stage.best_by} needs task captioning"
    yield from _teacher_faults(model, stage)
    if stage.reward and stage.task not in ("labels", "captioning"):
        yield f"{where}: reward needs task labels or captioning"
    if stage.task == "labels" and "<tags>" not in model.prompt:
        yield f"{where}: task labels needs a model.prompt with the slot <tags>"
    if stage.confusion and stage.task not in ("captioning", "alignment"):
        yield f"{where}: confusion needs task captioning or alignment"
    if stage.gradient_checkpointing and stage.task not in ("captioning", "language"):
        yield f"{where}: gradient_checkpointing: task {stage.task} does not train through the language model"
    if stage.encoder_learning_rate and ("encoder" in stage.freeze or model.encoder.tune == "freeze"):
        yield f"{where}: encoder_learning_rate needs an encoder that is trained, not a frozen one"
    for name in ("retrieval_caption", "distillation"):
        if getattr(losses, name) and not model.retrieval:
            yield f"{where}: losses.{name} needs model.retrieval"
    if (
        stage.data.kind in ("scenes", "mixtures")
        and getattr(model.encoder, "sample_rate", SAMPLE_RATE) != SAMPLE_RATE
    ):
        yield f"{where}: {stage.data.kind} are composed at 16 kHz; set model.encoder.sample_rate=16000"
    if model.encoder.kind != "conv" and (stage.task == "tagging" or losses.tagging):
        yield f"{where}: tagging needs model.encoder.kind conv"
    if stage.task == "captioning" and not any(
        (losses.caption, losses.guided_caption, losses.retrieval_caption)
    ):
        yield f"{where}: one of losses.caption, guided_caption, retrieval_caption must have a weight"


def _teacher_faults(model: ModelConfig, stage: Stage) -> Iterator[str]:
    where = f"stage {stage.name}"
    if stage.task == "distillation":
        if stage.teacher is None:
            yield f"{where}: task distillation needs a teacher"
        elif not isinstance(stage.teacher, str) and stage.teacher.source is None:
            yield f"{where}: teacher.source must name weights: random ones teach nothing"
        if not _names_tags(model):
            yield f"{where}: task distillation {WITH_TAGS}"
        return
    if bool(stage.losses.sentence) != bool(stage.teacher):
        yield f"{where}: losses.sentence and teacher go together"
    if stage.teacher and stage.task != "alignment":
        yield f"{where}: teacher needs task alignment or distillation"
    if stage.teacher and not isinstance(stage.teacher, str):
        yield f"{where}: the teacher of task alignment is a sentence encoder's name or folder"
