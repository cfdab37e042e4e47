"""From config to parts: one literal dictionary a slot.

Widths flow by themselves: encoder -> fusion -> adapter -> language model.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from transformers import PreTrainedTokenizerBase

from earwitness.adapters.chain import Chain
from earwitness.adapters.fft import FftAdapter, SpectralAdapter
from earwitness.adapters.linear import LinearAdapter
from earwitness.adapters.mlp import MlpAdapter
from earwitness.adapters.none import NoTokens
from earwitness.adapters.qformer import QFormerAdapter
from earwitness.adapters.scale import Scale
from earwitness.adapters.two_stream import TwoStreamAdapter
from earwitness.config.checks import part_fidelity, token_order
from earwitness.config.decoding import DecodingConfig
from earwitness.config.errors import ConfigError
from earwitness.config.model import ModelConfig
from earwitness.config.sizes import SIZES
from earwitness.config.towers import LanguageModelConfig, Tower
from earwitness.decoding.beam_choice import MeanSpace
from earwitness.decoding.causal import CausalLanguageModel
from earwitness.decoding.guides import Guide
from earwitness.decoding.joint_space import JointSpace
from earwitness.decoding.language_model import LanguageModel
from earwitness.decoding.order_guide import OrderGuide
from earwitness.decoding.prompt import Prompt
from earwitness.decoding.released import ReleasedCausalLanguageModel, ReleasedPrompt
from earwitness.decoding.repetition_penalty import RepetitionPenalty
from earwitness.decoding.search import Search
from earwitness.decoding.seq2seq import EncoderDecoderLanguageModel
from earwitness.decoding.tag_guide import TagGuide
from earwitness.decoding.token_guide import DISTANCES, TokenGuideParameters
from earwitness.encoders.cached import CachedFrames
from earwitness.encoders.ced import CedEncoder, load_ced
from earwitness.encoders.conv import ConvEncoder
from earwitness.encoders.dasheng import DashengEncoder, load_dasheng
from earwitness.encoders.frames import FrameEncoder
from earwitness.encoders.mobilenet import MobileNetEncoder, load_mobilenet
from earwitness.encoders.tag_families import source
from earwitness.fusion.concat import AudioOnly, Concat, VisualOnly
from earwitness.fusion.cross_attention import CrossAttention
from earwitness.fusion.joint import JointEncoder
from earwitness.fusion.ot_attention import OtAttention
from earwitness.fusion.qformer import QFormerFusion
from earwitness.model import AudioCaptioningModel
from earwitness.slots import Encoder, Fusion, TaggingEncoder, VisionTower
from earwitness.weights import sources, tuning
from earwitness.weights.gguf import dequantised

ENCODERS: dict[str, Any] = {
    "conv": ConvEncoder,
    "mobilenet": MobileNetEncoder,
    "ced": CedEncoder,
    "dasheng": DashengEncoder,
}
ENCODER_LOADERS: dict[str, Any] = {"mobilenet": load_mobilenet, "ced": load_ced, "dasheng": load_dasheng}
FUSIONS: dict[str, Any] = {
    "ot_attention": OtAttention,
    "cross_attention": CrossAttention,
    "joint": JointEncoder,
    "qformer": QFormerFusion,
    "concat": Concat,
    "visual_only": VisualOnly,
}
ADAPTERS: dict[str, Any] = {
    "none": NoTokens,
    "linear": LinearAdapter,
    "mlp": MlpAdapter,
    "two_stream": TwoStreamAdapter,
    "qformer": QFormerAdapter,
}
LANGUAGE_MODELS: dict[str, Any] = {"causal": CausalLanguageModel, "seq2seq": EncoderDecoderLanguageModel}
RELEASED_LANGUAGE_MODELS = LANGUAGE_MODELS | {"causal": ReleasedCausalLanguageModel}
PROMPTS: dict[str, Any] = {"paper": Prompt, "released": ReleasedPrompt}

_TOWER_KEYS = {"kind", "source", "tune", "lora"}


def build_model(
    config: ModelConfig, tokenizer: PreTrainedTokenizerBase | None = None
) -> AudioCaptioningModel:
    """Builds every slot. tokenizer: for a language model with random weights, which has none of its own.

    Raises SourceError if a tower's weights are not available.
    """
    encoder = build_encoder(config)
    vision = build_vision(config)
    language_model = build_language_model(config, tokenizer)
    prompt = PROMPTS[config.fidelity]
    return AudioCaptioningModel(
        encoder=encoder,
        vision=vision,
        fusion=build_fusion(config, encoder, vision),
        adapter=build_adapter(config, encoder, language_model),
        language_model=language_model,
        prompt=prompt(config.prompt),
        retrieval_prompt=prompt(config.retrieval.prompt) if config.retrieval else None,
        search=build_search(config.decoding, encoder, language_model),
        config=config,
    )


def build_encoder(config: ModelConfig) -> Encoder:
    section = config.encoder
    options = section.model_dump(exclude=_TOWER_KEYS | {"size", "token_order", "fidelity"}, exclude_none=True)
    if section.kind == "ced":
        options |= {"token_order": token_order(config), "fidelity": part_fidelity(config, section)}
    sizes = SIZES.get(section.kind, {}).get(getattr(section, "size", None) or "", {})
    if section.source is None:
        return tuning.prepare(ENCODERS[section.kind](**options, **sizes), section)
    options.pop("dropout", None)
    with sources.explained("encoder", section.source):
        encoder = ENCODER_LOADERS[section.kind](section.source, **options)
    if sizes and encoder.dim != sizes["dim"]:
        raise ConfigError(f"encoder.size is {sizes['dim']} wide, the weights are {encoder.dim}")
    return tuning.prepare(encoder, section)


def build_vision(config: ModelConfig) -> VisionTower | None:
    section = config.vision
    if section is None:
        return None
    if section.kind == "cached":
        return CachedFrames(dim=section.dim)
    if section.source is not None:
        with sources.explained("vision", section.source):
            tower = FrameEncoder.from_pretrained(section.source, projected=section.projected, frozen=False)
    else:
        from transformers import CLIPVisionConfig, CLIPVisionModel, CLIPVisionModelWithProjection

        cls: Any = CLIPVisionModelWithProjection if section.projected else CLIPVisionModel
        tower = FrameEncoder(cls(CLIPVisionConfig(**section.config or {})))
    return tuning.prepare(tower, section)


def build_fusion(config: ModelConfig, encoder: Encoder, vision: VisionTower | None) -> Fusion:
    section = config.fusion
    if section is None or section.kind == "audio_only":
        return AudioOnly()
    options = section.model_dump(exclude={"kind", "fidelity"})
    if section.kind == "ot_attention":
        options["fidelity"] = part_fidelity(config, section)
    dim_visual = None if vision is None else vision.dim
    return FUSIONS[section.kind](dim=encoder.dim, dim_visual=dim_visual, **options)


def build_adapter(config: ModelConfig, encoder: Encoder, language_model: Any) -> nn.Module:
    """The adapters in order. An FFT adapter keeps the width, the others map it to the language model's."""
    alone = config.fusion is None or config.fusion.kind == "audio_only"
    bands = getattr(encoder, "tokens_per_step", 1) if alone else 1  # tokens that share a moment
    parts: list[nn.Module] = []
    width, dim_llm = encoder.dim, language_model.dim
    for section in config.adapter:
        options = section.model_dump(exclude={"kind", "fidelity"})
        if section.kind == "fft":
            if section.spectral:
                parts.append(SpectralAdapter(dim=width, bins=section.bins, bands=bands))
            else:
                parts.append(FftAdapter(dim=width, fidelity=part_fidelity(config, section)))
            continue
        if section.kind == "qformer":
            options |= {"bands": bands, "fidelity": part_fidelity(config, section)}
        if section.kind == "two_stream":
            options["bands"] = bands
        parts.append(ADAPTERS[section.kind](dim=width, dim_llm=dim_llm, **options))
        width, bands = dim_llm, 1
    scale = config.adapter_scale
    if scale is not None:
        parts.append(Scale(language_model.token_table if isinstance(scale, str) else scale))
    return parts[0] if len(parts) == 1 else Chain(*parts)


