"""Settings of the losses: the end of the sentence in z_t, temperatures of their own, transport beside
any fusion.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from earwitness.config.stages import Losses
from earwitness.embeds import Embeds
from earwitness.fusion.ot_attention import transport
from earwitness.losses import distillation_kl, info_nce, ot_alignment_loss, token_cauchy_schwarz
from earwitness.training.objective import CaptioningTask

sys.path.append(str(Path(__file__).parent))
from test_presets import CAPTIONS, batch, build, tiny


def losses(model: Any, *, trace: bool = False, **weights: Any) -> Any:
    """The named losses of four clips; trace: and what the model computed."""
    ids, mask = model.language_model.encode_captions(CAPTIONS)
    inputs = batch(model)
    with torch.no_grad():
        found = CaptioningTask(model, Losses(**weights)).eval()(**inputs, ids=ids, mask=mask)
        seen = model(inputs["sound"], ids, mask, **{k: v for k, v in inputs.items() if k != "sound"})
    return (found, seen, ids, mask) if trace else found


def test_without_the_end_z_t_holds_words_alone() -> None:
    model = build(tiny("lamb")[0])
    weights: dict[str, Any] = {"cs_token": 1.0, "info_nce": 1.0, "sigma": 1.0}
    found, trace, ids, mask = losses(model, trace=True, align_end=False, **weights)
    words = mask & (ids != model.language_model.eos_id)
    assert (mask.sum(1) - words.sum(1)).tolist() == [1] * 4
    means = torch.stack([row[keep].mean(0) for row, keep in zip(trace.z_t.values, words)])
    torch.testing.assert_close(found["info_nce"], info_nce(trace.z_a.mean(), means))
    masks = {"x_mask": trace.z_a.mask, "y_mask": words}
    wanted = token_cauchy_schwarz(trace.z_a.values, trace.z_t.values, 1.0, **masks)
    torch.testing.assert_close(found["cs_token"], wanted)
    whole = losses(model, **weights)
    assert whole["info_nce"] != found["info_nce"] and whole["cs_token"] != found["cs_token"]


def test_a_caption_that_is_its_end_keeps_it() -> None:
    z_t = Embeds(torch.zeros(2, 3, 1), torch.tensor([[True, False, False], [True, True, True]]))
    ends = torch.tensor([[True, True, True], [False, False, True]])
    assert z_t.without(ends).mask.tolist() == [[True, False, False], [True, True, False]]


@pytest.mark.parametrize(
    "fusion", ["{kind: concat}", "{kind: qformer}", "{kind: joint}", "{kind: cross_attention}"]
)
def test_the_transport_loss_needs_tokens_alone(fusion: str) -> None:
    """LAVCap, Tables II and III: similarity and plan of h_a and h_v, whatever joins them."""
    model = build(tiny("lavcap", [f"model.fusion={fusion}"])[0])
    found, trace, *_ = losses(model, trace=True, ot_alignment=1.0)
    assert trace.match is None and not hasattr(model.fusion, "match")
    h_v = Embeds(model.fusion.visual_projection(trace.h_v.values), trace.h_v.mask)
    wanted = ot_alignment_loss(*transport(trace.h_a, h_v))
    torch.testing.assert_close(found["ot_alignment"], wanted)
    assert wanted > 0


def test_each_loss_has_its_own_temperature() -> None:
    model = build(tiny("lavcap")[0])
    found, trace, *_ = losses(
        model, trace=True, info_nce=1.0, ot_alignment=1.0, temperature=0.5, ot_temperature=0.2
    )
    torch.testing.assert_close(found["ot_alignment"], ot_alignment_loss(*trace.match, 0.2))
    torch.testing.assert_close(found["info_nce"], info_nce(trace.z_a.mean(), trace.z_t.mean(), 0.5))
    assert found["ot_alignment"] != ot_alignment_loss(*trace.match, 0.5)


def test_distillation_has_a_temperature() -> None:
    model = build(tiny("distillcaps")[0])
    found, trace, _, mask = losses(model, trace=True, distillation=1.0, distillation_temperature=3.0)
    wanted = distillation_kl(trace.teacher_logits, trace.logits, mask, 3.0)
    torch.testing.assert_close(found["distillation"], wanted)
    assert wanted != distillation_kl(trace.teacher_logits, trace.logits, mask)


@pytest.mark.parametrize(
    "preset, override",
    [("distillcaps", "model.adapter.1.connector=mlp"), ("loae", "model.adapter=[{kind: mlp}]")],
)
def test_a_connector_can_have_two_layers(preset: str, override: str) -> None:
    model = build(tiny(preset, [override])[0])
    layers = [m for m in model.adapter.modules() if isinstance(m, torch.nn.GELU)]
    inputs = batch(model)
    assert layers and len(model.caption(inputs["sound"], max_new_tokens=4).texts) == 4
