"""Combinations that cannot work are refused from the config alone, naming the keys.

Weights that are not to be had are explained.
"""

from __future__ import annotations

import json

import pytest

from earwitness.build import build_model
from earwitness.config.errors import ConfigError
from earwitness.config.model import ModelConfig
from earwitness.config.preset import load_preset
from earwitness.decoding.causal import CausalLanguageModel
from earwitness.weights import sources


@pytest.mark.parametrize(
    "preset, override, message",
    [
        ("lamb", "model.fusion={kind: concat}", r"fusion\.kind: concat needs a vision section"),
        ("lavcap", "model.fusion=null", "vision needs a fusion"),
        (
            "lamb",
            "model.encoder.token_order=frequency",
            r"adapter\.0 \(two_stream\) needs tokens in time order",
        ),
        ("loae", "model.encoder.token_order=frequency", r"adapter\.0 \(qformer\).*encoder\.token_order"),
        (
            "lamb",
            "model.fidelity=released",
            r"fidelity: released does not go with adapter\.0, decoding\.guide",
        ),
        (
            "lamb",
            "model.decoding.guide=null",
            r"stage pretrain: losses\.guided_caption needs model\.decoding\.guide",
        ),
        (
            "loae",
            "stages.0.losses.ot_alignment=1",
            r"losses\.ot_alignment needs model\.fusion of a kind that takes up pictures",
        ),
        ("distillcaps", "model.retrieval=null", r"losses\.distillation needs model\.retrieval"),
        ("distillcaps", "model.retrieval.prompt=<audio>", r"retrieval\.prompt needs the slot <captions>"),
        ("distillcaps", "model.adapter=[{kind: fft}]", r"adapter\.0: fft keeps the width"),
        ("loae", "model.prompt=<audio><video>", r"prompt has the slot <video>.*fusion\.kind"),
        ("loae", "model.prompt=words", "prompt needs exactly one <audio>"),
        (
            "loae",
            "model.language_model={source: a/b, quantize: 4bit}",
            "quantize .* tune: full",
        ),
        ("loae", "model.encoder.dim=12", r"encoder\.ced: size determines them; remove dim"),
        ("lavcap", "model.fusion={kind: joint, heads: 7}", r"fusion\.heads: 7 does not divide .* 768"),
        ("lamb", "model.adapter.0.heads=7", r"adapter\.0\.heads: 7 .* must divide the encoder's width 768"),
        ("mini", "model.encoder.tune=lora", "tune: lora needs linear projections"),
        ("mini", "model.language_model.config.model_type=bart", "use kind: seq2seq"),
        ("lamb", "stages.0.losses.tagging=1", r"tagging needs model\.encoder\.kind conv"),
        ("lamb", "model.adapter=[{kind: fft}, {kind: two_stream, heads: 7}]", r"adapter\.1\.heads: 7 "),
        ("lamb", "model.adapter.0.kernels=[3, 4]", r"kernels must be odd.*\[4\]"),
        ("lamb", "model.adapter.0.global_queries=0", r"global_queries: .*greater than or equal to 1"),
        ("lamb", "model.decoding.guide.beta=.nan", r"guide\.beta: .*finite"),
        ("lamb", "model.encoder.lora.targets=[query]", r"encoder\.lora\.targets: there is no query"),
        ("loae", "model.prompt=<audio><caption>", "prompt has no slot <caption>; did you mean <captions>"),
        (
            "mini",
            "model.encoder={kind: conv, depths: [1, 2]}",
            r"encoder\.conv\.depths: .*at least 4",
        ),
        ("lamb", "stages.7.seed=1", "there is no such place"),
    ],
)
def test_impossible_combinations_are_refused_by_name(preset, override, message):
    with pytest.raises(ConfigError, match=message):
        load_preset(preset, [override])


@pytest.mark.parametrize(
    "prompt", ["<audio>Describe the sound:", "USER: <audio>", "USER: <audio>\nASSISTANT: yes"]
)
@pytest.mark.parametrize("quoted", [False, True])
def test_text_with_a_colon_is_text(prompt, quoted):
    value = json.dumps(prompt) if quoted else prompt
    assert load_preset("lamb", [f"model.prompt={value}"]).model.prompt == prompt


def test_a_bracket_that_is_not_closed_is_no_text():
    with pytest.raises(ConfigError, match="is not valid YAML"):
        load_preset("lamb", ["model.fusion={kind: concat"])


def test_one_override_reaches_every_stage_and_leaves_the_rest():
    preset = load_preset("lamb", ["stages.*.losses.info_nce=0"])
    assert [s.losses.info_nce for s in preset.stages] == [0, 0]
    assert [s.losses.cs_global for s in preset.stages] == [0.1, 0.1]


def test_a_preset_on_a_base_changes_what_it_names_only():
    base, released = load_preset("lavcap").model, load_preset("lavcap-released").model
    assert released.fidelity == "released" and released.encoder.front_end == "padded_fbank"
    assert released.fusion == base.fusion and released.encoder.lora == base.encoder.lora
    assert load_preset("loae-bart").model.language_model.kind == "seq2seq"
    assert load_preset("loae-dasheng-base").model.encoder.kind == "dasheng"


