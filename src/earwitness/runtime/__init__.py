"""Models behind the captioner: their interface, and its implementations by ONNX Runtime and by torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from earwitness.lazy import lazy_exports

__all__ = ["CaptioningModel", "Decoded", "OnnxModel", "TorchModel"]

if TYPE_CHECKING:
    from earwitness.runtime.onnx_model import OnnxModel
    from earwitness.runtime.protocol import CaptioningModel, Decoded
    from earwitness.runtime.torch_model import TorchModel

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "CaptioningModel": "protocol",
        "Decoded": "protocol",
        "OnnxModel": "onnx_model",
        "TorchModel": "torch_model",
    },
)
