"""Distillation of an encoder from a tagger, on mixtures that have no labels.

After Beyer et al. 2022, "Knowledge distillation: a good teacher is patient and consistent": teacher and
student take the same input, with strong augmentation, for many steps. A student of the teacher's architecture
is first trained block by block, each on the teacher's input of that block (`local`), so that errors of
earlier blocks do not propagate; then end to end.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from earwitness.build import build_encoder
from earwitness.checkpoints.folder import load_checkpoint
from earwitness.config.errors import ConfigError
from earwitness.config.stages import Imitation, Stage
from earwitness.config.start import CONFIG
from earwitness.config.towers import MobileNetConfig
from earwitness.embeds import Embeds
from earwitness.encoders.inverted_residual import pooled
from earwitness.encoders.mobilenet import MobileNetEncoder
from earwitness.losses.tag_distillation import channel_error, tag_kl
from earwitness.model import AudioCaptioningModel
from earwitness.training.objective import Task

LEAST_PROBABILITY = 1e-6  # of a teacher that gives no logits
KINDS = ("labelled", "unlabelled", "mixture")  # of validation clips, by their number


def build_teacher(model: AudioCaptioningModel, stage: Stage) -> Any:
    """Build the encoder that `stage.teacher` names: of a checkpoint folder, published weights, or a section.

    Raises ConfigError if it cannot be loaded or its sample rate differs from the student's.
    """
    section = stage.teacher
    if isinstance(section, str) and (Path(section) / CONFIG).is_file():
        teacher: Any = load_checkpoint(section).encoder
    else:
        if isinstance(section, str):
            section = MobileNetConfig(kind="mobilenet", source=section)
        teacher = build_encoder(model.config.model_copy(update={"encoder": section}))
    if teacher.sample_rate != model.encoder.sample_rate:
        raise ConfigError(
            f"stage {stage.name}: the teacher's sample rate is {teacher.sample_rate} Hz, the encoder's "
            f"{model.encoder.sample_rate}; set the same sample_rate"
        )
    return teacher.eval()


def clip_logits(encoder: Any, h_a: Embeds) -> Tensor:
    """Return the tag logits [B, tags] of clips from the encoder's tokens."""
    if hasattr(encoder, "clip_tag_logits"):
        return encoder.clip_tag_logits(h_a)
    return encoder.tag_probabilities(h_a).float().logit(eps=LEAST_PROBABILITY)


def same_form(student: Any, teacher: Any) -> bool:
    """Whether student and teacher are MobileNets whose layers have equal output shapes."""
    if not (isinstance(student, MobileNetEncoder) and isinstance(teacher, MobileNetEncoder)):
        return False
    probe = torch.zeros(1, 1, 32, 32)
    maps = [encoder.network.maps(probe.to(next(encoder.parameters()))) for encoder in (student, teacher)]
    return all(a.shape == b.shape for (a, _), (b, _) in zip(*maps))


