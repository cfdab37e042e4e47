"""From a checkpoint folder or hub name to the model behind a captioner, on the runtime that suits it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from earwitness.built_in import BUILT_IN, local_folder
from earwitness.devices import resolve_device, run_in_temporary_thread, torch_dtype
from earwitness.extras import require
from earwitness.runtime.protocol import CaptioningModel
from earwitness.runtime.settings import SETTINGS, WEIGHTS, ExportError
from earwitness.weights.errors import CheckpointError

if TYPE_CHECKING:
    import torch

DEFAULT = BUILT_IN["mini"]
Runtime = Literal["auto", "onnx", "torch"]


def load_model(
    name_or_path: str | Path | None = None,
    device: str = "auto",
    dtype: str | torch.dtype = "auto",
    runtime: Runtime = "auto",
) -> CaptioningModel:
    """A checkpoint folder, a hub name, or None or "mini": the model that comes with the package.

    runtime: "onnx" is ONNX Runtime, for a folder that `earwitness export --onnx` wrote, as the built-in
    model's is; "torch" serves any model and device; "auto" takes ONNX Runtime for such a folder on the CPU,
    else torch. device, dtype: as for `Captioner.from_pretrained`. Raises MissingExtra where torch is needed
    and not installed, ExportError for a folder or device that ONNX Runtime cannot serve; CheckpointError,
    ConfigError.
    """
    if runtime not in ("auto", "onnx", "torch"):
        raise ValueError(f"unknown runtime {runtime!r}: choose auto, onnx or torch")
    folder = local_folder(name_or_path or DEFAULT) or Path(name_or_path or DEFAULT)
    if name_or_path is None and not (DEFAULT / WEIGHTS).is_file():
        raise CheckpointError(
            f"this installation lacks the default model ({DEFAULT / WEIGHTS}): "
            "install the package again, or name a checkpoint folder"
        )
    device = resolve_device(device)
    plain = device == "cpu" and str(dtype) in ("auto", "float32", "torch.float32")
    if runtime == "onnx" and not plain:
        raise ExportError(f"ONNX Runtime computes on the CPU in float32 here, not on {device} in {dtype}")
    if runtime == "onnx" or (runtime == "auto" and plain and (folder / SETTINGS).is_file()):
        from earwitness.runtime.onnx_model import OnnxModel

        return OnnxModel(folder)
    require("torch", f"{name_or_path or 'the built-in model'} on this runtime")
    return _on_torch(folder, device, dtype)


def _on_torch(name: Path, device: str, dtype: Any) -> CaptioningModel:
    from earwitness.checkpoints.folder import load_checkpoint
    from earwitness.runtime.torch_model import TorchModel

    network = run_in_temporary_thread(lambda: load_checkpoint(name).to(device))
    network.language_model.to(torch_dtype(dtype, network.device))
    return TorchModel(network)
