"""Causal language models that continue a prefix of embeddings with a caption.

Whatever the batch, each row is computed as if it were alone: the prefix is packed to the right (left
padding), positions count real tokens only, and captions are padded on the right, which a causal model never
attends to.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, DynamicCache

from earwitness.decoding.beam_cache import share_prefix
from earwitness.decoding.language_model import LanguageModel
from earwitness.decoding.packing import hidden_from_each_other, pack_right
from earwitness.embeds import Embeds


class CausalLanguageModel(LanguageModel):
    """A decoder-only model of transformers (Llama, Qwen, GPT-2 ...) and its tokenizer."""

    auto_class = AutoModelForCausalLM

    @property
    def _plainly_attends(self) -> bool:
        return self.model._supports_sdpa and self.model.config._attn_implementation in ("eager", "sdpa")

    def logits(self, prefix: Embeds, ids: Tensor, mask: Tensor) -> Tensor:
        return self.branches([prefix], ids, mask)[0]

    def branches(self, prefixes: Sequence[Embeds], ids: Tensor, mask: Tensor) -> tuple[Tensor, ...]:
        """The branches of a clip are side by side in its row, masked from one another: in separate rows a
        short prompt would be padded to the length of a long one and cost as much. So they stay where the
        model does not support a mask of its own: flash attention, and families with masks of their own
        (Bloom).
        """
        if len(prefixes) > 1 and not self._plainly_attends:
            return super().branches(prefixes, ids, mask)
        table, length = self.token_table, ids.shape[1]
        caption = Embeds(self.embed(ids[:, :-1]), mask[:, :-1])
        parts = [pack_right(prefix) for prefix in prefixes]
        parts = [Embeds(part.values.to(table.dtype), part.mask).cat(caption) for part in parts]
        masks = [part.mask for part in parts]
        ends = torch.tensor([m.shape[1] for m in masks], device=ids.device).cumsum(0)
        output = self.model(
            inputs_embeds=torch.cat([part.values for part in parts], 1),  # [B, sum of P + L - 1, D_llm]
            attention_mask=masks[0].long() if len(masks) == 1 else hidden_from_each_other(masks, table.dtype),
            position_ids=torch.cat([(m.cumsum(1) - 1).clamp(min=0) for m in masks], 1),
            use_cache=False,
            # the head is applied where a caption token is predicted, not over the prefixes
            logits_to_keep=(ends[:, None] - torch.arange(length, 0, -1, device=ids.device)).flatten(),
        )
        return output.logits.split(length, 1)

    def logits_of_several(self, prefix: Embeds, ids: Tensor, mask: Tensor) -> Tensor:
        """Compute the prefix, most of the tokens, once for all captions of a clip, with its gradient."""
        # Checkpointing keeps no cache, and other models keep other ones.
        if self.model.is_activation_checkpointing or not self._plainly_attends or ids.shape[2] < 2:
            return super().logits_of_several(prefix, ids, mask)
        clips, count, length = ids.shape
        prefix = pack_right(prefix)
        cache = DynamicCache(config=self.model.config)
        first = self.model(
            inputs_embeds=prefix.values.to(self.token_table.dtype),
            attention_mask=prefix.mask.long(),
            position_ids=(prefix.mask.cumsum(1) - 1).clamp(min=0),
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        ).logits
        cache.batch_repeat_interleave(count)
        ids, mask = ids.flatten(0, 1), mask.flatten(0, 1)
        seen = torch.cat([prefix.mask.repeat_interleave(count, 0), mask[:, :-1]], 1)
        others = self.model(
            inputs_embeds=self.embed(ids[:, :-1]),
            attention_mask=seen.long(),
            position_ids=(seen.cumsum(1) - 1)[:, 1 - length :].clamp(min=0),
            past_key_values=cache,
            use_cache=True,
        ).logits
        return torch.cat([first.repeat_interleave(count, 0), others], 1).view(clips, count, length, -1)

    def _generation_inputs(self, prefix: Embeds, rows: int) -> dict[str, Any]:
        prefix = pack_right(prefix)
        embeddings = prefix.values.to(self.token_table.dtype)
        inputs: dict[str, Any] = {"inputs_embeds": embeddings, "attention_mask": prefix.mask.long()}
        if rows > 1 and embeddings.shape[1] > 1:
            # generate() would compute the prefix once for every beam. Compute it once for every clip; the
            # last position is left to generate(), which needs its logits.
            cache = DynamicCache(config=self.model.config)
            self.model.base_model(
                inputs_embeds=embeddings[:, :-1],
                attention_mask=inputs["attention_mask"][:, :-1],
                position_ids=(inputs["attention_mask"][:, :-1].cumsum(1) - 1).clamp(min=0),
                past_key_values=cache,
                use_cache=True,
            )
            share_prefix(cache, rows)
            inputs["past_key_values"] = cache
        return inputs
