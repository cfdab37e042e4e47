"""LOAE against its authors' code: one small model of random weights, from waveform to generated ids."""

from __future__ import annotations

import pytest
import torch

PROMPT = "<bos>Describe the detail of this audio:<audio>\n---\nDetailed: "


@pytest.fixture(scope="module")
def loae(systems):
    config = {
        "encoder": {**systems.CED, **systems.HEARING, **systems.LORA},
        "adapter": [systems.QFORMER],
        "language_model": {"config": systems.LLAMA, **systems.LORA},
        "prompt": PROMPT,
    }
    return systems.released_system("loae", config)


@pytest.fixture(scope="module")
def sound(systems):
    return systems.heard()


def test_logits_loss_and_gradients(systems, loae, sound):
    ids, mask = loae.captions()
    trace = loae.model(sound, ids, mask)
    torch.testing.assert_close(trace.z_a.values, loae.expected["audio_embeds"], rtol=1e-4, atol=1e-4)
    loae.check_logits(trace.logits, mask)
    out = systems.losses(loae, {"sound": sound, "ids": ids, "mask": mask})
    assert out["loss"].item() == pytest.approx(loae.expected["loss"].item(), rel=1e-4)
    loae.check_gradients(out["loss"])


@pytest.mark.parametrize("beams", [1, 3])
def test_generated_ids(systems, loae, sound, monkeypatch, beams):
    rows = loae.generated(sound, monkeypatch, beams=beams, min_new_tokens=2)
    assert rows == [systems.until_end(row) for row in loae.expected[f"gen_ids_beam{beams}"]]
