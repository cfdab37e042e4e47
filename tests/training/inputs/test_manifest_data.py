"""Mixtures, crops, captions, windows and pictures of captioned recordings; and rows that cannot be used."""

from __future__ import annotations

import json
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from earwitness.checkpoints.folder import load_checkpoint
from earwitness.config.data import ManifestData
from earwitness.config.errors import ConfigError
from earwitness.config.preset import Preset
from earwitness.decoding.words import normalise_caption
from earwitness.training import preflight
from earwitness.training import run as run_module
from earwitness.training.inputs.clip_index import Needs, clip_index
from earwitness.training.inputs.examples import Reader
from earwitness.training.inputs.manifest_data import CaptionedClips, Mixture, ValidationClips, window_starts
from earwitness.training.inputs.stage_data import ClipSource, stage_data
from earwitness.training.objective import CaptioningTask


def mixture(tmp_path: Path, train: list[Any], read: Any = None, seed: int = 0, **data: Any) -> Mixture:
    """A mixture of manifests; `read` stands in for decoding."""
    section = ManifestData.model_validate({"kind": "manifest", "validation": ["none"], "train": train} | data)
    over = section.epoch_over == "captions"
    sets = [
        CaptionedClips(
            s.path, clip_index(s.path, Needs(), tmp_path / "clips"), s.paraphrases, over_captions=over
        )
        for s in section.train
    ]
    return Mixture(sets, section, read or Reader(16_000), seed)


def silent(row: Any, start: float, end: float, sound: Any = None) -> Any:
    """A reader that decodes nothing but says what it was asked for."""
    return np.array([start, end], np.float32), None