def test_a_base_that_leads_back_to_itself_is_refused(tmp_path):
    file = tmp_path / "loop.yaml"
    file.write_text(f"base: {file}\n")
    with pytest.raises(ConfigError, match="leads back to itself"):
        load_preset(str(file))


def test_gated_weights_say_which_file_which_licence_and_what_to_do():
    class GatedRepoError(OSError):
        pass

    with (
        pytest.raises(sources.SourceError) as caught,
        sources.explained("language_model", "meta-llama/Llama-2-7b-hf"),
    ):
        try:
            raise GatedRepoError(
                "401 for url https://huggingface.co/meta-llama/Llama-2-7b-hf/resolve/main/config.json"
            )
        except GatedRepoError as error:
            raise OSError("You are trying to access a gated repo.") from error
    message = str(caught.value)
    assert "config.json of meta-llama/Llama-2-7b-hf" in message
    assert "licence must be accepted at https://huggingface.co/meta-llama/Llama-2-7b-hf" in message
    assert "model.language_model.source=/path" in message


@pytest.mark.parametrize("slot", ["encoder", "language_model"])
def test_a_local_folder_without_weights_is_named(tmp_path, slot):
    tiny = {
        "encoder": {"kind": "ced", "dim": 8, "depth": 1, "heads": 2},
        "adapter": [{"kind": "linear"}],
        "language_model": {"source": str(tmp_path)},
    }
    if slot == "encoder":
        tiny["encoder"] = {"kind": "ced", "source": str(tmp_path)}
    with pytest.raises(
        ConfigError, match=rf"{slot}\.source {tmp_path} cannot be loaded: .*model\.{slot}\.source="
    ):
        build_model(ModelConfig.model_validate(tiny))


@pytest.mark.parametrize("kind, right", [("causal", "seq2seq"), ("seq2seq", "causal")])
def test_a_language_model_of_the_other_kind_is_refused_before_its_weights(tmp_path, kind, right):
    """The folder holds a config and no weights at all."""
    (tmp_path / "config.json").write_text(f'{{"model_type": "{"bart" if kind == "causal" else "llama"}"}}')
    tiny = {"encoder": {"kind": "ced", "dim": 8, "depth": 1, "heads": 2}, "adapter": [{"kind": "linear"}]}
    config = ModelConfig.model_validate(
        tiny | {"language_model": {"kind": kind, "source": str(tmp_path)}, "prompt": "<audio>"}
    )
    with pytest.raises(ConfigError, match=f"use kind: {right}"):
        build_model(config)


def test_quantized_weights_without_bitsandbytes(monkeypatch):
    monkeypatch.setattr(sources, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="quantize: 4bit needs bitsandbytes"):
        sources.quantization("4bit")


@pytest.mark.parametrize("bits, wanted", [("4bit", {"load_in_4bit", "nf4"}), ("8bit", {"load_in_8bit"})])
def test_quantized_weights_are_asked_of_transformers(monkeypatch, bits, wanted):
    """The settings that reach the loader; tests/systems/test_quantized.py goes on from there."""
    asked = {}

    def from_pretrained(source, **options):
        asked.update(options, source=source)
        raise OSError("far enough")

    monkeypatch.setattr(sources, "find_spec", lambda name: object())
    monkeypatch.setattr(CausalLanguageModel, "from_pretrained", from_pretrained)
    data = {
        "encoder": {"kind": "ced", "dim": 8, "depth": 1, "heads": 2},
        "adapter": [{"kind": "linear"}],
        "language_model": {"source": "a/b", "quantize": bits, "tune": "lora"},
    }
    with pytest.raises(ConfigError, match="far enough"):
        build_model(ModelConfig.model_validate(data))
    settings = asked["quantization_config"].to_dict()
    found = {name for name in ("load_in_4bit", "load_in_8bit") if settings[name]}
    found |= {settings["bnb_4bit_quant_type"]} & {"nf4"}
    assert asked["source"] == "a/b" and asked["dtype"] == "auto" and found == wanted


@pytest.mark.parametrize(
    ("override", "near"),
    [
        ("model.adapter.0.kernls=[3]", "kernels"),
        ("model.language_model.lora.target=[q_proj]", "targets"),
        ("model.encoder.front_ned=log_mel", "front_end"),
        ("stages.0.data.epoch=3", "epochs"),
        ("stages.0.losses.captions=1", "caption"),
        ("stages.0.warm_up=0.1", "warmup"),
        ("desription=x", "description"),
    ],
)
def test_an_unknown_key_names_the_nearest_of_its_own_section_first(override, near):
    with pytest.raises(ConfigError) as caught:
        load_preset("lamb", [override, "model.max_seconds=-1"])
    first = str(caught.value).splitlines()[1]
    assert first == f"  {_shown(override)}: unknown key; did you mean {near!r}?"


def _shown(override: str) -> str:
    """The place as pydantic names it: of one kind of several, with the kind."""
    place = override.partition("=")[0]
    kinds = {"model.adapter.0.": "two_stream.", "model.encoder.": "ced.", "stages.0.data.": "manifest."}
    for start, kind in kinds.items():
        if place.startswith(start):
            return start + kind + place.removeprefix(start)
    return place
