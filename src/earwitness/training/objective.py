"""Training objectives: named, weighted losses of the model's outputs, one task for each kind of stage."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from earwitness.build import restore_tuning, towers
from earwitness.config.stages import Losses
from earwitness.embeds import Embeds
from earwitness.losses.caption import caption_cross_entropy
from earwitness.losses.cauchy_schwarz import cauchy_schwarz_divergence, token_cauchy_schwarz
from earwitness.losses.gathered import gather_batch, share
from earwitness.losses.info_nce import info_nce
from earwitness.losses.modality_gap import modality_gap
from earwitness.model import AudioCaptioningModel, Trace
from earwitness.training.confusion import confused
from earwitness.training.rag_distillation import distillation, distillation_released, one_more
from earwitness.training.reward import Embed, RetrievalReward
from earwitness.training.self_critical import self_critical
from earwitness.training.transport import transport_loss


def captioning_losses(trace: Trace, ids: Tensor, mask: Tensor, weights: Losses) -> dict[str, Tensor]:
    """Compute the caption and alignment losses with a weight (LAMB Eq. 6-9, 13-14). ids, mask: [B, L].

    With data-parallel processes, the mean over processes is the loss of the whole batch.
    """
    out: dict[str, Tensor] = {}
    tokens = share(mask.sum())

    def cross_entropy(logits: Tensor) -> Tensor:
        return tokens * caption_cross_entropy(logits, ids, mask, label_smoothing=weights.label_smoothing)

    if weights.caption:
        out["caption"] = cross_entropy(trace.logits)
    if weights.guided_caption:
        if trace.guided_logits is None:
            raise ValueError("losses.guided_caption needs a guide in the model section")
        out["guided_caption"] = cross_entropy(trace.guided_logits)
    zbar_a, zbar_t = trace.z_a.mean(), trace.z_t.mean()  # [B, D_llm]
    if weights.cs_global or weights.info_nce:
        zbar_a, zbar_t = gather_batch(zbar_a), gather_batch(zbar_t)
    if weights.cs_global:
        out["cs_global"] = cauchy_schwarz_divergence(zbar_a, zbar_t, weights.sigma)
    if weights.cs_token:
        out["cs_token"] = token_cauchy_schwarz(
            trace.z_a.values, trace.z_t.values, weights.sigma, x_mask=trace.z_a.mask, y_mask=trace.z_t.mask
        )
    if weights.info_nce:
        out["info_nce"] = info_nce(zbar_a, zbar_t, weights.temperature)
    if weights.retrieval_caption:
        if trace.teacher_logits is None:
            raise ValueError("losses.retrieval_caption needs batches with retrieved captions")
        out["retrieval_caption"] = cross_entropy(trace.teacher_logits)
    return out


TAG_DETAIL = 0.1  # weight of the cross-entropies of single tags beside that of their ranking


def scene_tagging_loss(encoder: Any, h_a: Embeds, targets: Tensor) -> Tensor:
    """Tagging loss of a scene: the sum of three cross-entropies. targets: [B, N, tags], 1 where a tag sounds.

    The softmax cross-entropy of the clip's tags makes tags compete, which trains rare tags several times
    faster than binary cross-entropies alone; the binary ones, of the clip and of every token, calibrate them.
    """
    present = targets.amax(1)  # [B, tags]
    clip, tokens = encoder.clip_tag_logits(h_a), encoder.tag_logits(h_a)
    wanted = present / present.sum(1, keepdim=True).clamp(min=1)
    ranking = -(wanted * clip.log_softmax(1)).sum(1).mean()
    each = F.binary_cross_entropy_with_logits(clip, present, reduction="none").sum(1).mean()
    per_token = F.binary_cross_entropy_with_logits(tokens, targets, reduction="none").sum(-1)  # [B, N]
    real = h_a.mask.to(per_token.dtype)
    every = (per_token * real).sum() / real.sum().clamp(min=1)
    return ranking + TAG_DETAIL * (each + every)


class Task(nn.Module):
    """The module that a stage trains: maps a batch to {"loss", and each named loss}."""

    accepts_loss_kwargs = False

    def __init__(self, model: AudioCaptioningModel) -> None:
        """Set the model's towers to train as its config says, whatever earlier stages froze."""
        super().__init__()
        restore_tuning(model)
        frozen = towers(model.config)["language_model"].tune == "freeze"  # encoders freeze their own parts
        self._frozen: tuple[nn.Module, ...] = (model.language_model,) if frozen else ()

    def freeze(self, *parts: nn.Module) -> None:
        """Freeze parts: no gradient, and eval mode, so that batch norms keep their statistics too."""
        self._frozen += parts
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
    """Train the encoder's tags on composed scenes."""

    def __init__(self, model: AudioCaptioningModel, weights: Losses):
        super().__init__(model)
        self.encoder: Any = model.encoder

    def forward(self, sound: dict[str, Tensor], token_tags: Tensor, **_: Any) -> dict[str, Tensor]:
        h_a = self.encoder.encode_log_mel(sound["log_mel"], sound["frames"])
        loss = scene_tagging_loss(self.encoder, h_a, token_tags)
        return self.total({"tagging": loss}, {"tagging": 1.0})

    def clip_tags(self, sound: dict[str, Tensor]) -> Tensor:
        """[B, tags] probabilities, for evaluation."""
        return self.encoder.tag_probabilities(self.encoder.encode_log_mel(sound["log_mel"], sound["frames"]))


