"""From audio embeddings to text: language models, prompts, and guides of the next-token logits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from earwitness.lazy import lazy_exports

__all__ = [
    "CausalLanguageModel",
    "EncoderDecoderLanguageModel",
    "Prompt",
    "RepetitionPenalty",
    "Reranker",
    "Search",
    "TagGuide",
    "TokenGuide",
    "TokenGuideParameters",
    "normalise_caption",
]

if TYPE_CHECKING:
    from earwitness.decoding.causal import CausalLanguageModel
    from earwitness.decoding.prompt import Prompt
    from earwitness.decoding.repetition_penalty import RepetitionPenalty
    from earwitness.decoding.rerank import Reranker
    from earwitness.decoding.search import Search
    from earwitness.decoding.seq2seq import EncoderDecoderLanguageModel
    from earwitness.decoding.tag_guide import TagGuide
    from earwitness.decoding.token_guide import TokenGuide, TokenGuideParameters
    from earwitness.decoding.words import normalise_caption

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "CausalLanguageModel": "causal",
        "EncoderDecoderLanguageModel": "seq2seq",
        "Prompt": "prompt",
        "Reranker": "rerank",
        "RepetitionPenalty": "repetition_penalty",
        "Search": "search",
        "TagGuide": "tag_guide",
        "TokenGuide": "token_guide",
        "TokenGuideParameters": "token_guide",
        "normalise_caption": "words",
    },
)
