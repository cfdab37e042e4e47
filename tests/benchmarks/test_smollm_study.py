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

from benchmarks import mini_quality, smollm_study
from earwitness.build import build_model
from earwitness.captioner import DEFAULT
from earwitness.checkpoints.folder import WEIGHTS
from earwitness.config.preset import load_preset

sys.path.append(str(Path(__file__).parents[1]))
from tiny_parts import write_gguf

pytest.importorskip("gguf")
pytestmark = pytest.mark.skipif(
    not (DEFAULT / WEIGHTS).is_file(), reason="assets/mini holds no model.safetensors yet"
)


@pytest.fixture
def source(tmp_path, monkeypatch) -> str:
    """The override that names a tiny language model; beside it are two manifests of nine sounds."""
    monkeypatch.setenv("EARWITNESS_CACHE", str(tmp_path / "cache"))
    write_gguf(tmp_path)
    rows, rng = [], np.random.default_rng(0)
    for i in range(9):
        soundfile.write(tmp_path / f"{i}.wav", 0.1 * rng.standard_normal(16_000), 16_000)
        caption = "a dog barks" if i % 2 else "rain falls"
        rows.append({"id": str(i), "audio": f"{i}.wav", "captions": [caption]})
    for name in ("train", "validation"):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return f"model.language_model.source={tmp_path / 'tiny.gguf'}"


def test_variants_take_turns_on_shared_towers_and_remembered_sounds(source, tmp_path) -> None:
    presets = {str(w): load_preset("lamb-smol", [*SHORTER, source, *weighted(w)]) for w in (0.1, 10)}
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


def test_the_rows_of_table_4_are_judged_and_printed(source, tmp_path, monkeypatch, capsys) -> None:
    def embed(texts: list[str]) -> np.ndarray:
        return np.stack([np.random.default_rng(len(text)).normal(size=8) for text in texts])

    written: dict = {}
    monkeypatch.setattr(mini_quality, "GALLERY", 3)
    monkeypatch.setattr(smollm_study, "SentenceEncoder", lambda name: embed)
    monkeypatch.setattr(smollm_study, "append", lambda name, figures: written.update({name: figures}))
    words = ["table4", "--data", tmp_path, "--steps", "1", "--seeds", "2", "--sentence-encoder", "any"]
    words += ["--override", source, "--override", "model.decoding.max_new_tokens=4"]
    monkeypatch.setattr("sys.argv", ["smollm_study", *map(str, words)])
    smollm_study.main()
    printed = capsys.readouterr().out
    assert "parts left out" in printed and "2 seeds (published, audiocaps)" in printed
    for row in ("without TSA", "without L_CS", "without CMA", "without TG"):
        line = next(line for line in printed.splitlines() if line.startswith(row))
        assert line.count("±") >= 3 and line.count("(") == 4
    figures = written["smollm_table4"]["figures"]
    assert len(figures) == 10 and written["smollm_table4"]["steps"] == 1
    for own in figures.values():
        assert own["loss"] > 0 and own["gap_l2"] > 0 and 0 <= own["r_at_10"] <= 1
