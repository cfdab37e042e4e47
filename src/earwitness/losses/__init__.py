"""Losses: pure functions, tensors in, one scalar out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from earwitness.lazy import lazy_exports

# Imported at once: the function has its module's name, which would shadow it if it came later.
from earwitness.losses.info_nce import info_nce

__all__ = [
    "caption_cross_entropy",
    "cauchy_schwarz_divergence",
    "distillation_kl",
    "info_nce",
    "ot_alignment_loss",
    "self_critical_loss",
    "tagging_loss",
    "token_cauchy_schwarz",
]

if TYPE_CHECKING:
    from earwitness.losses.caption import caption_cross_entropy
    from earwitness.losses.cauchy_schwarz import cauchy_schwarz_divergence, token_cauchy_schwarz
    from earwitness.losses.distillation import distillation_kl
    from earwitness.losses.ot_alignment import ot_alignment_loss
    from earwitness.losses.self_critical import self_critical_loss
    from earwitness.losses.tagging import tagging_loss

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "caption_cross_entropy": "caption",
        "cauchy_schwarz_divergence": "cauchy_schwarz",
        "distillation_kl": "distillation",
        "ot_alignment_loss": "ot_alignment",
        "self_critical_loss": "self_critical",
        "tagging_loss": "tagging",
        "token_cauchy_schwarz": "cauchy_schwarz",
    },
)
