"""Parts that a captioner may be given beside its model: the re-ranker and the corrector."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from earwitness.config.decoding import CorrectionConfig, RerankConfig
from earwitness.correction import Corrector, ErrorDetector
from earwitness.decoding.rerank import Reranker
from earwitness.decoding.words import normalise_caption
from earwitness.retrieval import CaptionDatastore, ClapEmbedder
from earwitness.weights import sources
from earwitness.weights.gguf import dequantised

EMBEDDERS: dict[str, Any] = {"clap": ClapEmbedder}
CORRECTORS: dict[str, Any] = {"causal": Corrector}
ERROR_DETECTORS = "https://github.com/blmoistawinde/fense/releases"  # where FENSE publishes its own


def build_reranker(
    section: RerankConfig, device: str = "cpu", datastore: CaptionDatastore | None = None
) -> Reranker:
    """datastore: the captioner's, whose embedder serves both where it is the same."""
    embedder = datastore.embedder if datastore is not None else None
    if embedder is None or embedder.name != section.source:
        embedder = EMBEDDERS[section.kind](section.source, device=device)
    return Reranker(embedder, weight=section.weight)


def build_corrector(section: CorrectionConfig, device: str = "cpu") -> Corrector:
    """Raises SourceError, ValueError or OSError if the detector or language model is not available."""
    if not Path(section.detector).is_file():
        raise sources.SourceError(
            f"correction.detector: there is no file {section.detector}: fetch FENSE's from {ERROR_DETECTORS} "
            "and name its place in the model's config"
        )
    detector = ErrorDetector.from_checkpoint(section.detector, section.detector_encoder).to(device)
    return CORRECTORS[section.kind].from_pretrained(
        dequantised(section.source),
        detector.error_probability,
        device=device,
        threshold=section.threshold,
        normalise=normalise_caption,
    )
