"""Optional dependencies: which extra of the package brings a module that is not installed."""

from __future__ import annotations

from importlib.util import find_spec

EXTRAS = {
    "torch": ("torch", "transformers", "peft", "safetensors", "huggingface_hub"),
    "train": ("accelerate", "webdataset", "tensorboard", "pyarrow", "soundfile"),
    "video": ("PIL",),
    "metrics": ("pycocoevalcap", "sentence_transformers", "snowballstemmer"),
    "rag": ("faiss",),
    "quantize": ("bitsandbytes",),
    "serve": ("fastapi", "uvicorn", "h11", "multipart"),
    "ray": ("ray",),
    "plots": ("matplotlib", "umap"),
    "onnx": ("onnx", "onnxscript"),
}
_EXTRA_OF = {module: extra for extra, modules in EXTRAS.items() for module in modules}


class MissingExtra(ModuleNotFoundError):
    """A module that an extra of this package installs."""

    def __init__(self, module: str, wanted_by: str = "this") -> None:
        super().__init__(
            f"{wanted_by} needs {module}, which is not installed: "
            f"pip install 'earwitness[{_EXTRA_OF[module]}]'",
            name=module,
        )


def require(module: str, wanted_by: str) -> None:
    """Raise MissingExtra unless the module, one of EXTRAS, is installed. Nothing is imported."""
    if find_spec(module) is None:
        raise MissingExtra(module, wanted_by)


def explained(error: ModuleNotFoundError) -> ModuleNotFoundError:
    """The error, naming the extra that brings the module, if one does."""
    module = (error.name or "").partition(".")[0]
    return MissingExtra(module) if module in _EXTRA_OF and not isinstance(error, MissingExtra) else error
