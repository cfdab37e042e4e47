"""A captioner with what a command's options add to its model; refused before any weights are loaded."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from earwitness.captioner import Captioner

# Option -> the section of the model's config that it needs, and what a model without it cannot do.
NEEDS = {
    "--frames": ("vision", "was not made to watch"),
    "--retrieve": ("retrieval", "has no prompt for captions of similar sounds"),
    "--correct": ("correction", "names no error detector and no language model that corrects"),
}


def load_captioner(
    model: str | None,
    device: str,
    dtype: str,
    *,
    frames: bool = False,
    retrieve: Path | None = None,
    rerank: bool = False,
    correct: bool = False,
    runtime: Any = "auto",
) -> Captioner:
    """Raises ConfigError for an option that the model has no section for, MissingExtra for what needs one."""
    from rich.console import Console

    with Console(stderr=True).status("Loading the model"):
        from earwitness.captioner import Captioner
        from earwitness.devices import keep_freed_memory, resolve_device
        from earwitness.extras import require

        keep_freed_memory()
        device, parts = resolve_device(device), {}
        if frames or retrieve or rerank or correct:
            require("torch", "--frames, --retrieve, --rerank and --correct")
            asked = {"--frames": frames, "--retrieve": retrieve, "--correct": correct}
            parts = _parts(_checked_config(model, asked), device, retrieve, rerank, correct)
        captioner = Captioner.from_pretrained(model, device=device, dtype=dtype, runtime=runtime, **parts)
    if frames and captioner.sampler is not None:
        captioner.sampler = replace(captioner.sampler, required=True)
    return captioner


def _checked_config(model: str | None, asked: dict[str, Any]) -> Any:
    from earwitness.checkpoints.folder import read_config, resolve
    from earwitness.config.errors import ConfigError
    from earwitness.loading import DEFAULT

    config = read_config(resolve(model or DEFAULT))
    for option, (section, lack) in NEEDS.items():
        if asked[option] and getattr(config, section) is None:
            name = model or "the built-in model"
            raise ConfigError(f"{option}: {name} {lack} (its config has no section {section})")
    return config


def _parts(config: Any, device: str, retrieve: Path | None, rerank: bool, correct: bool) -> dict[str, Any]:
    from earwitness.config.decoding import RerankConfig
    from earwitness.optional_parts import build_corrector, build_reranker
    from earwitness.retrieval import CaptionDatastore

    store = None if retrieve is None else CaptionDatastore.load(retrieve, device=device)
    return {
        "datastore": store,
        "reranker": build_reranker(config.rerank or RerankConfig(), device, store) if rerank else None,
        "corrector": build_corrector(config.correction, device) if correct else None,
    }
