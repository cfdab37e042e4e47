"""Encoder-decoder language models (BART): z_a is the encoder's input, the decoder writes the caption."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers import AutoModelForSeq2SeqLM, PreTrainedModel, PreTrainedTokenizerBase

from earwitness.decoding.language_model import LanguageModel
from earwitness.decoding.packing import pack_right
from earwitness.embeds import Embeds


class EncoderDecoderLanguageModel(LanguageModel):
    """An encoder-decoder model of transformers with its tokenizer; used exactly as a causal one.

    The prefix goes in as the encoder's input embeddings, real tokens first (BART counts positions from the
    left, padding included, so left padding would move them). The decoder starts from `decoder_start`: the
    model's start token, and the forced bos where a checkpoint was trained with one (BART: </s><s>).
    """

    auto_class = AutoModelForSeq2SeqLM
    encoder_decoder = True

    def __init__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
        start = model.config.decoder_start_token_id
        if start is None:
            start = model.generation_config.decoder_start_token_id
        if start is None:
            raise ValueError("the encoder-decoder model's config lacks decoder_start_token_id")
        forced = getattr(model.generation_config, "forced_bos_token_id", None)
        super().__init__(model, tokenizer)
        self.decoder_start: list[int] = [start] if forced is None else [start, forced]
        self._generated_from = len(self.decoder_start)
        model.generation_config.decoder_start_token_id = start

    def logits(self, prefix: Embeds, ids: Tensor, mask: Tensor) -> Tensor:
        start = ids.new_tensor(self.decoder_start).expand(len(ids), -1)
        output = self.model(
            **self._encoder_inputs(prefix),
            decoder_input_ids=torch.cat([start, ids[:, :-1]], 1),
            decoder_attention_mask=torch.cat([torch.ones_like(start), mask[:, :-1].long()], 1),
            use_cache=False,
        )
        return output.logits[:, -ids.shape[1] :]

    def _encoder_inputs(self, prefix: Embeds) -> dict[str, Tensor]:
        # mirrored: packed to the left
        packed = pack_right(Embeds(prefix.values.flip(1), prefix.mask.flip(1)))
        return {
            "inputs_embeds": packed.values.flip(1).to(self.token_table.dtype),
            "attention_mask": packed.mask.flip(1).long(),
        }

    def _generation_inputs(self, prefix: Embeds, rows: int) -> dict[str, Any]:
        start = torch.tensor(self.decoder_start, device=prefix.values.device).expand(len(prefix.values), -1)
        return self._encoder_inputs(prefix) | {"decoder_input_ids": start}