def build_language_model(config: ModelConfig, tokenizer: PreTrainedTokenizerBase | None) -> LanguageModel:
    section = config.language_model
    cls = (LANGUAGE_MODELS if config.fidelity == "paper" else RELEASED_LANGUAGE_MODELS)[section.kind]
    if section.source is not None:
        options: dict[str, Any] = {"dtype": _borrowed_dtype(section)}
        if section.quantize:
            options["quantization_config"] = sources.quantization(section.quantize)
        source = dequantised(section.source)
        with sources.explained("language_model", source):
            language_model = cls.from_pretrained(source, **options)
    elif tokenizer is None:
        raise ConfigError("language_model.config: random weights need a tokenizer; train one first")
    else:
        size = {"vocab_size": len(tokenizer)} | (section.config or {})
        language_model = cls.from_config(size, tokenizer)
    return tuning.prepare(language_model, section)


def build_search(config: DecodingConfig, encoder: Encoder, language_model: LanguageModel) -> Search:
    """The search, with its guides in the order in which they change the scores."""
    tokenizer, size = language_model.tokenizer, language_model.vocabulary_size
    tags = encoder.tag_names if isinstance(encoder, TaggingEncoder) else []
    guides: list[Guide] = []
    if config.guide is not None:
        guides.append(TokenGuideParameters(beta=config.guide.beta, distance=DISTANCES[config.guide.distance]))
    if config.tag_guide:
        guides.append(TagGuide(tags, tokenizer, size, config.tag_guide))
    if config.order_guide:
        guides.append(OrderGuide([source(tag) for tag in tags], tokenizer, size))
    space = config.joint_space
    return Search(
        guides=guides,
        repetition=RepetitionPenalty(tokenizer, size, config.repetition) if config.repetition else None,
        space=JointSpace(encoder.dim, language_model.dim, **space.model_dump()) if space else MeanSpace(),
        alignment=config.alignment,
        beams=config.beams,
        no_repeat_ngram=config.no_repeat_ngram,
        max_new_tokens=config.max_new_tokens,
        length_penalty=config.length_penalty,
    )


def _borrowed_dtype(section: LanguageModelConfig) -> torch.dtype | str:
    """The precision in which a language model's weights are loaded."""
    if section.dtype:
        return getattr(torch, section.dtype)
    if section.quantize or (section.tune != "full" and torch.cuda.is_available()):
        return "auto"
    return torch.float32  # trained in it; and CPUs compute bfloat16 ten times more slowly


def towers(config: ModelConfig) -> dict[str, Tower]:
    """The sections of pre-trained parts, by the name of their slot."""
    sections = {"encoder": config.encoder, "vision": config.vision, "language_model": config.language_model}
    return {slot: section for slot, section in sections.items() if isinstance(section, Tower)}


def restore_tuning(model: AudioCaptioningModel) -> None:
    """What is trained as the config says, after something else was, as in a stage that froze parts."""
    sections = towers(model.config)
    for slot, part in model.named_children():
        if slot in sections:
            tuning.restore(part, sections[slot])
        else:
            part.requires_grad_(True)