class LanguageTask(Task):
    """Train the language model on caption text alone, after its start-of-sentence embedding."""

    def __init__(self, model: AudioCaptioningModel, weights: Losses):
        super().__init__(model)
        self.language_model, self.smoothing = model.language_model, weights.label_smoothing

    def forward(self, ids: Tensor, mask: Tensor, **_: Any) -> dict[str, Tensor]:
        bos: Any = self.language_model.bos_id
        start = self.language_model.embed(torch.full_like(ids[:, :1], bos))
        logits = self.language_model.logits(Embeds.full(start), ids, mask)
        loss = share(mask.sum()) * caption_cross_entropy(logits, ids, mask, label_smoothing=self.smoothing)
        return self.total({"language": loss}, {"language": 1.0})


class LabelsTask(Task):
    """Train the language model on captions of known labels, without audio: the prefix holds tags alone."""

    def __init__(
        self, model: AudioCaptioningModel, weights: Losses, reward: RetrievalReward | None = None
    ) -> None:
        super().__init__(model)
        self.captioner, self.weights, self.reward = model, weights, reward
        self.freeze(*(part for name, part in model.named_children() if name != "language_model"))

    def forward(self, tags: Tensor, ids: Tensor, mask: Tensor, **_: Any) -> dict[str, Tensor]:
        """tags: probabilities [B, tags]. ids, mask: caption tokens [B, L]."""
        language_model, weights = self.captioner.language_model, self.weights
        no_audio = Embeds.full(language_model.token_table.new_zeros(len(ids), 0, language_model.dim))
        prefix = self.captioner.prompt.build(language_model, no_audio, tags=self.captioner.prompt_tags(tags))
        logits = language_model.logits(prefix, ids, mask)
        caption = caption_cross_entropy(logits, ids, mask, label_smoothing=weights.label_smoothing)
        losses = {"caption": share(mask.sum()) * caption}
        if self.reward:
            losses["self_critical"] = self_critical(
                language_model, self.reward, prefix, ids, training=self.training
            )
        return self.total(losses, weights.model_dump(include=set(losses)))


class WholeTask(Task):
    """Base of tasks that need the whole model. confusion: noise scale of h_a in training (`confused`)."""

    def __init__(self, model: AudioCaptioningModel, weights: Losses, *, confusion: float = 0.0) -> None:
        super().__init__(model)
        self.model, self.weights, self.confusion = model, weights, confusion

    def disturb(self, h_a: Embeds) -> Embeds:
        return confused(h_a, self.confusion) if self.training and self.confusion else h_a

    def generate(self, *args: Any, **kwargs: Any) -> Any:
        """As the model's `caption`; under this name Trainer has FSDP gather the weights that it needs."""
        return self.model.caption(*args, **kwargs)


