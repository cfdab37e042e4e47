"""The study on a frozen language model: sharing changes no loss, and all variants train equally long."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from benchmarks.smollm_study import SHORTER, Scenes, Variant, trained, weighted

from earwitness.build import build_model
from earwitness.captioner import DEFAULT
from earwitness.checkpoints.folder import WEIGHTS
from earwitness.config.preset import load_preset

sys.path.append(str(Path(__file__).parents[1]))
from tiny_parts import write_gguf

pytest.importorskip("gguf")


@pytest.mark.skipif(not (DEFAULT / WEIGHTS).is_file(), reason="assets/mini holds no model.safetensors yet")
def test_variants_take_turns_on_shared_towers_and_remembered_sounds(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("EARWITNESS_CACHE", str(tmp_path / "cache"))
    write_gguf(tmp_path)
    source = [f"model.language_model.source={tmp_path / 'tiny.gguf'}"]
    rows, rng = [], np.random.default_rng(0)
    for i in range(9):
        soundfile.write(tmp_path / f"{i}.wav", 0.1 * rng.standard_normal(16_000), 16_000)
        rows.append(
            {"id": str(i), "audio": f"{i}.wav", "captions": ["a dog barks" if i % 2 else "rain falls"]}
        )
    (tmp_path / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    presets = {str(w): load_preset("lamb-smol", [*SHORTER, *source, *weighted(w)]) for w in (0.1, 10)}
    towers = build_model(presets["10"].model).eval()
    scenes = Scenes.of(tmp_path / "train.jsonl", towers)
    before = {name: tensor.clone() for name, tensor in towers.language_model.state_dict().items()}
    light, heavy = (Variant.of(name, preset, towers) for name, preset in presets.items())
    same = [
        torch.equal(a, b) for a, b in zip(light.model.adapter.parameters(), heavy.model.adapter.parameters())
    ]
    assert all(same)  # they begin alike

    batch = scenes.batch(light.model, [0, 1, 2])
    heard = [soundfile.read(tmp_path / f"{i}.wav", dtype="float32")[0] for i in range(3)]
    waveforms = {"waveforms": torch.from_numpy(np.stack(heard)), "lengths": torch.full((3,), 16_000)}
    light.task.eval()
    remembered = light.task(**batch)
    light.model.encoder = towers.encoder
    for name, value in light.task(**(batch | {"sound": waveforms})).items():
        torch.testing.assert_close(value, remembered[name], rtol=1e-4, atol=1e-4)
    light = Variant.of("0.1", presets["0.1"], towers)

    assert trained([light, heavy], scenes, [0, 0], minutes=5, most=3) == 3
    assert len(light.losses) == len(heavy.losses) == 3
    assert light.losses[0] == pytest.approx(heavy.losses[0])  # one batch, before any step
    assert light.losses[2] != pytest.approx(heavy.losses[2], abs=1e-7)
    after = towers.language_model.state_dict()
    assert all(torch.equal(tensor, after[name]) for name, tensor in before.items())