def epochs_of(mixture: Mixture, batch_size: int = 4) -> list[list[int]]:
    draws = list(mixture.sampler(batch_size, 0))
    size = mixture.epoch_size
    return [[n for n in draws if n // size == epoch] for epoch in range(len(mixture) // size)]


def test_every_epoch_visits_each_clip_as_often_as_its_weight_says(tmp_path, sets, runs):
    other = runs.write_set(tmp_path / "b", 10, first=50)
    train = [{"path": str(sets[0]), "weight": 2}, {"path": str(other), "weight": 0.5}]
    mix = mixture(tmp_path, train, silent, epochs=2)
    assert mix.epoch_size == 2 * 24 + 5 and len(mix) == 2 * mix.epoch_size
    visits = [Counter(mix[n].id for n in epoch) for epoch in epochs_of(mix)]
    for seen in visits:
        assert [seen[f"clip{i}"] for i in range(24)] == [2] * 24
        assert sum(seen[f"clip{i}"] for i in range(50, 60)) == 5
    assert {i for i in range(50, 60) if visits[0][f"clip{i}"]}.isdisjoint(
        i for i in range(50, 60) if visits[1][f"clip{i}"]
    )


def test_draws_hang_on_the_seed_and_their_number_alone(tmp_path, sets):
    one, again = (mixture(tmp_path, [str(sets[0])], epochs=2, mixup=0.5, seconds=0.5) for _ in range(2))
    for n in (0, 5, 30):
        a, b = one[n], again[n]
        assert np.array_equal(a.waveform, b.waveform) and (a.caption, a.seed) == (b.caption, b.seed)
    other = mixture(tmp_path, [str(sets[0])], seed=1, epochs=2, mixup=0.5, seconds=0.5)
    assert any(one[n].caption != other[n].caption for n in range(24))
    assert list(one.sampler(4, 0)) == list(again.sampler(4, 0)) != list(one.sampler(4, 1))


def test_clips_of_like_length_share_a_batch_and_batches_come_in_any_order(tmp_path, sets):
    mix = mixture(tmp_path, [str(sets[0])], silent, seconds=9.0)
    draws = list(mix.sampler(4, 0))
    assert sorted(draws) == list(range(24))
    batches = [[mix.seconds(n) for n in draws[i : i + 4]] for i in range(0, 24, 4)]
    spans = sorted((min(b), max(b)) for b in batches)
    assert all(a[1] <= b[0] for a, b in pairwise(spans))
    assert spans != [(min(b), max(b)) for b in batches]


def test_crops_lie_inside_the_clip_and_move_from_epoch_to_epoch(tmp_path, runs):
    path = runs.write_set(tmp_path / "long", 1, seconds=(3.0, 3.0))
    rows = runs.read_rows(path)
    runs.write_rows(path, [rows[0] | {"start": 0.5, "end": 2.75}])
    mix = mixture(tmp_path, [str(path)], silent, epochs=40, seconds=1.0)
    bounds = [mix[n].waveform for n in range(40)]
    assert all(a >= 0.5 and b <= 2.7501 and b - a == pytest.approx(1.0, abs=1e-6) for a, b in bounds)
    assert min(a for a, _ in bounds) < 0.7 and max(b for _, b in bounds) > 2.5
    assert len(mixture(tmp_path, [str(path)], seconds=1.0)[0].waveform) == 16_000


def test_captions_at_random_or_every_one(tmp_path, sets, runs):
    said = runs.write_rows(tmp_path / "said.jsonl", [{"id": "clip0", "captions": ["a hound", "..."]}])
    train = [{"path": str(sets[0]), "paraphrases": str(said)}]
    mix = mixture(tmp_path, train, silent, epochs=30)
    texts = {mix[n].caption for n in range(len(mix)) if mix[n].id == "clip0"}
    assert texts == {"a hound", *runs.CAPTIONS[:2]}
    every = mixture(tmp_path, train, silent, epoch_over="captions")
    assert every.epoch_size == 48
    seen = Counter((every[n].id, every[n].caption) for n in every.sampler(4, 0))
    assert set(seen.values()) == {1} and ("clip3", runs.CAPTIONS[0]) in seen


def test_mixed_clips_sound_together_and_are_captioned_together(tmp_path, sets):
    mix = mixture(tmp_path, [str(sets[0])], mixup=1.0, seconds=0.4)
    alone = mixture(tmp_path, [str(sets[0])], mixup=0.0, seconds=0.4)
    for n in range(8):
        both, one = mix[n], alone[n]
        assert both.caption.startswith(normalise_caption(one.caption) + " and ")
        added = both.waveform - one.waveform
        ratio = 20 * np.log10(np.std(added[:6000]) / np.std(one.waveform[:6000]))
        assert -6 < ratio < 6 and np.abs(both.waveform).max() <= 1


def test_a_clip_that_breaks_on_the_way_is_replaced_and_told_of(tmp_path, sets, caplog):
    mix = mixture(tmp_path, [str(sets[0])])
    (sets[0].parent / "7.flac").write_bytes(b"fLaC gone")
    draw = next(n for n in range(24) if mix.place(n)[1] == 7)
    assert mix[draw].id != "clip7" and "7.flac" in caplog.text
    for file in sets[0].parent.glob("*.flac"):
        file.write_bytes(b"")
    with pytest.raises(ConfigError, match="8 clips in a row do not decode"):
        mix[draw]


def test_validation_hears_all_of_a_clip(tmp_path, runs):
    path = runs.write_set(tmp_path / "v", 3, seconds=(2.3, 2.3))
    index = clip_index(str(path), Needs(), tmp_path / "clips")
    clips = ValidationClips([str(path)], [index], Reader(16_000), 1.0)
    assert [len(clips[i].waveform) for i in range(3)] == [16_000, 16_000, 4_800] and len(clips) == 9
    assert window_starts(1.05, 1.0) == [0.0] and window_starts(0.02, 1.0) == [0.0]


def model_with(tiny_checkpoint: Path, tokenizer_from: Path, **changes: Any) -> tuple[Any, Any]:
    from earwitness.build import build_model
    from earwitness.config.model import ModelConfig

    data = json.loads((tiny_checkpoint / "config.json").read_text()) | changes
    config = ModelConfig.model_validate(data)
    tokenizer = load_checkpoint(tokenizer_from).language_model.tokenizer
    torch.manual_seed(0)
    return build_model(config, tokenizer), data


def batches(stage: Any, model: Any, cache: Path) -> tuple[Any, Any]:
    """The first training batch and a validation batch."""
    data = stage_data(stage, model, ClipSource.look_at(model.config, stage, cache), cache)
    return data.collate([data.train[n] for n in range(4)]), data.collate_eval([data.validation[0]])


@pytest.mark.slow
def test_pictures_and_cached_features_reach_the_model(clip_recipe, tiny_checkpoint, tmp_path, sets, runs):
    rows = runs.read_rows(sets[0])
    features = np.random.default_rng(0).standard_normal((6, 32)).astype(np.float32)
    np.save(sets[0].parent / "frames.npy", features)
    for row in rows[:3]:
        row["video"] = "frames.npy"
    runs.write_rows(sets[0], rows[:4])
    vision = {"vision": {"kind": "cached", "dim": 32}, "fusion": {"kind": "ot_attention"}, "decoding": {}}
    model, _ = model_with(tiny_checkpoint, tiny_checkpoint, **vision)
    data = clip_recipe({"seconds": 0.4}, losses={"ot_alignment": 0.1})
    stage = Preset.model_validate(data | {"model": model.config.model_dump()}).stages[0]
    batch, validation = batches(stage, model, tmp_path / "clips")
    assert batch["video"]["frames"].shape == (4, 1, 32) and "video" not in validation
    assert sorted(batch["video"]["counts"].tolist()) == [0, 1, 1, 1]
    losses = CaptioningTask(model, stage.losses)(**batch)
    assert losses["loss"].isfinite() and losses["ot_alignment"] > 0

    video = Path(__file__).parents[3] / "examples" / "street.mp4"
    clip = {"kind": "clip", "projected": False, "config": {"hidden_size": 24, "intermediate_size": 32}}
    clip["config"] |= {"num_hidden_layers": 1, "num_attention_heads": 2, "image_size": 32, "patch_size": 16}
    runs.write_rows(
        sets[0], [rows[3] | {"id": f"v{i}", "audio": str(video), "video": str(video)} for i in range(4)]
    )
    model, _ = model_with(tiny_checkpoint, tiny_checkpoint, **vision | {"vision": clip})
    stage = Preset.model_validate(
        clip_recipe({"seconds": 2.0}) | {"model": model.config.model_dump()}
    ).stages[0]
    batch, _ = batches(stage, model, tmp_path / "clips")
    assert batch["video"]["frames"].shape == (4, 4, 3, 32, 32)
    assert CaptioningTask(model, stage.losses)(**batch)["loss"].isfinite()


@pytest.mark.slow
def test_retrieved_captions_reach_the_teacher(clip_recipe, tiny_checkpoint, tmp_path, sets, runs):
    for path in sets:
        rows = runs.read_rows(path)
        runs.write_rows(
            path, [row | {"retrieved": ["A dog, barking!"] if i else []} for i, row in enumerate(rows)]
        )
    model, config = model_with(tiny_checkpoint, tiny_checkpoint, retrieval={"count": 1}, decoding={})
    data = clip_recipe(losses={"retrieval_caption": 1.0, "distillation": 1.0}) | {"model": config}
    stage = Preset.model_validate(data).stages[0]
    batch, validation = batches(stage, model, tmp_path / "clips")
    assert set(map(tuple, batch["captions"])) <= {("a dog barking",), ()} and validation["captions"] == [[]]
    losses = CaptioningTask(model, stage.losses)(**batch)
    assert losses["distillation"] > 0 and losses["retrieval_caption"] > 0


FAULTS = {
    "no file": ({"audio": "gone.flac"}, r"row 2: clip1: there is no file .*gone.flac"),
    "no sound": ({"audio": "noise.flac"}, r"row 2: .*noise.flac"),
    "no caption": ({"captions": ["?!", ""]}, r"row 2: clip1 has no caption"),
    "start beyond the end": ({"start": 99.0}, r"row 2: clip1: starts at 99 s, .*1.flac lasts"),
    "both splits": ({"id": "clip100"}, r"row 2: clip100 is in .*v/manifest.jsonl too: a split must not"),
}


@pytest.mark.parametrize("change, said", FAULTS.values(), ids=FAULTS)
def test_rows_that_cannot_be_used_are_named_before_a_model_is_built(
    change, said, clip_recipe, sets, runs, tmp_path, monkeypatch
):
    def never(*_: Any) -> None:
        raise AssertionError("a model was built")

    monkeypatch.setattr(run_module, "build_model", never)
    rows = runs.read_rows(sets[0])
    (sets[0].parent / "noise.flac").write_bytes(b"not a sound")
    runs.write_rows(sets[0], [rows[0], rows[1] | change, *rows[2:]])
    with pytest.raises(ConfigError, match=f"(?s){said}.*Remove or correct these rows"):
        run_module.train(Preset.model_validate(clip_recipe()), tmp_path / "out")


MISTAKES: dict[str, tuple[dict[str, dict[str, Any]], str]] = {  # what is changed: recipe, stage or data
    "own key": (
        {"stage": {"trainer": {"learning_rate": 1}}},
        "learning_rate: set stages.0.learning_rate instead",
    ),
    "unknown key": ({"stage": {"trainer": {"fsdpp": 1}}}, "stages.0.trainer.fsdpp: .* know no such key"),
    "retrieval": (
        {"stage": {"losses": {"distillation": 1.0}}},
        "clip100 has no column `retrieved`: write it with `earwitness retrieve`",
    ),
    "exclude": ({"data": {"exclude": "gone.txt"}}, "exclude: there is no file gone.txt"),
    "init": ({"recipe": {"init": "nowhere/at/all"}}, "nowhere/at/all: no such checkpoint folder"),
    "reporter": ({"recipe": {"report_to": ["wandbb"]}}, "report_to: wandbb is not installed, or no reporter"),
    "near key": ({"stage": {"trainer": {"logging_step": 1}}}, "no such key; did you mean 'logging_steps'"),
    "value": (
        {"stage": {"trainer": {"lr_scheduler_type": "cosin"}}},
        r"stages\.0\.trainer: '?cosin'? is not a valid SchedulerType",
    ),
    "average": (
        {"stage": {"average": 0.9, "trainer": {"fsdp": True}}},
        r"stages\.0\.average: must be 0 with fsdp",
    ),
    "zero 3": (
        {"stage": {"trainer": {"deepspeed": {"zero_optimization": {"stage": 3}}}}},
        r"stages\.0\.trainer\.deepspeed: zero_optimization.stage 3 .* set stage 2 .* or .* trainer\.fsdp",
    ),
    "deepspeed file": (
        {"stage": {"trainer": {"deepspeed": "gone.json"}}},
        r"stages\.0\.trainer\.deepspeed: gone.json cannot be read as JSON",
    ),
}


@pytest.mark.parametrize("change, said", MISTAKES.values(), ids=MISTAKES)
def test_mistakes_of_a_recipe_are_named_before_a_model_is_built(
    change, said, clip_recipe, tmp_path, monkeypatch
):
    monkeypatch.setattr(run_module, "build_model", None)
    data = clip_recipe(change.get("data"), **change.get("stage", {})) | change.get("recipe", {})
    data["model"] |= {"retrieval": {}}
    with pytest.raises(ValueError, match=said):
        run_module.train(Preset.model_validate(data), tmp_path / "out")


def test_zero_3_is_refused_from_a_file_too_and_the_example_is_not(tmp_path, clip_recipe):
    example = Path(__file__).parents[3] / "examples" / "cluster" / "deepspeed_zero2.json"
    config = json.loads(example.read_text("utf-8"))
    config["zero_optimization"]["stage"] = 3
    (tmp_path / "zero3.json").write_text(json.dumps(config), "utf-8")
    with pytest.raises(ConfigError, match="zero_optimization.stage 3"):
        preflight._check_deepspeed("here", str(tmp_path / "zero3.json"))
    preflight._check_deepspeed("here", str(example))


def test_deepspeed_that_no_recipe_names_is_refused(clip_recipe, tmp_path, monkeypatch):
    """As `accelerate launch --use_deepspeed` would have it: nothing could look at its configuration."""
    monkeypatch.setenv("ACCELERATE_USE_DEEPSPEED", "true")
    with pytest.raises(ConfigError, match=r"start with torchrun.*stages\.\*\.trainer\.deepspeed"):
        run_module.train(Preset.model_validate(clip_recipe()), tmp_path / "out")
    monkeypatch.setattr(preflight, "training_arguments", lambda *_: None)  # which want it installed
    named = clip_recipe(trainer={"deepspeed": {"zero_optimization": {"stage": 2}}})
    preflight._check_trainer_keys(Preset.model_validate(named))


WATCHED = {"vision": {"kind": "cached", "dim": 32}, "fusion": {"kind": "ot_attention"}, "decoding": {}}
UNSEEN: dict[str, tuple[Any, str]] = {  # the video of row 1 -> what is said
    "none": (None, "losses.ot_alignment needs pictures, but no row has a `video` in .*manifest.jsonl"),
    "gone": ("gone.mp4", "row 1: clip0: there is no file .*gone.mp4"),
    "sound alone": ("0.flac", "row 1: clip0: .*0.flac has no video"),
    "no array": ("noise.npy", "row 1: clip0: .*noise.npy is no array of NumPy"),
    "no features": ("flat.npy", r"row 1: clip0: .*flat.npy must hold .* \[N, D\], not \[3\]"),
}


@pytest.mark.parametrize("video, said", UNSEEN.values(), ids=UNSEEN)
def test_pictures_that_cannot_be_seen_are_named(video, said, clip_recipe, sets, runs, tmp_path):
    rows = runs.read_rows(sets[0])
    (sets[0].parent / "noise.npy").write_bytes(b"not an array")
    np.save(sets[0].parent / "flat.npy", np.zeros(3, np.float32))
    runs.write_rows(sets[0], [rows[0] | {"video": video}, *rows[1:]])
    data = clip_recipe(losses={"ot_alignment": 0.1})
    data["model"] |= WATCHED
    preset = Preset.model_validate(data)
    with pytest.raises(ConfigError, match=f"(?s){said}"):
        ClipSource.look_at(preset.model, preset.stages[0], tmp_path / "clips")


def test_what_was_looked_at_is_not_looked_at_again(tmp_path, sets, monkeypatch):
    first = clip_index(str(sets[0]), Needs(excluded=frozenset({"clip3"})), tmp_path / "clips")
    assert 3 not in first.kept and len(first.kept) == 23
    monkeypatch.setattr("earwitness.training.inputs.clip_index._look", None)
    again = clip_index(str(sets[0]), Needs(excluded=frozenset({"clip3"})), tmp_path / "clips")
    assert np.array_equal(first.seconds, again.seconds, equal_nan=True)
