"""ClapEmbedder on a tiny CLAP of random weights, against the model called by hand."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from earwitness.retrieval.embedders import ClapEmbedder, unit

sys.path.append(str(Path(__file__).parents[1]))  # test modules are imported on their own
from tiny_parts import TEXTS, write_clap


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_clap(tmp_path_factory.mktemp("clap"))


@pytest.fixture(scope="module")
def clap(folder):
    return ClapEmbedder(folder, batch_size=2)


def tone(seconds: float, pitch: float, rate: int = 16000) -> np.ndarray:
    noise = np.random.default_rng(0).standard_normal(int(seconds * rate))
    return (np.sin(2 * np.pi * pitch * np.arange(int(seconds * rate)) / rate) + 0.1 * noise).astype(
        np.float32
    )


def by_hand(clap: ClapEmbedder, waveform: np.ndarray) -> np.ndarray:
    model, _, extractor = clap._load()
    inputs = extractor(waveform, sampling_rate=16000, return_tensors="pt")
    with torch.no_grad():
        output = model.get_audio_features(input_features=inputs["input_features"])
    return unit(getattr(output, "pooler_output", output).numpy())[0]


def test_text_equals_the_model_text_by_text(clap):
    model, tokenizer, _ = clap._load()
    vectors = clap.embed_text(TEXTS)
    assert vectors.shape == (3, 12) and vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    for text, vector in zip(TEXTS, vectors):  # alone, so without padding
        with torch.no_grad():
            output = model.get_text_features(**tokenizer(text, return_tensors="pt"))
        np.testing.assert_allclose(
            vector, unit(getattr(output, "pooler_output", output).numpy())[0], atol=1e-5
        )
    assert np.abs(vectors[0] - vectors[1]).max() > 1e-3
    assert clap.embed_text([]).shape == (0, 12)
    assert np.isfinite(clap.embed_text(["dog " * 500])).all()  # longer than the model's positions


def test_short_audio_equals_the_model_and_batch_mates_do_not_matter(clap):
    waveforms = [tone(1.0, 440), tone(0.4, 2000), tone(0.9, 100)]
    vectors = clap.embed_audio(waveforms, 16000)
    for waveform, vector in zip(waveforms, vectors):
        np.testing.assert_allclose(vector, by_hand(clap, waveform), atol=1e-5)
        np.testing.assert_allclose(vector, clap.embed_audio([waveform], 16000)[0], atol=1e-5)


def test_long_audio_is_the_mean_of_its_windows_and_the_same_every_time(clap):
    waveform = np.concatenate([tone(1.0, 440), tone(1.0, 3000), tone(0.5, 100)])
    (vector,) = clap.embed_audio([waveform], 16000)
    parts = [
        by_hand(clap, waveform[:16000]),
        by_hand(clap, waveform[16000:32000]),
        by_hand(clap, waveform[32000:]),
    ]
    np.testing.assert_allclose(vector, unit([parts[0] + parts[1] + 0.5 * parts[2]])[0], atol=1e-5)
    np.testing.assert_array_equal(vector, clap.embed_audio([waveform], 16000)[0])


def test_audio_is_resampled(clap):
    vectors = [clap.embed_audio([tone(0.9, 440, rate)], rate)[0] for rate in (16000, 48000)]
    wrong = clap.embed_audio([tone(0.9, 440, 48000)], 16000)[0]
    assert vectors[0] @ vectors[1] > 0.99
    assert np.abs(vectors[0] - wrong).max() > np.abs(vectors[0] - vectors[1]).max()


@pytest.mark.parametrize(
    ("waveform", "message"),
    [
        (np.zeros(0), r"waveform 1 must be mono samples \[S\], S > 0, not \(0,\)"),
        (np.zeros((2, 100)), r"waveform 1 must be mono"),
        (np.array([0.0, np.nan]), "waveform 1 holds nan"),
    ],
)
def test_bad_audio_is_named(clap, waveform, message):
    with pytest.raises(ValueError, match=message):
        clap.embed_audio([tone(0.5, 440), waveform], 16000)


def test_loads_on_first_use_and_says_how_to_mend_a_wrong_name(tmp_path):
    embedder = ClapEmbedder(tmp_path / "nothing")
    with pytest.raises(OSError, match=r"cannot load CLAP from .*nothing.*give the path of a folder"):
        embedder.embed_text(["a"])


def test_unit_names_the_row_without_direction():
    with pytest.raises(ValueError, match=r"1 vectors have no direction .* row 2"):
        unit(np.array([[1.0, 2], [0, 1], [0, 0]]))
    np.testing.assert_allclose(unit(np.array([[3.0, 4]])), [[0.6, 0.8]])
