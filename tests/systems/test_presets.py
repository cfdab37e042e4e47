"""Every preset and every row of the published tables: built tiny, trained, saved, reloaded, captioning."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from earwitness.build import build_model
from earwitness.checkpoints.folder import load_checkpoint, save_checkpoint
from earwitness.config.model import ModelConfig
from earwitness.config.preset import list_presets, load_preset
from earwitness.config.stages import Losses
from earwitness.studies.published import papers, published
from earwitness.training.beginning import train_tokenizer
from earwitness.training.objective import CaptioningTask

CAPTIONS = ["a dog barks and a man speaks", "rain falls on a roof", "birds sing while wind blows", "silence"]
RETRIEVED = [["a dog barks"], ["rain falls", "water drips on a roof"], [], ["a clock ticks"]]
SYSTEMS = [name for name in list_presets() if name not in ("mini", "finetune")]
TINY_CONV = {
    "kind": "conv",
    "tags": ["dog", "rain"],
    "widths": [6, 8, 12, 16],
    "depths": [0, 0, 0, 0],
    "dim": 24,
}
TINY_LLAMA = {"model_type": "llama", "hidden_size": 24, "intermediate_size": 32, "num_hidden_layers": 2} | {
    "num_attention_heads": 2,
    "tie_word_embeddings": False,
}
TINY_BART = {
    "model_type": "bart",
    "d_model": 24,
    "max_position_embeddings": 128,
    "decoder_start_token_id": 1,
} | {
    f"{side}_{what}": n
    for side in ("encoder", "decoder")
    for what, n in [("layers", 1), ("ffn_dim", 32), ("attention_heads", 2)]
}
TINY_CLIP = {"hidden_size": 24, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2} | {
    "image_size": 32,
    "patch_size": 16,
    "projection_dim": 20,
}


SAMPLE = {"LAMB 4", "LAVCap III", "DistillCaps 5"}  # tables whose rows the default suite tries


def rows() -> list[Any]:
    """(preset, overrides, whether retrieved captions are shown at test) of each row, each way once."""
    found, seen = [], set()
    for name in papers():
        paper = published(name)
        for number, _, row in paper.rows():
            preset, shown = row.preset or paper.preset, row.decoding.retrieve is not None
            if (key := (preset, *row.overrides, shown)) in seen:
                continue
            seen.add(key)
            place = f"{paper.paper} {number}"
            marks = [] if place in SAMPLE else [pytest.mark.exhaustive]
            found.append(pytest.param(preset, row.overrides, shown, id=f"{place}: {row.name}", marks=marks))
    assert len(found) > 25 and {param.values[0] for param in found} <= set(SYSTEMS)
    return found


def tiny(preset: str, overrides: list[str] = []) -> tuple[ModelConfig, Losses]:  # noqa: B006
    """The preset's model with every width shrunk and random weights, and the losses of its last stage."""
    loaded = load_preset(preset, overrides)
    data = loaded.model.model_dump()
    if data["encoder"]["kind"] in ("ced", "dasheng"):
        data["encoder"] |= {"source": None, "size": None, "dim": 24, "depth": 1, "heads": 2}
    else:  # that of the built-in model
        data["encoder"] = TINY_CONV | {"tune": data["encoder"]["tune"]}
    if data["vision"] and data["vision"]["kind"] == "clip":
        data["vision"] |= {"source": None, "config": TINY_CLIP}
    if data["fusion"] and "heads" in data["fusion"]:
        data["fusion"]["heads"] = 2
    for adapter in data["adapter"]:
        adapter |= {"heads": 2} if "heads" in adapter else {}
        adapter |= {"hidden": 24} if "hidden" in adapter else {}
    config = TINY_BART if data["language_model"]["kind"] == "seq2seq" else TINY_LLAMA
    data["language_model"] |= {"source": None, "config": config}
    return ModelConfig.model_validate(data), loaded.stages[-1].losses


def build(config: ModelConfig) -> Any:
    torch.manual_seed(0)
    model = build_model(config, train_tokenizer(CAPTIONS, 300))
    for name, parameter in model.named_parameters():  # large enough that captions depend on the sound
        if parameter.ndim >= 2:
            torch.nn.init.normal_(parameter, std=1.5 * parameter[0].numel() ** -0.5)
        elif "beta" in name:
            parameter.data.fill_(0.01)
    return model.eval()


def batch(model: Any, *, equal: bool = False) -> dict[str, Any]:
    """Four clips of different, odd length (or of one), the last of them silent and without pictures.

    With frames and retrieved captions if need be.
    """
    generator = torch.Generator().manual_seed(1)
    lengths = torch.tensor([19_201] * 4 if equal else [19_201, 13_999, 16_003, 1_607])
    waveforms = 0.1 * torch.randn(4, 19_201, generator=generator)
    waveforms *= torch.arange(19_201) < lengths[:, None]
    waveforms[3] = 0.0
    inputs: dict[str, Any] = {"sound": {"waveforms": waveforms, "lengths": lengths}}
    if model.vision is not None:
        frames = torch.randn(4, 3, 3, 32, 32, generator=generator)
        inputs["video"] = {"frames": frames, "counts": torch.tensor([3, 3, 3, 3] if equal else [3, 2, 1, 0])}
    if model.retrieval_prompt is not None:
        inputs["captions"] = RETRIEVED
    return inputs


