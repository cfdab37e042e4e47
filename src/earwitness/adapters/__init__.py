"""Adapters map audio tokens h_a [B, N_a, D] to audio embeddings z_a [B, N_g, D_llm]."""

from __future__ import annotations

from typing import TYPE_CHECKING

from earwitness.lazy import lazy_exports

__all__ = ["Chain", "FftAdapter", "LinearAdapter", "MlpAdapter", "QFormerAdapter", "TwoStreamAdapter"]

if TYPE_CHECKING:
    from earwitness.adapters.chain import Chain
    from earwitness.adapters.fft import FftAdapter
    from earwitness.adapters.linear import LinearAdapter
    from earwitness.adapters.mlp import MlpAdapter
    from earwitness.adapters.qformer import QFormerAdapter
    from earwitness.adapters.two_stream import TwoStreamAdapter

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "Chain": "chain",
        "FftAdapter": "fft",
        "LinearAdapter": "linear",
        "MlpAdapter": "mlp",
        "QFormerAdapter": "qformer",
        "TwoStreamAdapter": "two_stream",
    },
)
