"""An adapter without audio tokens: the language model reads the tags alone, in training and in captioning."""

import json

import pytest
import torch

from earwitness.adapters.none import NoTokens
from earwitness.config.preset import Preset
from earwitness.embeds import Embeds


def test_there_are_no_tokens_of_the_language_models_width():
    z_a = NoTokens(dim=5, dim_llm=7)(Embeds.full(torch.randn(3, 4, 5)))
    assert z_a.values.shape == (3, 0, 7) and z_a.mask.shape == (3, 0)
    assert z_a.mean().eq(0).all()


def preset(tiny_checkpoint, **changes):
    model = json.loads((tiny_checkpoint / "config.json").read_text())
    model |= {"adapter": [{"kind": "none"}], "prompt": "<tags><audio><bos>"}
    model["decoding"] = {}
    stage = {
        "name": "captioning",
        "task": "captioning",
        "data": {"kind": "manifest", "train": ["a.jsonl"], "validation": ["b.jsonl"]},
        "losses": {"caption": 1.0} | changes.pop("losses", {}),
        "batch_size": 2,
        "learning_rate": 0.001,
    }
    return {"description": "tiny", "model": model | changes, "stages": [stage]}


def test_the_tags_alone_make_a_model(tiny_checkpoint):
    Preset.model_validate(preset(tiny_checkpoint))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"adapter": [{"kind": "none"}, {"kind": "linear"}]}, "none stands alone"),
        ({"adapter_scale": "table"}, "none stands alone"),
        ({"prompt": "<audio>"}, "give prompt the slot <tags>"),
        ({"decoding": {"guide": {"distance": "squared_l2"}}}, "needs decoding.guide: null"),
        ({"decoding": {"alignment": 2.0}}, "a joint_space for decoding.alignment"),
        ({"losses": {"info_nce": 0.1}}, "losses.info_nce needs audio tokens"),
    ],
)
def test_what_needs_audio_tokens_is_refused_by_name(tiny_checkpoint, changes, said):
    with pytest.raises(ValueError, match=said):
        Preset.model_validate(preset(tiny_checkpoint, **changes))
