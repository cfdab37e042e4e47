"""Which runtime serves which model, and what is said where it is not to be had."""

from __future__ import annotations

import pytest

from earwitness import devices, extras, loading
from earwitness.extras import MissingExtra
from earwitness.loading import DEFAULT, load_model
from earwitness.runtime import OnnxModel, TorchModel
from earwitness.runtime.settings import ExportError


@pytest.fixture
def without_torch(monkeypatch) -> None:
    """As if torch were not installed."""
    for module in (devices, extras):
        found = module.find_spec
        monkeypatch.setattr(module, "find_spec", lambda name, f=found: None if name == "torch" else f(name))


def test_auto_is_onnx_for_what_was_exported_and_torch_for_all_else(exported, tiny_checkpoint) -> None:
    assert isinstance(load_model(exported, device="cpu"), OnnxModel)
    assert isinstance(load_model(tiny_checkpoint, device="cpu"), TorchModel)
    assert isinstance(load_model(exported, device="cpu", dtype="bfloat16"), TorchModel)
    assert isinstance(load_model(exported, device="cpu", runtime="torch"), TorchModel)
    assert isinstance(load_model(exported, device="cpu", dtype="float32", runtime="onnx"), OnnxModel)


def test_what_onnx_runtime_cannot_serve_is_refused(exported, tiny_checkpoint) -> None:
    with pytest.raises(ExportError, match="on the CPU in float32"):
        load_model(exported, device="cuda", runtime="onnx")
    with pytest.raises(ExportError, match="not exported"):
        load_model(tiny_checkpoint, runtime="onnx")
    with pytest.raises(ValueError, match="unknown runtime 'jax'"):
        load_model(exported, runtime="jax")  # type: ignore[arg-type]


def test_without_torch_the_extra_is_named(without_torch, exported, tiny_checkpoint) -> None:
    assert isinstance(load_model(exported), OnnxModel)
    for arguments in ({"runtime": "torch"}, {"device": "cuda"}):
        with pytest.raises(MissingExtra, match=r"pip install 'earwitness\[torch\]'"):
            load_model(exported, **arguments)
    with pytest.raises(MissingExtra, match=r"checkpoint on this runtime needs torch.*earwitness\[torch\]"):
        load_model(tiny_checkpoint)


def test_a_gpu_takes_the_built_in_model_to_torch(monkeypatch) -> None:
    monkeypatch.setattr(loading, "resolve_device", lambda device: "cuda")
    monkeypatch.setattr(loading, "_on_torch", lambda name, device, dtype: (name, device))
    assert load_model() == (DEFAULT, "cuda")


def test_a_missing_module_names_its_extra() -> None:
    told = str(extras.explained(ModuleNotFoundError("No module named 'faiss'", name="faiss.swigfaiss")))
    assert told == "this needs faiss, which is not installed: pip install 'earwitness[rag]'"
    other = ModuleNotFoundError("No module named 'nowhere'", name="nowhere")
    assert extras.explained(other) is other
