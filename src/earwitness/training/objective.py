"""From what the model computed to named, weighted losses: the one place where losses meet the model."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from earwitness.config import Losses
from earwitness.embeds import Embeds
from earwitness.encoders.conv import clip_logits
from earwitness.losses.caption import caption_cross_entropy
from earwitness.losses.cauchy_schwarz import cauchy_schwarz_divergence, token_cauchy_schwarz
from earwitness.losses.info_nce import info_nce
from earwitness.model import AudioCaptioningModel, Trace


def captioning_losses(trace: Trace, ids: Tensor, mask: Tensor, weights: Losses) -> dict[str, Tensor]:
    """The losses of LAMB that have a weight (Eq. 6-9, 13-14). ids, mask: [B, L]."""
    out: dict[str, Tensor] = {}
    smoothing = weights.label_smoothing
    if weights.caption:
        out["caption"] = caption_cross_entropy(trace.logits, ids, mask, label_smoothing=smoothing)
    if weights.guided_caption:
        if trace.guided_logits is None:
            raise ValueError("losses.guided_caption needs a guide in the model section")
        out["guided_caption"] = caption_cross_entropy(
            trace.guided_logits, ids, mask, label_smoothing=smoothing
        )
    zbar_a, zbar_t = trace.z_a.mean(), trace.z_t.mean()  # [B, D_llm]
    if weights.cs_global:
        out["cs_global"] = cauchy_schwarz_divergence(zbar_a, zbar_t, weights.sigma)
    if weights.cs_token:
        out["cs_token"] = token_cauchy_schwarz(
            trace.z_a.values, trace.z_t.values, weights.sigma, x_mask=trace.z_a.mask, y_mask=trace.z_t.mask
        )
    if weights.info_nce:
        out["info_nce"] = info_nce(zbar_a, zbar_t, weights.temperature)
    return out


def scene_tagging_loss(token_logits: Tensor, mask: Tensor, targets: Tensor) -> Tensor:
    """Binary cross-entropy of every token's tags and of the clip's, each summed over tags.

    token_logits, targets: [B, N, tags]. Scenes know when each recording sounds, so every token teaches.
    """
    per_token = F.binary_cross_entropy_with_logits(token_logits, targets, reduction="none").sum(-1)
    weight = mask.to(per_token.dtype)
    clip = F.binary_cross_entropy_with_logits(
        clip_logits(token_logits, mask), targets.amax(1), reduction="none"
    ).sum(-1)
    return (per_token * weight).sum() / weight.sum().clamp(min=1) + clip.mean()


class Task(nn.Module):
    """What a stage trains: a batch in, {"loss", and each named loss} out."""

    accepts_loss_kwargs = False

    def __init__(self) -> None:
        super().__init__()
        self._frozen: tuple[nn.Module, ...] = ()

    def freeze(self, *parts: nn.Module) -> None:
        """Frozen means frozen: no gradient, and eval mode, so that batch norms keep their statistics too."""
        self._frozen = parts
        for part in parts:
            part.requires_grad_(False)
        self.train(self.training)

    def train(self, mode: bool = True) -> Task:
        super().train(mode)
        for part in self._frozen:
            part.eval()
        return self

    @staticmethod
    def total(losses: dict[str, Tensor], weights: dict[str, float]) -> dict[str, Tensor]:
        loss = torch.stack([weights[name] * value for name, value in losses.items()]).sum()
        return {"loss": loss, **{name: value.detach() for name, value in losses.items()}}


class TaggingTask(Task):
    """The encoder's tags on composed scenes."""

    def __init__(self, model: AudioCaptioningModel, weights: Losses):
        super().__init__()
        self.encoder = model.encoder

    def forward(self, sound: dict[str, Tensor], token_tags: Tensor, **_: Any) -> dict[str, Tensor]:
        h_a = self.encoder.encode_log_mel(sound["log_mel"], sound["frames"])
        loss = scene_tagging_loss(self.encoder.tag_logits(h_a), h_a.mask, token_tags)
        return self.total({"tagging": loss}, {"tagging": 1.0})

    def clip_tags(self, sound: dict[str, Tensor]) -> Tensor:
        """[B, tags] probabilities, for evaluation."""
        return self.encoder.tag_probabilities(self.encoder.encode_log_mel(sound["log_mel"], sound["frames"]))


class LanguageTask(Task):
    """The language model on caption text alone; the prefix is its own start-of-sentence embedding."""

    def __init__(self, model: AudioCaptioningModel, weights: Losses):
        super().__init__()
        self.language_model, self.smoothing = model.language_model, weights.label_smoothing

    def forward(self, ids: Tensor, mask: Tensor, **_: Any) -> dict[str, Tensor]:
        start = self.language_model.embed(torch.full_like(ids[:, :1], self.language_model.bos_id))
        logits = self.language_model.logits(Embeds.full(start), ids, mask)
        loss = caption_cross_entropy(logits, ids, mask, label_smoothing=self.smoothing)
        return self.total({"language": loss}, {"language": 1.0})


class CaptioningTask(Task):
    """Everything: captions, guided captions, alignment, and tags where the batch knows them."""

    def __init__(self, model: AudioCaptioningModel, weights: Losses):
        super().__init__()
        self.model, self.weights = model, weights

    def forward(self, sound: dict[str, Tensor], ids: Tensor, mask: Tensor, **known: Any) -> dict[str, Tensor]:
        trace = self.model(sound, ids, mask)
        losses = captioning_losses(trace, ids, mask, self.weights)
        if self.weights.tagging and "token_tags" in known:
            losses["tagging"] = scene_tagging_loss(trace.tag_logits, trace.h_a.mask, known["token_tags"])
        return self.total(losses, self.weights.model_dump(include=set(losses)))


TASKS: dict[str, type[Task]] = {
    "tagging": TaggingTask,
    "language": LanguageTask,
    "captioning": CaptioningTask,
}
