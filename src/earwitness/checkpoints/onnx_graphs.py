"""The parts of a captioner as functions of tensors alone, each of which becomes one ONNX graph.

Nothing in them is padded: the runtime batches clips of one length, and prompts are padded on the left. Each
module holds the captioner's own modules under the captioner's own names, so that a graph's weights have the
names of the checkpoint's tensors.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from earwitness.embeds import Embeds
from earwitness.model import AudioCaptioningModel


class Encode(nn.Module):
    """Log-mel [B, bands, F] -> h_a [B, N, D], tag logits [B, N, tags], tag probabilities [B, tags]."""

    def __init__(self, model: AudioCaptioningModel) -> None:
        super().__init__()
        self.encoder: Any = model.encoder

    def forward(self, log_mel: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        h_a = self.encoder.encode_log_mel(log_mel)
        return h_a.values, self.encoder.tag_logits(h_a), self.encoder.tag_probabilities(h_a)


class Adapt(nn.Module):
    """h_a [B, N, D] -> z_a [B, N_g, D_llm], and the sound in the space where beams are chosen [B, dim]."""

    def __init__(self, model: AudioCaptioningModel) -> None:
        super().__init__()
        self.adapter: Any = model.adapter
        self.space: Any = model.space

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        h_a = Embeds.full(tokens)
        z_a = self.adapter.adapt_whole(h_a)
        return z_a.values, self.space.embed_audio(h_a, z_a)


class Prefix(nn.Module):
    """The prompt in front of a caption: its keys and values, and the logits of the first token.

    ids: the prompt's text [B, T]. z_a: [B, N_g, D_llm]. order: [B, P], each position's place in the text
    followed by z_a. real: bool [B, P], False for padding on the left. Returns logits [B, V], keys and values
    [layers, B, heads, P, head width] and the Token Guide's change of logits [B, V], 0 without a guide.
    """

    def __init__(self, model: AudioCaptioningModel) -> None:
        super().__init__()
        self.language_model, self.guide = model.language_model, model.guide

    def forward(
        self, ids: Tensor, z_a: Tensor, order: Tensor, real: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        tokens = torch.cat([self.language_model.embed(ids), z_a], 1)
        x = tokens.gather(1, order[..., None].expand(-1, -1, tokens.shape[-1]))  # [B, P, D_llm]
        length = torch.arange(x.shape[1])
        readable = (length[:, None] >= length) & real[:, None] | (length[:, None] == length)  # [B, P, P]
        llama = self.language_model.model
        angles = _rotation(llama, (real.long().cumsum(1) - 1).clamp(min=0))
        keys, values = [], []
        for layer in llama.model.layers:
            q, k, v = _projected(layer, x, angles)  # [B, heads, P, width]
            x = _attended(layer, x, _read(q, k, v, readable))
            keys.append(k)
            values.append(v)
        logits = llama.lm_head(llama.model.norm(x[:, -1]))
        change = torch.zeros_like(logits)
        if self.guide is not None:
            table = self.language_model.token_table
            change = change - self.guide.beta * self.guide.distance(z_a.mean(1), table)
        return logits, torch.stack(keys), torch.stack(values), change


class Step(nn.Module):
    """One more token of every beam. The prefix's keys and values are shared by the n beams of a clip.

    token: [B, n], the last of each beam. prefix_keys, prefix_values: [layers, B, heads, P, width]. real: bool
    [B, P]. keys, values: of the tokens before it, [layers, B, heads, n, t, width]. Returns the logits
    [B, n, V] of the next token, and the token's own keys and values [layers, B, heads, n, 1, width].
    """

    def __init__(self, model: AudioCaptioningModel) -> None:
        super().__init__()
        self.language_model = model.language_model

    def forward(
        self,
        token: Tensor,
        prefix_keys: Tensor,
        prefix_values: Tensor,
        real: Tensor,
        keys: Tensor,
        values: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        llama = self.language_model.model
        x = self.language_model.embed(token)  # [B, n, D_llm]
        position = (real.long().sum(1) + keys.shape[4])[:, None]  # [B, 1], the same of all beams
        angles = _rotation(llama, position)
        new_keys, new_values = [], []
        for i, layer in enumerate(llama.model.layers):
            q, k, v = _projected(layer, x, angles)  # [B, heads, n, width]
            new_keys.append(k[:, :, :, None])
            new_values.append(v[:, :, :, None])
            own = torch.cat([keys[i], new_keys[-1]], 3), torch.cat([values[i], new_values[-1]], 3)
            x = _attended(layer, x, _read_beside(q, prefix_keys[i], prefix_values[i], real, *own))
        logits = llama.lm_head(llama.model.norm(x))
        return logits, torch.stack(new_keys), torch.stack(new_values)


class ReadCaptions(nn.Module):
    """Captions as tokens, ids and mask [M, L] -> vectors [M, dim] in the space where beams are chosen."""

    def __init__(self, model: AudioCaptioningModel) -> None:
        super().__init__()
        self.language_model, self.space = model.language_model, model.space

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        return self.space.embed_text(Embeds(self.language_model.embed(ids), mask))


def _rotation(llama: Any, positions: Tensor) -> tuple[Tensor, Tensor]:
    """Cosines and sines of the rotary embedding, each [B, 1, P, width]."""
    rotary = llama.model.rotary_emb
    angles = positions[..., None].float() * rotary.inv_freq
    angles = torch.cat([angles, angles], -1)[:, None]
    return angles.cos() * rotary.attention_scaling, angles.sin() * rotary.attention_scaling


def _projected(layer: Any, x: Tensor, angles: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """Rotated queries, keys and values [B, heads, N, width]; shared keys and values are repeated."""
    attention = layer.self_attn
    x = layer.input_layernorm(x)
    q, k, v = (
        project(x).unflatten(-1, (-1, attention.head_dim)).transpose(1, 2)
        for project in (attention.q_proj, attention.k_proj, attention.v_proj)
    )
    q, k = _rotated(q, *angles), _rotated(k, *angles)
    if (shared := attention.num_key_value_groups) > 1:
        k, v = k.repeat_interleave(shared, 1), v.repeat_interleave(shared, 1)
    return q * attention.scaling, k, v


def _rotated(x: Tensor, cosines: Tensor, sines: Tensor) -> Tensor:
    first, second = x.chunk(2, -1)
    return x * cosines + torch.cat([-second, first], -1) * sines


def _read(q: Tensor, keys: Tensor, values: Tensor, readable: Tensor) -> Tensor:
    """Attention of q [B, heads, P, width] over keys and values of that shape, where readable [B, P, P]."""
    weights = (q @ keys.transpose(-1, -2)).masked_fill(~readable[:, None], torch.finfo(q.dtype).min)
    return weights.softmax(-1) @ values


def _read_beside(q: Tensor, prefix_k: Tensor, prefix_v: Tensor, real: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Attention of beams over the prefix they share, and over each one's own tokens.

    q: [B, heads, n, width]. prefix_k, prefix_v: [B, heads, P, width]. k, v: [B, heads, n, t, width].
    """
    shared = (q @ prefix_k.transpose(-1, -2)).masked_fill(~real[:, None, None], torch.finfo(q.dtype).min)
    own = (k @ q[..., None])[..., 0]  # [B, heads, n, t]
    weights = torch.cat([shared, own], -1).softmax(-1)
    size = prefix_k.shape[2]
    return weights[..., :size] @ prefix_v + (weights[..., None, size:] @ v)[..., 0, :]


def _attended(layer: Any, x: Tensor, read: Tensor) -> Tensor:
    """The rest of a layer: output projection, feed-forward, both residual."""
    x = x + layer.self_attn.o_proj(read.transpose(1, 2).flatten(2))
    return x + layer.mlp(layer.post_attention_layernorm(x))
