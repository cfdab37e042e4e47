"""A captioner with retrieval, re-ranking and correction, as a command or a study requests them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from earwitness.captioner import DEFAULT, Captioner
from earwitness.checkpoints.folder import read_config, resolve
from earwitness.config.decoding import CorrectionConfig, RerankConfig
from earwitness.config.errors import ConfigError
from earwitness.config.model import ModelConfig
from earwitness.devices import keep_freed_memory, resolve_device
from earwitness.optional_parts import build_corrector, build_reranker
from earwitness.retrieval import CaptionDatastore


@dataclass(frozen=True)
class Parts:
    """What a captioner is given beside its model.

    retrieve: folder of a datastore. correct: with the model's section `correction`; corrector (an
    instruction-tuned language model, by hub name or folder) and detector (a file) take its values' place. A
    model without the section needs both. frames: pictures are required. stored_frames: pictures come with the
    clips, as those of a manifest do.
    """

    frames: bool = False
    retrieve: Path | None = None
    rerank: bool = False
    correct: bool = False
    corrector: str | None = None
    detector: str | None = None
    stored_frames: bool = False


def load_captioner(
    model: str | None, device: str, dtype: str, parts: Parts, runtime: Any = "auto"
) -> Captioner:
    """Raises ConfigError, before any weights are read, for a part that the model has no section for."""
    keep_freed_memory()
    device = resolve_device(device)
    config = read_config(resolve(model or DEFAULT))
    name = model or "the built-in model"
    correction = checked(config, parts, name)
    store = None if parts.retrieve is None else CaptionDatastore.load(parts.retrieve, device=device)
    given: dict[str, Any] = {
        "datastore": store,
        "reranker": build_reranker(config.rerank or RerankConfig(), device, store) if parts.rerank else None,
        "corrector": build_corrector(correction, device) if correction else None,
        "stored_frames": parts.stored_frames and getattr(config.vision, "kind", None) == "cached",
    }
    captioner = Captioner.from_pretrained(model, device=device, dtype=dtype, runtime=runtime, **given)
    if parts.frames and captioner.sampler is not None:
        captioner.sampler = replace(captioner.sampler, required=True)
    return captioner


def checked(config: ModelConfig, parts: Parts, name: str) -> CorrectionConfig | None:
    """Return the correction section, if requested. Raises ConfigError if the model has none."""
    if parts.frames and config.vision is None:
        raise ConfigError(f"--frames: {name} was not made to watch (its config has no section vision)")
    if parts.retrieve and config.retrieval is None:
        raise ConfigError(
            f"--retrieve: {name} has no prompt for captions of similar sounds (its config has no section "
            "retrieval)"
        )
    if not parts.correct:
        if parts.corrector or parts.detector:
            raise ConfigError("--corrector and --detector go with --correct")
        return None
    own = config.correction.model_dump() if config.correction else {}
    named = {"source": parts.corrector, "detector": parts.detector}
    values = own | {key: value for key, value in named.items() if value}
    if not values.keys() >= {"source", "detector"}:
        raise ConfigError(
            f"--correct: {name} names no error detector and no language model that corrects (its config has "
            "no section correction); name them with --corrector and --detector"
        )
    return CorrectionConfig.model_validate(values)
