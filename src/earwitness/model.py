"""AudioCaptioningModel: encode -> fuse -> adapt -> decode. The path from waveform to words, in one place."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from earwitness.config.checks import part_fidelity
from earwitness.config.model import ModelConfig
from earwitness.decoding.guides import Encoded
from earwitness.decoding.language_model import LanguageModel
from earwitness.decoding.packing import choose_rows
from earwitness.decoding.prompt import Prompt
from earwitness.decoding.search import Search
from earwitness.decoding.tag_prompt import tag_text
from earwitness.embeds import Embeds
from earwitness.fusion.concat import AudioOnly
from earwitness.levelling import without_offset
from earwitness.slots import Encoder, Fusion, MatchingFusion, TaggingEncoder, TagTrackEncoder, VisionTower

TAG_JITTER = 0.3  # standard deviation of a tag's logit in a training prompt
Captions = Sequence[Sequence[str]]  # those retrieved for each clip, which may be none


@dataclass
class Trace:
    """What the model computed on the way to a caption; the losses are made from it."""

    h_a: Embeds  # [B, N_a, D]
    z_a: Embeds  # [B, N_g, D_llm]
    z_t: Embeds  # [B, L, D_llm]
    logits: Tensor  # [B, L, V]
    guided_logits: Tensor | None  # [B, L, V]
    prefix: Embeds  # [B, P, D_llm], what the caption continues
    h_v: Embeds | None = None  # [B, N_v, D_v]
    match: Any = None  # similarity and log plan, each [B, N_a, N_v], where the fusion transports
    teacher_logits: Tensor | None = None  # [B, L, V], of the branch that sees retrieved captions


@dataclass
class Decoded:
    """Captions of a batch: texts, mean log-probability per token [B], tag probabilities [B, tags] or None."""

    texts: list[str]
    scores: Tensor
    tags: Tensor | None


class AudioCaptioningModel(nn.Module):
    """An audio encoder, an adapter into a language model's embedding space, and the language model.

    Each slot takes a built part. encoder: waveforms, lengths -> Embeds. vision: frames, counts -> Embeds, or
    None. fusion: audio Embeds, visual Embeds -> Embeds (default: the sound alone). adapter: Embeds -> Embeds.
    prompt, retrieval_prompt: the text around the embeddings, without and with retrieved captions.
    search: how captions are searched for. Its parts with weights are slots of the model too, under the names
    by which checkpoints hold them: `guide`, the Token Guide, and `space`, where beams are compared.
    """

    def __init__(
        self,
        *,
        encoder: Encoder,
        adapter: nn.Module,
        language_model: LanguageModel,
        prompt: Prompt,
        vision: VisionTower | None = None,
        fusion: Fusion | MatchingFusion | None = None,
        retrieval_prompt: Prompt | None = None,
        search: Search | None = None,
        config: ModelConfig,
    ):
        super().__init__()
        self.encoder: Encoder = encoder
        self.adapter, self.language_model = adapter, language_model
        self.vision: VisionTower | None = vision
        self.fusion: Fusion | MatchingFusion = fusion or AudioOnly()
        self.prompt, self.retrieval_prompt, self.config = prompt, retrieval_prompt, config
        self.search = search or Search()
        self.guide, self.space = self.search.token_guide, self.search.space
        self.keeps_offset = config is not None and part_fidelity(config, config.encoder) == "released"
        self.card: str | None = None  # the model card, where it was loaded with one

    @property
    def device(self) -> torch.device:
        return self.language_model.token_table.device

    @property
    def resampler(self) -> str:
        """How files are resampled for the encoder: published encoders were trained behind "sinc"."""
        return "sinc" if self.keeps_offset else "soxr"

    @property
    def tag_names(self) -> list[str]:
        """Names of the encoder's tags, in the order of `Decoded.tags`; none if it has no names for them."""
        return list(self.encoder.tag_names) if isinstance(self.encoder, TaggingEncoder) else []

    def listen(self, sound: dict[str, Tensor]) -> Embeds:
        """{"waveforms" [B, S], "lengths" [B]} or {"log_mel" [B, 64, F], "frames" [B]} -> h_a [B, N_a, D].

        Waveforms lose their constant offset, except for an encoder of fidelity "released".
        """
        if "log_mel" in sound:
            return self.encoder.encode_log_mel(sound["log_mel"], sound["frames"])
        waveforms, lengths = sound["waveforms"], sound["lengths"]
        if not self.keeps_offset:
            waveforms = without_offset(waveforms, lengths)
        return self.encoder(waveforms, lengths)

    def watch(self, video: dict[str, Tensor] | None, h_a: Embeds) -> Embeds | None:
        """{"frames" [B, N_v, 3, H, W] or features [B, N_v, D_v], "counts" [B]} -> h_v [B, N_v, D_v].

        Without video, a model that could watch sees nothing: one visual token, masked.
        """
        if self.vision is None:
            if video is not None:
                raise ValueError("this model has no vision; set model.vision, or leave the video out")
            return None
        if video is None:
            nothing = h_a.values.new_zeros(len(h_a.values), 1, self.vision.dim)
            return Embeds(nothing, torch.zeros_like(nothing[..., 0], dtype=torch.bool))
        return self.vision(video["frames"], video.get("counts"))

    def fuse(self, h_a: Embeds, h_v: Embeds | None) -> tuple[Embeds, Any]:
        """h_a, h_v -> h [B, N, D], and the match of a fusion that transports, which its loss needs too."""
        if isinstance(self.fusion, MatchingFusion):
            if h_v is None:
                raise ValueError("this model's fusion needs a vision tower")
            match = self.fusion.match(h_a, h_v)
            return self.fusion(h_a, h_v, match), match
        return self.fusion(h_a, h_v), None

    def prefixes(self, z_a: Embeds, h_a: Embeds, captions: Captions | None) -> list[Embeds]:
        """What the caption continues, [B, P, D_llm]: the plain prompt and, given captions, the informed one.

        A clip without captions keeps the plain prompt. The first tokens of z_a are the audio's where the
        fusion keeps audio and video apart.
        """
        plain = self._fill(self.prompt, z_a, h_a, None)
        if captions is None:
            return [plain]
        if self.retrieval_prompt is None:
            raise ValueError("this model has no prompt for retrieved captions; set model.retrieval")
        informed = self._fill(self.retrieval_prompt, z_a, h_a, captions)
        return [plain, choose_rows([bool(own) for own in captions], informed, plain)]

    def _fill(self, prompt: Prompt, z_a: Embeds, h_a: Embeds, captions: Captions | None) -> Embeds:
        tags = None
        if "<tags>" in prompt.pieces:
            if not isinstance(self.encoder, TaggingEncoder):
                raise ValueError("a prompt with <tags> needs an encoder with tags")
            tags = self.prompt_tags(self.encoder.tag_probabilities(h_a))
        if "<video>" not in prompt.pieces:
            return prompt.build(self.language_model, z_a, captions=captions, tags=tags)
        count = h_a.values.shape[1]
        audio, video = (Embeds(*(x[:, part] for x in z_a)) for part in (slice(count), slice(count, None)))
        return prompt.build(self.language_model, audio, video=video, captions=captions, tags=tags)

    @torch.no_grad()
    def prompt_tags(self, probabilities: Tensor) -> list[str]:
        """Tag probabilities [B, tags] -> the text of `<tags>` for each clip.

        In training they are jittered: the encoder is more certain of its training recordings than of new
        ones.
        """
        logits = probabilities.logit(eps=1e-6)
        if self.training:
            logits = logits + TAG_JITTER * torch.randn_like(logits)
        return [tag_text(self.tag_names, row) for row in logits.sigmoid().tolist()]

    def forward(
        self,
        sound: dict[str, Tensor],
        ids: Tensor,
        mask: Tensor,
        *,
        video: dict[str, Tensor] | None = None,
        captions: Captions | None = None,
        disturb: Callable[[Embeds], Embeds] = lambda h_a: h_a,
    ) -> Trace:
        """Teacher forcing. ids, mask: caption tokens [B, L], end of sentence included, right-padded.

        captions: retrieved ones; then a second branch reads them, in the same batch, from the same z_a.
        disturb: what training does to h_a.
        """
        h_a = disturb(self.listen(sound))  # [B, N_a, D]
        h_v = self.watch(video, h_a)  # [B, N_v, D_v]
        h, match = self.fuse(h_a, h_v)  # [B, N, D]
        z_a = self.adapter(h)  # [B, N_g, D_llm]
        z_t = self.language_model.caption_embeddings(ids, mask, z_a)  # [B, L, D_llm]
        prefixes = self.prefixes(z_a, h_a, captions)  # [B, P, D_llm] each
        logits, *teacher = self.language_model.branches(prefixes, ids, mask)  # [B, L, V] each
        guided = None
        if self.guide is not None:
            guided = self.guide(logits, z_a.mean(), self.language_model.token_table)  # [B, L, V]
        return Trace(h_a, z_a, z_t, logits, guided, prefixes[0], h_v, match, teacher[0] if teacher else None)

    @torch.inference_mode()
    def caption(
        self,
        sound: dict[str, Tensor],
        *,
        video: dict[str, Tensor] | None = None,
        captions: Captions | None = None,
        **decoding: Any,
    ) -> Decoded:
        """Captions of a batch of clips. decoding: beams, use_guide, ... of `Search.caption`."""
        h_a = self.listen(sound)  # [B, N_a, D]
        h, _ = self.fuse(h_a, self.watch(video, h_a))  # [B, N, D]
        z_a = self.adapter(h)  # [B, N_g, D_llm]
        prefix = self.prefixes(z_a, h_a, captions)[-1]  # [B, P, D_llm]
        tags = self.encoder.tag_probabilities(h_a) if isinstance(self.encoder, TaggingEncoder) else None
        times = self.encoder.tag_logits(h_a).sigmoid() if isinstance(self.encoder, TagTrackEncoder) else None
        encoded = Encoded(h_a, z_a, tags, times)
        texts, scores = self.search.caption(self.language_model, prefix, encoded, **decoding)
        return Decoded(texts, scores, tags)