def row(inputs: dict[str, Any], i: int) -> dict[str, Any]:
    """One clip alone, nothing padded."""
    length = int(inputs["sound"]["lengths"][i])
    sound = inputs["sound"]
    one: dict[str, Any] = {
        "sound": {"waveforms": sound["waveforms"][i : i + 1, :length], "lengths": sound["lengths"][i : i + 1]}
    }
    if "video" in inputs:
        count = int(inputs["video"]["counts"][i])
        one["video"] = {
            "frames": inputs["video"]["frames"][i : i + 1, :count],
            "counts": inputs["video"]["counts"][i : i + 1],
        }
    if "captions" in inputs:
        one["captions"] = inputs["captions"][i : i + 1]
    return one


@pytest.mark.parametrize(
    "preset, overrides, shown", [pytest.param(p, [], True, id=p) for p in SYSTEMS] + rows()
)
def test_trains_saves_and_reloads(preset, overrides, shown, tmp_path):
    config, weights = tiny(preset, overrides)
    model = build(config)
    inputs = batch(model, equal=config.fidelity == "released")
    ids, mask = model.language_model.encode_captions(CAPTIONS)
    task = CaptioningTask(model, weights).train()
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    optimizer = torch.optim.SGD([p for p in task.parameters() if p.requires_grad], 1e-3)
    for _ in range(2):
        out = task(**inputs, ids=ids, mask=mask)
        wanted = {k for k, w in weights.model_dump(exclude=set(Losses.SETTINGS)).items() if w}
        assert wanted == set(out) - {"loss"}
        assert all(value.isfinite() for value in out.values()), out
        optimizer.zero_grad()
        out["loss"].backward()
        optimizer.step()
    moved = {name for name, p in model.named_parameters() if not torch.equal(p, before[name])}
    for slot in ("encoder", "language_model"):
        tune = getattr(config, slot).tune
        names = {name for name in moved if name.startswith(f"{slot}.")}
        unheard = slot == "encoder" and config.fusion is not None and config.fusion.kind == "visual_only"
        assert (tune == "freeze" or unheard) == (not names)
        assert tune != "lora" or all("lora_" in name for name in names)
    save_checkpoint(task.eval().model, tmp_path)
    loaded = load_checkpoint(tmp_path)
    if not shown:
        inputs.pop("captions", None)
    for beams in (1, 2):
        first = model.eval().caption(**inputs, beams=beams, max_new_tokens=8)
        again = loaded.caption(**inputs, beams=beams, max_new_tokens=8)
        assert first.texts == again.texts
        torch.testing.assert_close(first.scores, again.scores)


@pytest.mark.parametrize("preset", [name for name in SYSTEMS if not name.endswith("-released")])
def test_a_clip_alone_equals_the_clip_in_a_batch(preset):
    model = build(tiny(preset)[0])
    inputs = batch(model)
    ids, mask = model.language_model.encode_captions(CAPTIONS)
    with torch.no_grad():
        together = model(**inputs, ids=ids, mask=mask)
    for i in range(4):
        length = int(mask[i].sum())
        with torch.no_grad():
            alone = model(**row(inputs, i), ids=ids[i : i + 1, :length], mask=mask[i : i + 1, :length])
        largest = alone.logits.abs().max().item()
        for name in ("logits", "guided_logits", "teacher_logits"):
            a, b = getattr(alone, name), getattr(together, name)
            assert (a is None) == (b is None)
            if a is not None:
                torch.testing.assert_close(a[0], b[i, :length], rtol=1e-4, atol=1e-4 * largest)
    for beams in (1, 3):
        both = model.caption(**inputs, beams=beams, max_new_tokens=8)
        for i in range(4):
            one = model.caption(**row(inputs, i), beams=beams, max_new_tokens=8)
            assert one.texts == both.texts[i : i + 1]
            assert one.scores.item() == pytest.approx(both.scores[i].item(), abs=1e-4)


def test_a_sound_without_video_is_captioned_by_a_model_that_could_watch():
    model = build(tiny("lavcap")[0])
    inputs = batch(model)
    decoded = model.caption(inputs["sound"], max_new_tokens=5)
    assert len(decoded.texts) == 4 and decoded.scores.isfinite().all()


def test_a_clip_without_retrieved_captions_is_its_own_teacher():
    model = build(tiny("distillcaps")[0])
    ids, mask = model.language_model.encode_captions(CAPTIONS)
    trace = model(**batch(model), ids=ids, mask=mask)
    torch.testing.assert_close(trace.teacher_logits[2], trace.logits[2], rtol=1e-4, atol=1e-4)
    assert (trace.teacher_logits[0] - trace.logits[0]).abs().max() > 1e-2


def test_only_trained_tensors_are_saved_beside_a_borrowed_language_model(tmp_path):
    config, _ = tiny("loae")
    first = build(config)
    first.language_model.tokenizer.save_pretrained(tmp_path / "llama")
    plain = build(
        config.model_copy(
            update={"language_model": config.language_model.model_copy(update={"tune": "full"})}
        )
    )
    plain.language_model.model.save_pretrained(tmp_path / "llama")
    language_model = {"source": str(tmp_path / "llama"), "tune": "lora", "lora": {"r": 2}}
    data = config.model_dump() | {"language_model": language_model}
    model = build_model(ModelConfig.model_validate(data)).eval()
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter)
    save_checkpoint(model, tmp_path / "checkpoint")
    saved = load_file(tmp_path / "checkpoint" / "model.safetensors")
    borrowed = [name for name in saved if name.startswith("language_model.") and "lora_" not in name]
    assert not borrowed and any(name.startswith("language_model.") for name in saved)
    inputs = batch(model)
    loaded = load_checkpoint(tmp_path / "checkpoint")
    first, again = (m.caption(**inputs, max_new_tokens=8) for m in (model, loaded))
    assert first.texts == again.texts and torch.equal(first.scores, again.scores)
