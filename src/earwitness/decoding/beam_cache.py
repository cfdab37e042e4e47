"""Keys and values of beams that all continue the same prefix.

Beam search copies the selected beams' keys and values at every step. The prefix, most of the cache, is the
same in all beams of a clip: it stays in place, and only the generated tokens move.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

ROOM = 16  # tokens for which buffers grow at once


class BeamLayer(DynamicLayer):
    """One layer's keys and values [B x beams, heads, N, D], written into buffers that have room to grow."""

    def __init__(self, keys: Tensor, values: Tensor, beams: int) -> None:
        """keys, values: of the prefix, [B, heads, P, D]; each clip's beams are adjacent rows."""
        super().__init__()
        self.lazy_initialization(keys, values)
        self.prefix = self.length = keys.shape[2]
        self.buffers = [_with_room(x, ROOM, copies=beams) for x in (keys, values)]
        self._show()

    def update(self, key_states: Tensor, value_states: Tensor, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        """Append the new tokens' [B x beams, heads, n, D]; return all."""
        begin, self.length = self.length, self.length + key_states.shape[2]
        if self.length > self.buffers[0].shape[2]:
            self.buffers = [_with_room(x, self.length - begin + ROOM) for x in self.buffers]
        for buffer, new in zip(self.buffers, (key_states, value_states)):
            buffer[:, :, begin : self.length] = new
        return self._show()

    def reorder_cache(self, beam_idx: Tensor) -> None:
        """Row i continues row beam_idx[i], which must be a beam of the same clip."""
        for buffer in self.buffers:
            made = buffer[:, :, self.prefix : self.length]
            made.copy_(made.index_select(0, beam_idx))

    def _show(self) -> tuple[Tensor, Tensor]:
        self.keys, self.values = (buffer[:, :, : self.length] for buffer in self.buffers)
        return self.keys, self.values


def share_prefix(cache: DynamicCache, beams: int) -> None:
    """Convert the cache of B prefixes into that of B x beams rows which continue them.

    Layers that keep more than keys and values, or not all of them (sliding windows), are repeated unchanged.
    """
    layers: list[Any] = cache.layers
    for i, layer in enumerate(layers):
        plain = type(layer) is DynamicLayer
        if plain and layer.get_seq_length():
            layers[i] = BeamLayer(layer.keys, layer.values, beams)
        else:
            layer.batch_repeat_interleave(beams)


def _with_room(x: Tensor, room: int, copies: int = 1) -> Tensor:
    """[B, heads, N, D] -> [B x copies, heads, N + room, D]."""
    rows, heads, length, dim = x.shape
    longer = x.new_empty(rows, copies, heads, length + room, dim)
    longer[:, :, :, :length] = x[:, None]
    return longer.flatten(0, 1)
