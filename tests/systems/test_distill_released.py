"""DistillCaps against its authors' code: both branches, three losses, with and without retrieval."""

from __future__ import annotations

import pytest
import torch

RETRIEVED = [
    ["a dog barks", "birds sing", "dogs"],
    ["it rains heavily on a roof", "rain", "water falls from the sky onto the ground"],
    ["a man talks", "speech", "someone speaks"],
]


@pytest.fixture(scope="module")
def distillcaps(systems):
    prompt = "Describe the detail of this audio:<audio>\n---\nDetailed: "
    config = {
        "encoder": {**systems.CED, **systems.HEARING, "tune": "freeze"},
        "adapter": [{"kind": "fft"}, systems.QFORMER],
        "language_model": {"config": systems.LLAMA, **systems.LORA},
        "prompt": f"<bos>{prompt}",
        "retrieval": {"prompt": f"<bos>Similar audios sound like:\n\n<captions>\n\n{prompt}"},
    }
    return systems.released_system("distillcaps", config)


@pytest.fixture(scope="module")
def sound(systems):
    return systems.heard()


def test_logits_losses_and_gradients(systems, distillcaps, sound):
    expected = distillcaps.expected
    ids, mask = distillcaps.captions()
    trace = distillcaps.model(sound, ids, mask, captions=RETRIEVED)
    torch.testing.assert_close(trace.z_a.values, expected["audio_embeds"], rtol=1e-4, atol=1e-4)
    distillcaps.check_logits(trace.teacher_logits, torch.ones_like(mask))
    batch = {"sound": sound, "ids": ids, "mask": mask, "captions": RETRIEVED}
    out = systems.losses(distillcaps, batch, retrieval_caption=1.0, distillation=1.0)
    names = {"caption": "student", "retrieval_caption": "teacher", "distillation": "distill"}
    for ours, theirs in names.items():
        assert out[ours].item() == pytest.approx(expected[f"loss_{theirs}"].item(), rel=1e-4), ours
    assert out["loss"].item() == pytest.approx(expected["loss"].item(), rel=1e-4)
    distillcaps.check_gradients(out["loss"])


@pytest.mark.parametrize("beams, captions", [(1, RETRIEVED), (3, RETRIEVED), (3, None)])
def test_generated_ids(systems, distillcaps, sound, monkeypatch, beams, captions):
    rows = distillcaps.generated(sound, monkeypatch, beams=beams, min_new_tokens=2, captions=captions)
    name = f"gen_ids_beam{beams}" + ("" if captions else "_norag")
    assert rows == [systems.until_end(row) for row in distillcaps.expected[name]]
