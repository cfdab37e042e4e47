"""Where training starts from: models by name, some of their parts, tags, the weights it began with."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file

from earwitness.build import build_model
from earwitness.built_in import BUILT_IN
from earwitness.checkpoints.folder import load_checkpoint, save_checkpoint
from earwitness.config.errors import ConfigError
from earwitness.config.preset import Preset, load_preset
from earwitness.data.manifest import Manifest
from earwitness.data.split import split_manifest
from earwitness.training.beginning import load_starts, with_tags
from earwitness.training.preflight import bank_sources, look
from earwitness.training.run import train


def test_a_recipe_without_a_model_takes_that_of_the_built_in_one():
    preset = load_preset("finetune", ["model.max_seconds=5"])
    config = json.loads((BUILT_IN["mini"] / "config.json").read_text("utf-8"))
    assert preset.model.encoder.tags == config["encoder"]["tags"] and preset.model.max_seconds == 5.0
    assert [start.source for start in preset.starts] == ["mini"]
    with pytest.raises(ConfigError, match=r"init: there is no folder minni, and no built-in model .*mini"):
        load_preset("finetune", ["init=minni"])
    with pytest.raises(ConfigError, match="only an init without `parts` brings a whole model along"):
        load_preset("finetune", ["init={source: mini, parts: [encoder]}"])
    with pytest.raises(ConfigError, match=r"init:\n  parts.0: Input should be 'encoder'"):
        load_preset("finetune", ["init={source: mini, parts: [enkoder]}"])


@pytest.mark.slow
def test_a_run_and_a_stage_bring_their_model_along(clip_recipe, tmp_path):
    data = clip_recipe(evaluate_every=100)
    train(Preset.model_validate(data), tmp_path / "run")
    later = tmp_path / "later.yaml"
    later.write_text(json.dumps({k: v for k, v in data.items() if k not in ("model", "init")}))
    whole = load_preset(str(later), [f"init={tmp_path / 'run'}"]).model
    assert whole == load_preset(str(later), [f"init={tmp_path / 'run' / '0-train'}"]).model
    assert whole == load_checkpoint(tmp_path / "run" / "model").config


@pytest.mark.slow
def test_an_encoder_joins_another_language_model(clip_recipe, tiny_checkpoint, tmp_path):
    """As parts of `init`: its section and its weights; the rest is as it was built."""
    data = clip_recipe()
    language_model = load_checkpoint(tiny_checkpoint).language_model
    language_model.model.save_pretrained(tmp_path / "llama")
    language_model.tokenizer.save_pretrained(tmp_path / "llama")
    data["init"] = None
    data["model"] |= {"language_model": {"source": str(tmp_path / "llama")}, "decoding": {}}
    data["model"]["encoder"] = {"source": str(tiny_checkpoint), "tune": "freeze"}
    file = tmp_path / "recipe.yaml"
    file.write_text(json.dumps(data))
    preset = load_preset(str(file))
    own = json.loads((tiny_checkpoint / "config.json").read_text())["encoder"]
    assert preset.model.encoder.model_dump() == own | {"tune": "freeze"}
    model = build_model(with_tags(preset, {}))
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    load_starts(model, preset.starts)
    given = load_file(tiny_checkpoint / "model.safetensors")
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, given[name] if name.startswith("encoder.") else before[name]), name
    saved = train(preset, tmp_path / "run")
    again = load_checkpoint(tmp_path / "run" / "model")  # whole without what it started from
    assert again.config.encoder.source is None
    assert torch.equal(again.encoder.tag_head.weight, saved.encoder.tag_head.weight.half().float())


def test_a_part_that_is_not_there_is_named(clip_recipe, tiny_checkpoint, tmp_path):
    folder = tmp_path / "checkpoint"
    shutil.copytree(tiny_checkpoint, folder)
    data = clip_recipe() | {"init": {"source": str(folder), "parts": ["encoder", "guide"]}}
    model = load_checkpoint(tiny_checkpoint)
    load_starts(model, Preset.model_validate(data).starts)
    guideless = load_checkpoint(tiny_checkpoint)
    guideless.guide = None
    save_checkpoint(guideless, folder)
    with pytest.raises(ConfigError, match="has no trained weights of the part guide"):
        load_starts(model, Preset.model_validate(data).starts)


def test_a_bank_with_other_labels_is_refused_before_it_is_decoded(
    bank_folder, tiny_checkpoint, tmp_path, monkeypatch
):
    config = json.loads((tiny_checkpoint / "config.json").read_text())
    labels = {line.split(",")[1] for line in (bank_folder / "manifest.csv").read_text().splitlines()[1:]}
    captions = tmp_path / "captions.txt"
    captions.write_text("a dog barks\n")
    section = {"kind": "scenes", "bank": str(bank_folder), "captions": [str(captions)], "count": 8}
    stage = {"name": "tags", "task": "tagging", "data": section, "batch_size": 4}
    data = {
        "description": "",
        "init": str(tiny_checkpoint),
        "model": config,
        "stages": [stage],
        "report_to": [],
    }
    strange = sorted(labels - set(config["encoder"]["tags"]))
    assert strange
    with monkeypatch.context() as patch:
        patch.setattr("earwitness.scenes.bank.Bank.open", lambda *_, **__: pytest.fail("decoded"))
        with pytest.raises(
            ConfigError, match=f"stages.0.data.bank: the encoder has no tags for {len(strange)} labels"
        ):
            look(Preset.model_validate(data), tmp_path)
    data["init"], data["model"]["encoder"]["tags"] = None, ["of no use", *sorted(labels, reverse=True)]
    sources = bank_sources(Preset.model_validate(data), tmp_path / "run")
    known = sources["tags"].tag_set
    assert all(known.names[known.of_label[label][-1]] == label or label in known.names for label in labels)
    assert {known.names[i] for label in labels for i in known.of_label[label]} >= labels


def test_tags_other_than_those_of_the_weights_are_refused(clip_recipe):
    data = clip_recipe()
    data["model"]["encoder"]["tags"] = list(reversed(data["model"]["encoder"]["tags"]))
    with pytest.raises(ConfigError, match="model.encoder.tags: not those of the encoder that init names"):
        with_tags(Preset.model_validate(data), {})


@pytest.mark.slow
def test_training_that_makes_nothing_better_keeps_the_weights_it_began_with(
    clip_recipe, tiny_checkpoint, runs, tmp_path
):
    """And ends when as many evaluations as patience allows found none better."""
    stage = {"learning_rate": 3.0, "evaluate_every": 1, "patience": 2, "freeze": ["encoder"]}
    model = train(Preset.model_validate(clip_recipe(data={"epochs": 5}, **stage)), tmp_path / "run")
    rows = runs.read_rows(tmp_path / "run" / "0-train" / "metrics.jsonl")
    assert [row["step"] for row in rows if "eval_loss" in row] == [0, 1, 2]
    before = load_checkpoint(tiny_checkpoint)
    assert all(torch.equal(p, before.get_parameter(n)) for n, p in model.named_parameters())
    kept = sorted(path.name for path in (tmp_path / "run" / "0-train").iterdir())
    assert kept == ["best.json", "done.json", "metrics.jsonl", "report.html", "stage.safetensors"]


@pytest.mark.slow
def test_epochs_are_counted_over_the_data(clip_recipe, runs, tmp_path):
    train(Preset.model_validate(clip_recipe(data={"epochs": 2})), tmp_path / "run")
    rows = runs.read_rows(tmp_path / "run" / "0-train" / "metrics.jsonl")
    assert [row["epoch"] for row in rows if "loss" in row] == pytest.approx([i / 6 for i in range(1, 13)])


def test_a_manifest_is_split_by_recording(tmp_path, runs):
    source = runs.write_set(tmp_path / "a", 12)
    rows = runs.read_rows(source)
    stretch = rows[0] | {"id": "stretch", "start": 0.1}
    runs.write_rows(source, [*rows, stretch, rows[1] | {"id": "bare", "captions": [" "]}])
    train_set, held = (list(Manifest.open(p)) for p in split_manifest(source, tmp_path / "out"))
    assert len(train_set) + len(held) == 13 and 2 <= len(held) <= 3
    assert not {row.audio for row in train_set} & {row.audio for row in held}
    assert all(row.captions and row.id != "bare" for row in [*train_set, *held])
    runs.write_rows(source, list(reversed([*rows, stretch])))
    again = list(Manifest.open(split_manifest(source, tmp_path / "again")[1]))
    assert {row.id for row in again} == {row.id for row in held}
    runs.write_rows(source, rows[:1])
    with pytest.raises(ValueError, match="1 recordings have captions; training needs three"):
        split_manifest(source, tmp_path / "out")