class DistillationTask(Task):
    """Fit the encoder's tags and features to a teacher's.

    teacher: an encoder with tags, which is frozen. weights: of the terms of the loss. Tags are matched by
    name. Features and maps are compared where both have the same number of channels. A teacher of the
    encoder's architecture takes its input from the encoder's front end.
    """

    ours: Tensor  # [shared tags], indices into the encoder's tags
    theirs: Tensor  # [shared tags], indices into the teacher's tags

    def __init__(self, model: AudioCaptioningModel, weights: Imitation, teacher: Any) -> None:
        super().__init__(model)
        self.encoder = cast(Any, model.encoder)
        self.teacher, self.weights = teacher, weights
        known = {name: i for i, name in enumerate(teacher.tag_names)}
        shared = [(i, known[name]) for i, name in enumerate(self.encoder.tag_names) if name in known]
        if not shared:
            raise ConfigError("distillation: encoder and teacher have no tag in common; set encoder.tags")
        ours, theirs = zip(*shared)
        self.register_buffer("ours", torch.tensor(ours), persistent=False)
        self.register_buffer("theirs", torch.tensor(theirs), persistent=False)
        with torch.no_grad():
            self.alike = same_form(self.encoder.eval(), teacher)
        if weights.local and not self.alike:
            raise ConfigError("distillation: local needs an encoder of the teacher's form (kind and width)")
        self.freeze(teacher)

    def forward(self, sound: dict[str, Tensor], kind: Tensor | None = None, **_: Any) -> dict[str, Tensor]:
        """sound: waveforms [B, S], lengths [B]. kind: [B], indices of KINDS, for evaluation."""
        if not self.training:
            return self.agreement(sound, kind)
        losses = self.by_layers(sound) if self.alike else self.by_answers(sound)
        return self.total(losses, self.weights.model_dump(include=set(losses)))

    def by_answers(self, sound: dict[str, Tensor]) -> dict[str, Tensor]:
        """Losses of a student of any architecture."""
        with torch.no_grad():
            h_t = self.teacher(**sound)
            wanted = clip_logits(self.teacher, h_t)
        h_a = self.encoder(**sound)
        losses = self.of_logits(wanted, clip_logits(self.encoder, h_a))
        if self.encoder.dim == self.teacher.dim:
            losses["features"] = channel_error(h_a.mean(), h_t.mean())
        return losses

    def by_layers(self, sound: dict[str, Tensor]) -> dict[str, Tensor]:
        """Losses of a student of the teacher's architecture; `local`: layers take the teacher's input."""
        x, mask = self.teacher.network_input(*self.encoder.compute_log_mel(**sound))
        with torch.no_grad():
            targets = self.teacher.network.maps(x, mask)
            features = pooled(*targets[-1])
            wanted = self.teacher.network.classifier(features)
        errors = []
        before, own = (x, mask), (x, mask)
        for layer, target in zip(self.encoder.network.features, targets):
            own = layer(*(before if self.weights.local else own))
            added = self.weights.local and getattr(layer, "residual", False)
            # a residual block is compared by what it adds
            errors.append(channel_error(own[0], target[0], target[0] - before[0] if added else None))
            before = target
        student_features = features if self.weights.local else pooled(*own)
        losses = self.of_logits(wanted, self.encoder.network.classifier(student_features))
        maps = torch.stack(errors)
        losses["maps"] = maps.sum() if self.weights.local else maps.mean()
        if not self.weights.local:
            losses["features"] = channel_error(student_features, features)
        return losses

    def of_logits(self, wanted: Tensor, given: Tensor) -> dict[str, Tensor]:
        wanted, given = wanted[:, self.theirs], given[:, self.ours]
        error = (given.float() - wanted.float()).square().mean()
        return {"kl": tag_kl(wanted, given).mean(), "logits": error}

    @torch.no_grad()
    def agreement(self, sound: dict[str, Tensor], kind: Tensor | None) -> dict[str, Tensor]:
        """Sums over the clips of each kind, which `finish` divides by their number."""
        log_mel, frames = self.encoder.compute_log_mel(**sound)
        h_a: Embeds = self.encoder.encode_log_mel(log_mel, frames)
        h_t = self.teacher.encode_log_mel(log_mel, frames) if self.alike else self.teacher(**sound)
        wanted = clip_logits(self.teacher, h_t)[:, self.theirs]
        given = clip_logits(self.encoder, h_a)[:, self.ours]
        kl, same = tag_kl(wanted, given), (wanted.argmax(1) == given.argmax(1)).float()
        out = {"loss": kl.mean()}
        for number, name in enumerate(KINDS):
            chosen = torch.ones_like(kl) if kind is None else (kind == number).float()
            out |= {f"kl_{name}": (kl * chosen).sum(), f"top_tag_{name}": (same * chosen).sum()}
            out[f"clips_{name}"] = chosen.sum()
        return out

    @staticmethod
    def finish(metrics: dict[str, float]) -> dict[str, float]:
        """Means over clips from those of `agreement` over batches; `eval_loss` is the KL of all."""
        counts = {name: metrics[f"eval_clips_{name}"] for name in KINDS}
        done = {
            f"eval_{what}_{name}": metrics[f"eval_{what}_{name}"] / counts[name]
            for what in ("kl", "top_tag")
            for name in KINDS
            if counts[name]
        }
        whole = sum(metrics[f"eval_kl_{name}"] for name in KINDS) / max(sum(counts.values()), 1e-9)
        return {"eval_loss": whole, **done}
