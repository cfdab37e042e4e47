"""AudioCaptioningModel: encode -> adapt -> decode. The whole path from waveform to words, in one place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from earwitness.embeds import Embeds


@dataclass
class Trace:
    """What the model computed on the way to a caption; the losses are made from it."""

    h_a: Embeds  # [B, N_a, D]
    z_a: Embeds  # [B, N_g, D_llm]
    z_t: Embeds  # [B, L, D_llm]
    logits: Tensor  # [B, L, V]
    guided_logits: Tensor | None  # [B, L, V]
    tag_logits: Tensor | None  # [B, N_a, tags]


@dataclass
class Decoded:
    """Captions of a batch: texts, mean log-probability per token [B], tag probabilities [B, tags] or None."""

    texts: list[str]
    scores: Tensor
    tags: Tensor | None


class AudioCaptioningModel(nn.Module):
    """An audio encoder, an adapter into a language model's embedding space, and the language model.

    Each slot takes a built part. encoder: waveforms, lengths -> Embeds. adapter: Embeds -> Embeds.
    guide: makes a logits processor from (mean audio embedding, token table), or None.
    """

    def __init__(
        self,
        *,
        encoder: Any,
        adapter: nn.Module,
        language_model: Any,
        prompt: Any,
        guide: Any = None,
        config: Any = None,
    ):
        super().__init__()
        self.encoder, self.adapter, self.language_model = encoder, adapter, language_model
        self.prompt, self.guide, self.config = prompt, guide, config

    @property
    def device(self) -> torch.device:
        return self.language_model.token_table.device

    @property
    def tag_names(self) -> list[str]:
        """Names of the encoder's tags, in the order of `Decoded.tags`; none if it has no names for them."""
        return list(getattr(getattr(self.config, "encoder", None), "tags", []))

    def listen(self, sound: dict[str, Tensor]) -> Embeds:
        """{"waveforms" [B, S], "lengths" [B]} or {"log_mel" [B, 64, F], "frames" [B]} -> h_a [B, N_a, D]."""
        if "log_mel" in sound:
            return self.encoder.encode_log_mel(sound["log_mel"], sound["frames"])
        return self.encoder(sound["waveforms"], sound["lengths"])

    def forward(self, sound: dict[str, Tensor], ids: Tensor, mask: Tensor) -> Trace:
        """Teacher forcing. ids, mask: caption tokens [B, L], end of sentence included, right-padded."""
        h_a = self.listen(sound)  # [B, N_a, D]
        z_a = self.adapter(h_a)  # [B, N_g, D_llm]
        z_t = Embeds(self.language_model.embed(ids), mask)  # [B, L, D_llm]
        prefix = self.prompt.build(self.language_model, z_a)  # [B, P, D_llm]
        logits = self.language_model.logits(prefix, ids, mask)  # [B, L, V]
        guided = self.guide and self.guide(logits, z_a.mean(), self.language_model.token_table)  # [B, L, V]
        tags = self.encoder.tag_logits(h_a) if hasattr(self.encoder, "tag_logits") else None
        return Trace(h_a, z_a, z_t, logits, guided, tags)

    @torch.inference_mode()
    def caption(self, sound: dict[str, Tensor], *, use_guide: bool = True, **decoding: Any) -> Decoded:
        """Captions of a batch of clips. decoding: beams, max_new_tokens, ... of `LanguageModel.generate`."""
        h_a = self.listen(sound)  # [B, N_a, D]
        z_a = self.adapter(h_a)  # [B, N_g, D_llm]
        prefix = self.prompt.build(self.language_model, z_a)  # [B, P, D_llm]
        guides = []
        if self.guide and use_guide:
            guides.append(self.guide.processor(z_a.mean(), self.language_model.token_table))
        texts, scores = self.language_model.generate(prefix, logits_processors=guides, **decoding)
        tags = self.encoder.tag_probabilities(h_a) if hasattr(self.encoder, "tag_probabilities") else None
        return Decoded(texts, scores, tags)

    @classmethod
    def from_pretrained(cls, name_or_folder: str, **loading: Any) -> AudioCaptioningModel:
        """A checkpoint folder or hub name -> the model, in eval mode (see checkpoint.py)."""
        from earwitness.checkpoint import load_checkpoint

        return load_checkpoint(name_or_folder, **loading)

    def save_pretrained(self, folder: str, *, half: bool = False, card: str | None = None) -> None:
        """Writes config.json, model.safetensors (trained tensors only), tokenizer and README.md."""
        from earwitness.checkpoint import save_checkpoint

        save_checkpoint(self, folder, half=half, card=card)
