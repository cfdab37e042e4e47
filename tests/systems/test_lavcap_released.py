"""LAVCap against its authors' code, from filterbank and frame features to generated ids."""

from __future__ import annotations

import pytest
import torch


@pytest.fixture(scope="module")
def lavcap(systems):
    config = {
        "encoder": {
            **systems.CED,
            **systems.LORA,
            "front_end": "padded_fbank",
            "token_order": "band_average",
            "chunk_frames": 1024,
            "fidelity": "paper",  # filled to 1024 frames, all of it taken for sound: nothing left to mask
        },
        "vision": {"kind": "cached", "dim": 64},
        "fusion": {"kind": "ot_attention"},
        "adapter": [{"kind": "linear"}],
        "language_model": {"config": systems.LLAMA | {"vocab_size": 32001}, **systems.LORA},
        "prompt": "<bos>USER: <Speech><audio></Speech> Please describe the audio.\nASSISTANT:",
    }
    return systems.released_system("lavcap", config)


@pytest.fixture(scope="module")
def inputs(lavcap):
    spec = lavcap.expected["spec"].transpose(1, 2)
    frames = torch.full((len(spec),), spec.shape[2])
    return {"sound": {"log_mel": spec, "frames": frames}, "video": {"frames": lavcap.expected["clip_feat"]}}


def test_logits_losses_and_gradients(systems, lavcap, inputs):
    expected = lavcap.expected
    ids, mask = expected["labels"], expected["labels_mask"].bool()
    ids = ids.masked_fill(~mask, 0)
    trace = lavcap.model(inputs["sound"], ids, mask, video=inputs["video"])
    torch.testing.assert_close(trace.z_a.values, expected["av_embeds"], rtol=1e-4, atol=1e-4)
    lavcap.check_logits(trace.logits, mask)
    out = systems.losses(lavcap, {**inputs, "ids": ids, "mask": mask}, ot_alignment=1.0)
    for ours, theirs in {"caption": "loss_ce", "ot_alignment": "loss_ot", "loss": "loss"}.items():
        assert out[ours].item() == pytest.approx(expected[theirs].item(), rel=1e-4), ours
    lavcap.check_gradients(out["loss"])


@pytest.mark.parametrize("beams, name", [(1, "gen_ids_greedy"), (3, "gen_ids_beam3")])
def test_generated_ids(systems, lavcap, inputs, monkeypatch, beams, name):
    rows = lavcap.generated(
        inputs["sound"], monkeypatch, beams=beams, min_new_tokens=1, video=inputs["video"]
    )
    assert rows == [systems.until_end(row) for row in lavcap.expected[name]]


def test_a_checkpoint_of_another_system_is_refused_by_name(lavcap):
    from earwitness.checkpoints.released import fill_released
    from earwitness.weights.errors import CheckpointError

    state = {k: v for k, v in lavcap.state.items() if k != "logit_scale"} | {"stray.weight": torch.zeros(1)}
    with pytest.raises(CheckpointError, match=r"missing fusion\.logit_scale; unexpected stray\.weight"):
        fill_released(lavcap.model, state, "lavcap")
