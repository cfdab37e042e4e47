"""The graphs of an exported checkpoint, loaded on first use; the language model that two of them make."""

from __future__ import annotations

from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from threading import Lock, Thread
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from earwitness.runtime.beam_search import Ids
from earwitness.runtime.prompt import LaidOut
from earwitness.runtime.protocol import Array
from earwitness.runtime.settings import GRAPHS


class Graphs:
    """graphs("encode", log_mel) -> the graph's outputs. Each is loaded on first use."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._sessions: dict[str, tuple[onnxruntime.InferenceSession, list[str]]] = {}
        self._locks = {name: Lock() for name in GRAPHS}

    def __call__(self, name: str, *inputs: NDArray[Any]) -> list[Array]:
        session, names = self._loaded(name)
        outputs: list[Array] = session.run(None, dict(zip(names, inputs, strict=True)))
        return outputs

    def load_ahead(self) -> None:
        """Load the graphs in a thread of its own, while the caller reads the first sound."""
        Thread(target=self._load_all, name="earwitness-graphs").start()

    def _load_all(self) -> None:
        with suppress(Exception):  # the first use of the graph raises the error
            for name in GRAPHS:
                self._loaded(name)

    def _loaded(self, name: str) -> tuple[onnxruntime.InferenceSession, list[str]]:
        """The session of a graph and the names of its inputs."""
        with self._locks[name]:
            if name not in self._sessions:
                session = onnxruntime.InferenceSession(
                    str(self.folder / f"{name}.onnx"), _options(), providers=["CPUExecutionProvider"]
                )
                self._sessions[name] = session, [each.name for each in session.get_inputs()]
            return self._sessions[name]


@lru_cache(maxsize=1)
def _options() -> onnxruntime.SessionOptions:
    """Threads: one a core for each graph; those of one graph sleep while another is computed."""
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3  # errors
    options.enable_mem_pattern = False  # it plans for one shape; clips differ in length
    return options


class Continuation:
    """A language model that has read the prompts of B clips, as `beam_search.Decoder`."""

    def __init__(self, graphs: Graphs, prompt: LaidOut, z_a: Array) -> None:
        self._graphs, self._real = graphs, prompt.real
        self._logits, self._keys, self._values, self.change = graphs(
            "prefix", prompt.ids, z_a, prompt.order, prompt.real
        )
        self._own: tuple[Array, Array] | None = None  # keys and values [layers, B, heads, n, t, width]

    def first(self) -> Array:
        return self._logits

    def next(self, tokens: Ids, parents: Ids) -> Array:
        if self._own is None:
            layers, clips, heads, _, width = self._keys.shape
            keys = values = np.zeros((layers, clips, heads, tokens.shape[1], 0, width), np.float32)
        else:
            keys, values = (_of_parents(x, parents) for x in self._own)
        logits, key, value = self._graphs("step", tokens, self._keys, self._values, self._real, keys, values)
        self._own = np.concatenate([keys, key], 4), np.concatenate([values, value], 4)
        return logits


def _of_parents(x: Array, parents: Ids) -> Array:
    """[layers, B, heads, n, t, width], the beams of each clip replaced by `parents` [B, n]."""
    return np.stack([x[:, clip].take(own, 2) for clip, own in enumerate(parents)], 1)
