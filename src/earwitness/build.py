"""From config to parts: one literal dictionary a slot."""

from __future__ import annotations

from typing import Any

from torch import nn
from transformers import PreTrainedTokenizerBase

from earwitness.adapters.chain import Chain
from earwitness.adapters.linear import LinearAdapter
from earwitness.adapters.two_stream import TwoStreamAdapter
from earwitness.config import ConfigError, GuideConfig, ModelConfig
from earwitness.decoding.language_model import CausalLanguageModel
from earwitness.decoding.prompt import Prompt
from earwitness.decoding.seq2seq import EncoderDecoderLanguageModel
from earwitness.decoding.token_guide import DISTANCES, TokenGuideParameters
from earwitness.encoders.conv import ConvEncoder
from earwitness.model import AudioCaptioningModel

ENCODERS: dict[str, Any] = {"conv": ConvEncoder}
ADAPTERS: dict[str, Any] = {"linear": LinearAdapter, "two_stream": TwoStreamAdapter}
LANGUAGE_MODELS: dict[str, Any] = {"causal": CausalLanguageModel, "seq2seq": EncoderDecoderLanguageModel}

_TOWER_KEYS = {"kind", "source", "tune", "lora"}


def build_model(config: ModelConfig, tokenizer: PreTrainedTokenizerBase | None = None) -> AudioCaptioningModel:
    """Builds every slot. tokenizer: for a language model with random weights, which has none of its own."""
    encoder = build_encoder(config)
    language_model = build_language_model(config, tokenizer)
    adapters, width = [], encoder.dim
    for section in config.adapter:
        arguments = section.model_dump(exclude={"kind"})
        adapters.append(ADAPTERS[section.kind](dim=width, dim_llm=language_model.dim, **arguments))
        width = language_model.dim
    return AudioCaptioningModel(
        encoder=encoder,
        adapter=adapters[0] if len(adapters) == 1 else Chain(*adapters),
        language_model=language_model,
        prompt=Prompt(config.prompt),
        guide=build_guide(config.guide),
        config=config,
    )


def build_encoder(config: ModelConfig) -> nn.Module | Any:
    section = config.encoder
    return ENCODERS[section.kind](**section.model_dump(exclude=_TOWER_KEYS))


def build_language_model(config: ModelConfig, tokenizer: PreTrainedTokenizerBase | None) -> Any:
    section = config.language_model
    cls = LANGUAGE_MODELS[section.kind]
    if section.source is not None:
        return cls.from_pretrained(section.source)
    if tokenizer is None:
        raise ConfigError("language_model.config: random weights need a tokenizer; train one first")
    return cls.from_config({**(section.config or {}), "vocab_size": len(tokenizer)}, tokenizer)


def build_guide(config: GuideConfig | None) -> TokenGuideParameters | None:
    return config and TokenGuideParameters(beta=config.beta, distance=DISTANCES[config.distance])
