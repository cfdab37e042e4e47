"""Pretrained weights: missing or gated models, quantisation settings."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from earwitness.config.errors import ConfigError


class SourceError(ConfigError):
    """Weights named in a configuration that cannot be read; the message names them, the cause and a fix."""


@contextmanager
def explained(slot: str, source: str) -> Iterator[None]:
    """Raise one SourceError, with its fix, for any error while the weights of `slot` are loaded."""
    try:
        yield
    except ConfigError:
        raise
    except (OSError, ValueError, ImportError) as error:
        raise SourceError(_message(slot, source, error)) from error


def _message(slot: str, source: str, error: Exception) -> str:
    local = f"point at a local folder with model.{slot}.source=/path/to/folder"
    chain = _chain(error)
    detail = " ".join(str(chain[-1]).split())[:300]
    if Path(source).exists() or source.startswith(("/", ".")) or source.count("/") != 1:
        return f"{slot}.source {source} cannot be loaded: {detail}; {local}"
    names = {type(e).__name__ for e in chain}
    page = f"https://huggingface.co/{source}"
    text = " ".join(str(e) for e in chain)
    wanted = re.search(r"[\w.\-]+\.(?:json|safetensors|bin|pt|model)\b", text)
    file = f"{wanted.group(0) if wanted else 'config.json'} of {source}"
    if "GatedRepoError" in names or "gated" in text.lower():
        return (
            f"{slot}.source: no access to {file}: its licence must be accepted at {page}, then log in with "
            f"`hf auth login`; or {local}"
        )
    return (
        f"{slot}.source: {file} cannot be fetched ({detail}). Its licence page is {page}; if it must be "
        f"accepted there, do so and log in with `hf auth login`; without a network, {local}"
    )


def _chain(error: BaseException | None) -> list[BaseException]:
    """Return the error and its causes, outermost first."""
    found: list[BaseException] = []
    while error is not None and error not in found:
        found.append(error)
        error = error.__cause__ or error.__context__
    return found


def quantization(bits: str) -> Any:
    """Return transformers' settings for weights in 8 bits, or in 4 (NF4, computed in bfloat16)."""
    if find_spec("bitsandbytes") is None:
        raise ConfigError(
            f"language_model.quantize: {bits} needs bitsandbytes: pip install 'earwitness[quantize]', "
            "or leave quantize out"
        )
    import torch
    from transformers import BitsAndBytesConfig

    if bits == "8bit":
        # it logs a cast of the input once per layer and token
        logging.getLogger("bitsandbytes.autograd._functions").setLevel(logging.ERROR)
        return BitsAndBytesConfig(load_in_8bit=True)
    return BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=torch.bfloat16
    )
