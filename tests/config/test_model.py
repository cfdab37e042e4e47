"""The model's section: keys of former versions."""

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from earwitness.config.model import ModelConfig
from earwitness.loading import DEFAULT

MODEL = {
    "encoder": {"kind": "conv", "tags": ["dog"]},
    "adapter": [{"kind": "linear"}],
    "language_model": {"config": {"model_type": "llama"}},
}
DECODING = {
    "guide": {"distance": "l1", "beta": 0.02},
    "tag_guide": 1.5,
    "beams": 4,
    "no_repeat_ngram": 3,
    "repetition": 2.0,
    "length_penalty": 0.0,
    "alignment": 12.0,
    "joint_space": {"dim": 8, "hidden": 16, "dropout": 0.3},
}


def test_decoding_is_read_from_beside_the_section_where_it_was() -> None:
    former, now = (ModelConfig.model_validate(MODEL | own) for own in (DECODING, {"decoding": DECODING}))
    assert former == now and now.decoding.model_dump(exclude_unset=True) == DECODING


@pytest.mark.parametrize("key", DECODING)
def test_each_key_alone(key: str) -> None:
    own = {key: DECODING[key]} | ({"alignment": 1.0} if key == "joint_space" else {})
    assert getattr(ModelConfig.model_validate(MODEL | own).decoding, key) == getattr(
        ModelConfig.model_validate(MODEL | {"decoding": own}).decoding, key
    )


def test_a_key_in_both_places_is_refused() -> None:
    with pytest.raises(ValidationError, match="beams: given in decoding too"):
        ModelConfig.model_validate(MODEL | {"beams": 3, "decoding": {"beams": 3}})
    mixed = ModelConfig.model_validate(MODEL | {"beams": 2, "decoding": {"repetition": 1.0}})
    assert (mixed.decoding.beams, mixed.decoding.repetition) == (2, 1.0)


def test_the_default_models_config_is_read_and_written_back(tmp_path: Path) -> None:
    data = json.loads((DEFAULT / "config.json").read_text("utf-8"))
    config = ModelConfig.model_validate(data)
    assert config.decoding.alignment > 0 and config.decoding.joint_space is not None
    assert ModelConfig.model_validate(config.model_dump()) == config