class AlignmentTask(WholeTask):
    """Train the joint space in which beams are chosen, by InfoNCE; the rest of the model is frozen.

    teacher: texts -> unit vectors [N, D], D that of the space; targets for the vectors of captions.
    """

    def __init__(
        self,
        model: AudioCaptioningModel,
        weights: Losses,
        teacher: Embed | None = None,
        *,
        confusion: float = 0.0,
    ) -> None:
        super().__init__(model, weights, confusion=confusion)
        self.teacher = teacher
        self.freeze(*(part for name, part in model.named_children() if name != "space"))

    def forward(self, sound: dict[str, Tensor], ids: Tensor, mask: Tensor, **_: Any) -> dict[str, Tensor]:
        space: Any = self.model.space
        with torch.no_grad():
            h_a = self.disturb(self.model.listen(sound))
            z_t = self.model.language_model.caption_embeddings(ids, mask, h_a)
        audio, text = space.embed_audio(h_a), space.embed_text(z_t)  # [B, D]
        pairs = gather_batch(audio), gather_batch(text)
        losses = {"info_nce": info_nce(*pairs, self.weights.temperature)}
        if self.teacher:
            taught = torch.from_numpy(
                self.teacher([self.model.language_model.decode(i) for i in ids.tolist()])
            )
            losses["sentence"] = (1 - F.cosine_similarity(text, taught.to(text))).mean()
        return self.total(losses, {"info_nce": 1.0, "sentence": self.weights.sentence})


class CaptioningTask(WholeTask):
    """Train on captions, guided captions, alignment, distillation, and tags where the batch has them.

    A batch may hold `video` (see `AudioCaptioningModel.watch`) and `captions`, those retrieved for each clip.
    """

    def __init__(
        self,
        model: AudioCaptioningModel,
        weights: Losses,
        reward: RetrievalReward | None = None,
        *,
        confusion: float = 0.0,
    ) -> None:
        super().__init__(model, weights, confusion=confusion)
        self.reward = reward
        if isinstance(model.space, nn.Module):  # no loss of this task depends on it
            self.freeze(model.space)
        self.released = model.config.fidelity == "released"

    def forward(self, sound: dict[str, Tensor], ids: Tensor, mask: Tensor, **known: Any) -> dict[str, Tensor]:
        weights = self.weights
        if self.released and weights.distillation:
            ids, mask = one_more(ids, mask)
        given = {name: known.get(name) for name in ("video", "captions")}
        trace = self.model(sound, ids, mask, **given, disturb=self.disturb)
        if not weights.align_end:
            ends = ids == self.model.language_model.eos_id
            trace = replace(trace, z_t=trace.z_t.without(ends))
        losses = captioning_losses(trace, ids, mask, weights)
        if weights.ot_alignment:
            losses["ot_alignment"] = transport_loss(self.model, trace, weights.ot_temperature)
        if weights.distillation:
            if self.released:
                losses["distillation"] = distillation_released(trace, weights.distillation_temperature)
            else:
                temperature = weights.distillation_temperature
                losses["distillation"] = share(mask.sum()) * distillation(trace, mask, temperature)
        if self.reward:
            losses["self_critical"] = self_critical(
                self.model.language_model, self.reward, trace.prefix, ids, training=self.training
            )
        if weights.tagging and "token_tags" in known:
            losses["tagging"] = scene_tagging_loss(self.model.encoder, trace.h_a, known["token_tags"])
        out = self.total(losses, weights.model_dump(include=set(losses)))
        if not self.training and trace.z_a.values.shape[1]:
            gap = modality_gap(trace.z_a.mean(), trace.z_t.mean())
            out |= {f"modality_gap_{name}": value for name, value in gap.items()}
        return out


TASKS: dict[str, type[Task]] = {
    "tagging": TaggingTask,
    "language": LanguageTask,
    "labels": LabelsTask,
    "captioning": CaptioningTask,
    "alignment": AlignmentTask,
}
