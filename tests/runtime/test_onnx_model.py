"""An exported model says what the model says that it was made of."""

from __future__ import annotations

import gc
import json
import shutil
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from earwitness.captioner import Captioner
from earwitness.checkpoints.folder import load_checkpoint, save_checkpoint
from earwitness.checkpoints.onnx_export import export_onnx, parts_of, unexportable, write_graph
from earwitness.config.model import ModelConfig
from earwitness.loading import DEFAULT
from earwitness.media.files import find_media
from earwitness.runtime import OnnxModel, TorchModel
from earwitness.runtime.settings import FILES, ExportError

EXAMPLES = Path(__file__).parents[2] / "examples"
FAST = {"max_new_tokens": 10}


def noise(seconds: float, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    colour = np.convolve(
        rng.normal(size=round(seconds * 16_000)), rng.normal(size=1 + 8 * (seed % 4)), "same"
    )
    beat = 1 + np.sin(2 * np.pi * (0.5 + seed) * np.arange(len(colour)) / 16_000)
    return (0.1 * colour * beat / np.abs(colour).max()).astype(np.float32)


@pytest.fixture(scope="module")
def sounds() -> list[np.ndarray]:
    return [noise(seconds, seed) for seed, seconds in enumerate([2.0, 0.5, 3.3, 0.02, 10.0, 1.0, 2.0, 1.0])]


@pytest.fixture(scope="module")
def onnx_model(exported) -> OnnxModel:
    return OnnxModel(exported)


@pytest.fixture(scope="module")
def torch_model(exported) -> TorchModel:
    return TorchModel(load_checkpoint(exported))


def test_nothing_of_a_batch_is_kept(onnx_model) -> None:
    """Of batches of other lengths each time, in bytes of Python's objects and of arrays."""

    def caption(seed: int) -> None:
        onnx_model.caption([noise(1.0 + 0.1 * seed, seed), noise(2.0 + 0.03 * seed, seed)], **FAST)

    caption(0)
    tracemalloc.start()
    try:
        caption(1)
        gc.collect()  # what refers to itself in a circle is not kept either
        before, _ = tracemalloc.get_traced_memory()
        for seed in range(2, 6):
            caption(seed)
        gc.collect()
        after, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    sound = noise(1.2, 2).nbytes  # of the shortest clip: more than the cached ids of all words
    assert after - before < 0.5 * sound < peak


def assert_same(found: Any, wanted: Any) -> None:
    assert found.texts == wanted.texts
    assert np.abs(found.scores - wanted.scores).max() < 1e-3
    assert np.abs(found.tags - wanted.tags).max() < 1e-4


@pytest.mark.parametrize(
    "decoding",
    [
        FAST,
        FAST | {"beams": 1},
        FAST | {"use_guide": False, "beams": 4, "length_penalty": 0.5},
        FAST | {"beams": 3, "num_return_sequences": 3},
        {"max_new_tokens": 20, "no_repeat_ngram_size": 2, "min_new_tokens": 4},
    ],
)
def test_captions_scores_and_tags_are_those_of_torch(onnx_model, torch_model, sounds, decoding) -> None:
    wanted = torch_model.caption(sounds, **decoding)
    assert_same(onnx_model.caption(sounds, **decoding), wanted)
    assert len(set(wanted.texts)) >= 4  # else the test is void


def test_a_clip_alone_is_the_clip_in_a_batch(onnx_model, sounds) -> None:
    together = onnx_model.caption(sounds, **FAST)
    for i, sound in enumerate(sounds):
        alone = onnx_model.caption([sound], **FAST)
        assert alone.texts[0] == together.texts[i] and np.isclose(
            alone.scores[0], together.scores[i], atol=1e-5
        )


def test_tags_over_time_and_of_clips(onnx_model, torch_model, sounds) -> None:
    for found, wanted in zip(onnx_model.tag_logits(sounds), torch_model.tag_logits(sounds), strict=True):
        assert found.shape == wanted.shape and np.allclose(found, wanted, atol=1e-4)
    found, wanted = (model.tag_probabilities(sounds) for model in (onnx_model, torch_model))
    assert np.allclose(found, wanted, atol=1e-5)


def test_texts_in_the_joint_space(onnx_model, torch_model) -> None:
    texts = ["A dog barks!", "rain falls on a roof", "a"]
    assert np.allclose(onnx_model.embed_texts(texts), torch_model.embed_texts(texts), atol=1e-5)


def test_what_a_captioner_asks_is_the_same(onnx_model, torch_model) -> None:
    for name in (
        "sample_rate",
        "max_seconds",
        "beams",
        "tag_names",
        "tags_over_time",
        "tags_clips",
        "calibration",
        "pictures",
    ):
        assert getattr(onnx_model, name) == getattr(torch_model, name), name
    assert onnx_model.retrieved_captions == torch_model.retrieved_captions == 0


def test_the_built_in_model_says_the_same_of_the_examples() -> None:
    onnx, torch_ = (Captioner.from_pretrained(device="cpu", runtime=name) for name in ("onnx", "torch"))
    files = [str(file) for file in find_media(EXAMPLES)]
    assert isinstance(onnx.model, OnnxModel) and isinstance(torch_.model, TorchModel) and len(files) >= 4
    for found, wanted in zip(onnx(files), torch_(files), strict=True):
        assert (found.text, [n for n, _ in found.tags]) == (wanted.text, [n for n, _ in wanted.tags])
        assert found.score == pytest.approx(wanted.score, abs=1e-3)


def test_built_in_graphs_are_of_its_weights_and_small() -> None:
    OnnxModel(DEFAULT)
    assert sum((DEFAULT / name).stat().st_size for name in FILES) < 30e6


def test_options_that_only_torch_knows_are_refused(onnx_model, sounds) -> None:
    with pytest.raises(ValueError, match="do_sample: load the model with runtime='torch'"):
        onnx_model.caption(sounds, do_sample=True)
    with pytest.raises(ValueError, match="neither pictures nor captions"):
        onnx_model.caption(sounds, captions=[["a dog"]] * len(sounds))


def test_graphs_of_other_weights_are_refused(exported, tmp_path) -> None:
    folder = shutil.copytree(exported, tmp_path / "other")
    save_checkpoint(load_checkpoint(folder), folder)  # in single precision
    with pytest.raises(ExportError, match="export the model again"):
        OnnxModel(folder)


@pytest.mark.parametrize("name", FILES)
def test_a_folder_without_a_file_names_it(exported, tmp_path, name) -> None:
    folder = shutil.copytree(exported, tmp_path / "part")
    (folder / name).unlink()
    with pytest.raises(ExportError, match=f"not exported for ONNX Runtime: it has no {name}"):
        OnnxModel(folder)


@pytest.mark.parametrize("text", ["{", "[]", json.dumps({"beams": 3})])
def test_settings_that_are_not_of_this_version(exported, tmp_path, text) -> None:
    folder = shutil.copytree(exported, tmp_path / "part")
    (folder / "runtime.json").write_text(text)
    with pytest.raises(ExportError, match=r"runtime\.json is"):
        OnnxModel(folder)


def test_a_mobilenet_is_exported(tiny_model, tmp_path) -> None:
    from earwitness.build import build_model

    data = tiny_model.config.model_dump() | {"encoder": {"kind": "mobilenet", "width": 0.1}}
    model = build_model(ModelConfig.model_validate(data), tiny_model.language_model.tokenizer).eval()
    for name, buffer in model.encoder.named_buffers():
        if "running" in name:  # norms that do something
            buffer.uniform_(0.5, 1.5)
    save_checkpoint(model, tmp_path)
    assert not list(unexportable(model))
    write_graph(parts_of(model)["encode"], model, tmp_path / "encode.onnx")


CED = {"kind": "ced", "dim": 24, "depth": 1, "heads": 2}
GPT2 = {"model_type": "gpt2", "n_embd": 32, "n_layer": 1, "n_head": 2}


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"encoder": CED}, "encoder.kind: ced"),
        ({"adapter": [{"kind": "linear"}]}, "adapter: linear"),
        ({"retrieval": {}}, "retrieval"),
        ({"language_model": {"config": GPT2}}, "language_model: gpt2"),
    ],
)
def test_parts_that_cannot_be_exported_are_named(tiny_model, tmp_path, changes, named) -> None:
    from earwitness.build import build_model

    config = ModelConfig.model_validate(tiny_model.config.model_dump() | changes)
    save_checkpoint(build_model(config, tiny_model.language_model.tokenizer), tmp_path / "checkpoint")
    with pytest.raises(ExportError, match=f"cannot be exported for ONNX Runtime: {named}"):
        export_onnx(tmp_path / "checkpoint", tmp_path / "out")
    assert not (tmp_path / "out").exists()
