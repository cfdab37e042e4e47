"""ONNX graphs whose weights are the checkpoint's own: external data, at their places in model.safetensors.

One file of weights serves both runtimes, in the precision it was saved with; half precision is cast when a
graph is loaded.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnx
from onnx import TensorProto, helper
from onnxscript import optimizer

from earwitness.runtime.weights import StoredTensor, stored_tensors

TYPES = {"F16": TensorProto.FLOAT16, "F32": TensorProto.FLOAT}
ELSEWHERE = 64 << 10  # bytes: a larger tensor must be the checkpoint's, or weights would be shipped twice


def linked_to_weights(graph: onnx.ModelProto, weights: Path, names: Mapping[str, str]) -> onnx.ModelProto:
    """The graph, simplified, its weights replaced by references into `weights`, cast to float32.

    names: a parameter's name in the graph -> its name in `weights`. Raises ValueError for a large tensor that
    is not there, and for one of another shape or type.
    """
    stored = stored_tensors(weights)
    inner = [t for t in graph.graph.initializer if names.get(t.name, t.name) not in stored]
    outer = [t for t in graph.graph.initializer if names.get(t.name, t.name) in stored]
    for tensor in inner:
        if len(tensor.raw_data) > ELSEWHERE:
            raise ValueError(f"{tensor.name} {list(tensor.dims)} is not a tensor of {weights}")
    # While the graph is simplified its weights are inputs, so that they are not folded into new ones.
    _replace(graph.graph.initializer, inner)
    for tensor in outer:
        graph.graph.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
    graph = optimizer.optimize(graph)
    own = {tensor.name for tensor in outer}
    _replace(graph.graph.input, [each for each in graph.graph.input if each.name not in own])
    used = {name for node in graph.graph.node for name in node.input}
    casts = []
    for tensor in outer:
        if tensor.name in used:
            entry = stored[names.get(tensor.name, tensor.name)]
            if tuple(tensor.dims) != entry.shape or entry.kind not in TYPES:
                raise ValueError(
                    f"{tensor.name} {list(tensor.dims)} is {entry.kind} {entry.shape} in {weights}"
                )
            casts += _reference(graph, tensor.name, entry, weights.name)
    _replace(graph.graph.node, [*casts, *graph.graph.node])
    _strip(graph)
    return graph


def _reference(graph: onnx.ModelProto, name: str, entry: StoredTensor, file: str) -> list[onnx.NodeProto]:
    """Adds the tensor as external data; returns the cast that it needs, if any."""
    whole = entry.kind == "F32"
    tensor = TensorProto(
        name=name if whole else f"{name}.stored", data_type=TYPES[entry.kind], dims=entry.shape
    )
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in {"location": file, "offset": entry.begin, "length": entry.end - entry.begin}.items():
        tensor.external_data.add(key=key, value=str(value))
    graph.graph.initializer.append(tensor)
    return [] if whole else [helper.make_node("Cast", [tensor.name], [name], to=TensorProto.FLOAT)]


def _strip(graph: onnx.ModelProto) -> None:
    """Removes what only debugging needs: the source lines of each node, inferred shapes."""
    del graph.graph.value_info[:], graph.graph.metadata_props[:], graph.metadata_props[:]
    for node in graph.graph.node:
        del node.metadata_props[:]
        node.ClearField("doc_string")
    for each in (*graph.graph.input, *graph.graph.output):
        del each.metadata_props[:]


def _replace(field: Any, items: list[Any]) -> None:
    copies = [type(item).FromString(item.SerializeToString()) for item in items]
    del field[:]
    field.extend(copies)
