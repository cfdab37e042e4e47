"""The search for captions: beams, guides and penalties, and the choice of a beam by its audio."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor
from transformers import LogitsProcessor

from earwitness.decoding.beam_choice import MeanSpace, Space, most_aligned
from earwitness.decoding.guides import Encoded, Guide
from earwitness.decoding.language_model import LanguageModel
from earwitness.decoding.token_guide import TokenGuideParameters
from earwitness.embeds import Embeds


@dataclass
class Search:
    """How a model searches for captions.

    guides: raise the scores of tokens that fit the audio. repetition: a logits processor that lowers those of
    words already generated, or None. alignment: weight of a beam's cosine with the audio, measured in
    `space`, beside its mean log-probability; 0 takes the beam that the search ranks first. no_repeat_ngram:
    a run of so many tokens occurs once in a caption; 0: no limit. max_new_tokens: of a caption.
    length_penalty: beams are ranked by
    log-probability / length ** length_penalty.
    """

    guides: Sequence[Guide] = ()
    repetition: LogitsProcessor | None = None
    space: Space = field(default_factory=MeanSpace)
    alignment: float = 0.0
    beams: int = 3
    no_repeat_ngram: int = 0
    max_new_tokens: int = 40
    length_penalty: float = 1.0

    @property
    def token_guide(self) -> TokenGuideParameters | None:
        """The guide that is trained with the model, if there is one."""
        return next((guide for guide in self.guides if isinstance(guide, TokenGuideParameters)), None)

    def caption(
        self,
        language_model: LanguageModel,
        prefix: Embeds,
        encoded: Encoded,
        *,
        use_guide: bool = True,
        **options: Any,
    ) -> tuple[list[str], Tensor]:
        """Decode captions after the prefix [B, P, D_llm]; return them and their mean log-probabilities [B].

        options: of `LanguageModel.generate`, in place of the search's own. Sampling and several captions per
        clip (`num_return_sequences`) return all candidates: no beam is chosen.
        """
        options = self._with_defaults(options)
        choose = self.alignment > 0 and not options.keys() & {"num_return_sequences", "do_sample"}
        if choose:
            options["num_return_sequences"] = options["beams"]
        processors = list(self._processors(language_model, encoded, use_guide))
        texts, scores = language_model.generate(prefix, logits_processors=processors, **options)
        if not choose:
            return texts, scores
        rows = self._best(language_model, encoded, texts, scores)
        return [texts[row] for row in rows.tolist()], scores[rows]

    def _with_defaults(self, options: dict[str, Any]) -> dict[str, Any]:
        own: dict[str, Any] = {"beams": self.beams, "max_new_tokens": self.max_new_tokens}
        if self.no_repeat_ngram:
            own["no_repeat_ngram_size"] = self.no_repeat_ngram
        if options.get("beams", self.beams) > 1:
            own["length_penalty"] = self.length_penalty
        return own | options

    def _processors(
        self, language_model: LanguageModel, encoded: Encoded, use_guide: bool
    ) -> Iterator[LogitsProcessor]:
        if use_guide:
            yield from (guide.processor(encoded, language_model.token_table) for guide in self.guides)
        if self.repetition is not None:
            yield self.repetition

    def _best(
        self, language_model: LanguageModel, encoded: Encoded, texts: Sequence[str], scores: Tensor
    ) -> Tensor:
        """Return the row of each clip's best beam, [B]."""
        ids, mask = language_model.encode_captions(texts)
        z_t = language_model.caption_embeddings(ids, mask, encoded.z_a)
        audio, captions = self.space.embed_audio(encoded.h_a, encoded.z_a), self.space.embed_text(z_t)
        return most_aligned(audio, captions, scores, self.alignment)
