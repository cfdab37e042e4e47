"""The gap is what its formula says; the pictures show what was measured."""

from __future__ import annotations

import json
import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from typer.testing import CliRunner

from earwitness.analysis.modality_gap import Embedded, embed_pairs, gap_figures, plan_picture, umap_picture
from earwitness.build import build_model
from earwitness.cli import app
from earwitness.config.model import ModelConfig
from earwitness.data.manifest import Manifest
from earwitness.losses.modality_gap import centre_gap, modality_gap


@pytest.fixture
def manifest(tmp_path):
    rng = np.random.default_rng(0)
    rows = []
    for i, text in enumerate(["A dog barks.", "rain falls on a roof", "music plays", "a bird sings"]):
        soundfile.write(tmp_path / f"{i}.flac", 0.1 * rng.standard_normal(16_000 + 4_000 * i), 16_000)
        rows.append({"id": f"clip{i}", "audio": f"{i}.flac", "captions": [text, "else"]})
    rows.append({"id": "mute", "audio": "0.flac", "captions": []})
    (tmp_path / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path / "manifest.jsonl"


@pytest.fixture
def flat_map(monkeypatch):
    """UMAP takes many seconds to import; its first two coordinates do for the wiring."""
    seen: dict[str, Any] = {}

    class Umap:
        def __init__(self, **settings: Any):
            seen["settings"] = settings

        def fit_transform(self, points: Any) -> Any:
            seen["points"] = points
            return points[:, :2]

    monkeypatch.setitem(sys.modules, "umap", SimpleNamespace(UMAP=Umap))
    return seen


def pixels(path) -> np.ndarray:
    from matplotlib.image import imread

    return imread(path)[..., :3]


def test_the_gap_by_hand():
    audio, text = torch.tensor([[3.0, 4.0], [1.0, 0.0]]), torch.tensor([[0.0, 0.0], [0.0, 2.0]])
    assert modality_gap(audio, text)["l2"] == pytest.approx((5 + 5**0.5) / 2)
    assert modality_gap(audio[1:], text[1:])["cosine"] == 0
    assert centre_gap(audio, text)["l2"] == pytest.approx((2**2 + 1) ** 0.5)
    assert modality_gap(audio, audio) == {"l2": 0, "cosine": 1}


def test_embeddings_are_those_of_the_model_clip_by_clip(tiny_model, manifest):
    rows = Manifest.open(manifest)[:4]
    embedded = embed_pairs(tiny_model, rows, batch_size=3)
    for i, row in enumerate(rows):
        waveform = torch.from_numpy(soundfile.read(row.audio, dtype="float32")[0])[None]
        sound = {"waveforms": waveform, "lengths": torch.tensor([waveform.shape[1]])}
        ids, mask = tiny_model.language_model.encode_captions([row.captions[0].lower().strip(".")])
        with torch.no_grad():
            trace = tiny_model(sound, ids, mask)
        torch.testing.assert_close(embedded.audio[i], trace.z_a.mean()[0], atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(embedded.text[i], trace.z_t.mean()[0])
    figures = gap_figures(embedded)
    assert figures["clips"] == 4 and figures["pairs"]["l2"] > figures["centres"]["l2"] > 0


def test_the_command_writes_figures_and_picture(tiny_checkpoint, manifest, tmp_path, flat_map):
    files = {"--model": tiny_checkpoint, "--data": manifest, "--out": tmp_path / "gap"}
    options = ["gap", *(str(part) for pair in files.items() for part in pair)]
    done = CliRunner().invoke(app, options)
    assert done.exit_code == 0, done.output
    assert json.loads((tmp_path / "gap" / "gap.json").read_text())["clips"] == 4
    assert len(flat_map["points"]) == 8 and flat_map["settings"]["n_neighbors"] == 7
    assert len(np.unique(pixels(tmp_path / "gap" / "umap.png").reshape(-1, 3), axis=0)) > 20
    done = CliRunner().invoke(app, [*options, "--count", "2"])
    assert json.loads((tmp_path / "gap" / "gap.json").read_text())["clips"] == 2


def test_without_umap_the_figures_are_there_and_the_message_says_what_to_install(
    tiny_checkpoint, manifest, tmp_path, monkeypatch
):
    monkeypatch.setitem(sys.modules, "umap", None)
    files = {"--model": tiny_checkpoint, "--data": manifest, "--out": tmp_path / "gap"}
    options = ["gap", *(str(part) for pair in files.items() for part in pair)]
    done = CliRunner().invoke(app, options)
    assert done.exit_code == 2 and "pip install 'earwitness[plots]'" in done.output
    assert (tmp_path / "gap" / "gap.json").is_file()


def test_plans_of_a_model_that_watches(tiny_model, tmp_path, manifest):
    from pathlib import Path

    street = Path(__file__).parents[2] / "examples" / "street.mp4"
    row = {"id": "street", "audio": str(street), "video": str(street), "captions": ["a car"], "end": 3.0}
    text = json.dumps(row) + "\n" + manifest.read_text().splitlines()[0] + "\n"
    (tmp_path / "seen.jsonl").write_text(text)
    clip = {"hidden_size": 24, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    data = tiny_model.config.model_dump() | {"fusion": {"kind": "ot_attention"}}
    data["vision"] = {
        "kind": "clip",
        "projected": False,
        "config": clip | {"image_size": 32, "patch_size": 16},
    }
    model = build_model(ModelConfig.model_validate(data), tiny_model.language_model.tokenizer).eval()
    embedded = embed_pairs(model, Manifest.open(tmp_path / "seen.jsonl")[:], plans=5)
    plan = embedded.plans["street"]
    assert plan.shape == (19, 6)  # 300 frames of sound in tokens of 16, two pictures a second
    np.testing.assert_allclose(plan.sum(1), 1 / 19, atol=2e-3)
    plan_picture(np.eye(6, dtype=np.float32), tmp_path / "eye.png", "eye")
    assert len(np.unique(pixels(tmp_path / "eye.png").reshape(-1, 3), axis=0)) > 20


@pytest.mark.exhaustive
def test_umap_keeps_two_distant_samples_apart(tmp_path):
    rng = torch.Generator().manual_seed(0)
    audio, text = (torch.randn(40, 8, generator=rng) + shift for shift in (0.0, 30.0))
    umap_picture(Embedded(audio, text), tmp_path / "umap.png")
    shown = pixels(tmp_path / "umap.png")
    blue = np.argwhere((shown[..., 2] > 0.55) & (shown[..., 0] < 0.35))
    red = np.argwhere((shown[..., 0] > 0.7) & (shown[..., 1] < 0.35))
    centre = np.abs(np.median(blue, 0) - np.median(red, 0)).max()
    assert centre > 100  # pixels
