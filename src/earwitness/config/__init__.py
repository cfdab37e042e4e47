"""Presets and recipes as validated data. Reading, checking and printing one imports no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from earwitness.lazy import lazy_exports

__all__ = [
    "ConfigError",
    "GuideConfig",
    "LanguageModelConfig",
    "ManifestData",
    "ModelConfig",
    "Preset",
    "RewardConfig",
    "SceneData",
    "Stage",
    "TextData",
    "Tower",
    "list_presets",
    "load_preset",
    "preset_text",
]

if TYPE_CHECKING:
    from earwitness.config.data import ManifestData, SceneData, TextData
    from earwitness.config.decoding import GuideConfig
    from earwitness.config.errors import ConfigError
    from earwitness.config.model import ModelConfig
    from earwitness.config.preset import Preset, list_presets, load_preset, preset_text
    from earwitness.config.stages import RewardConfig, Stage
    from earwitness.config.towers import LanguageModelConfig, Tower

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "ConfigError": "errors",
        "GuideConfig": "decoding",
        "LanguageModelConfig": "towers",
        "ManifestData": "data",
        "ModelConfig": "model",
        "Preset": "preset",
        "RewardConfig": "stages",
        "SceneData": "data",
        "Stage": "stages",
        "TextData": "data",
        "Tower": "towers",
        "list_presets": "preset",
        "load_preset": "preset",
        "preset_text": "preset",
    },
)
