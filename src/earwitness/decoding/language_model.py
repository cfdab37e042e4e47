"""Base of language models, which continue a prefix of embeddings with a caption."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn
from transformers import (
    AutoConfig,
    AutoTokenizer,
    GenerationConfig,
    LogitsProcessor,
    LogitsProcessorList,
    NoRepeatNGramLogitsProcessor,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from earwitness.decoding.packing import stack_rows
from earwitness.embeds import Embeds, length_mask


class LanguageModel(nn.Module):
    """Shared by causal and encoder-decoder models: model, tokenizer, captions as ids."""

    auto_class: Any
    encoder_decoder = False

    def __init__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
        super().__init__()
        if tokenizer.eos_token_id is None:
            raise ValueError("the tokenizer has no end-of-sequence token; set tokenizer.eos_token")
        self.model: Any = model
        self.tokenizer = tokenizer
        if len(tokenizer) > self.vocabulary_size:
            raise ValueError(
                f"the tokenizer has {len(tokenizer)} tokens, the model's table only {self.vocabulary_size}"
            )
        self.eos_id: int = tokenizer.eos_token_id
        self.bos_id: int | None = tokenizer.bos_token_id
        self._special_ids = frozenset(tokenizer.all_special_ids)
        # GPT-2 has one special token: what ends a caption never represents an unknown word.
        self._unknown_id = None if tokenizer.unk_token_id == self.eos_id else tokenizer.unk_token_id
        # A checkpoint's own sampling temperature or stop tokens must not leak into captioning.
        model.generation_config = GenerationConfig(
            bos_token_id=self.bos_id, eos_token_id=self.eos_id, pad_token_id=self.eos_id
        )

    @classmethod
    def from_pretrained(
        cls, name_or_folder: str | Path, *, dtype: str | torch.dtype = "auto", **loading: Any
    ) -> Self:
        """Load a model and its tokenizer by Hugging Face name or from a folder. loading: for transformers.

        Raises ValueError, before any weights are read, for a model of the other kind.
        """
        if AutoConfig.from_pretrained(name_or_folder).is_encoder_decoder != cls.encoder_decoder:
            kinds = ("seq2seq", "causal") if cls.encoder_decoder else ("causal", "seq2seq")
            raise ValueError(f"language_model.kind: {kinds[0]} does not fit this model; use kind: {kinds[1]}")
        model = cls.auto_class.from_pretrained(name_or_folder, dtype=dtype, **loading)
        return cls(model, AutoTokenizer.from_pretrained(name_or_folder))

    @classmethod
    def from_config(cls, config: dict[str, Any], tokenizer: PreTrainedTokenizerBase) -> Self:
        """Build a model with random weights. config: its `config.json`, with `model_type` ("llama", ...)."""
        if "model_type" not in config:
            raise ValueError("the language model's config lacks model_type, for example 'llama'")
        return cls(cls.auto_class.from_config(AutoConfig.for_model(**config)), tokenizer)

    @property
    def dim(self) -> int:
        """D_llm, the width of the embedding space."""
        return self.token_table.shape[1]

    @property
    def vocabulary_size(self) -> int:
        return self.token_table.shape[0]

    @property
    def token_table(self) -> Tensor:
        """The weights of the input embeddings, [V, D_llm]; a parameter, not a copy."""
        return self.model.get_input_embeddings().weight

    def embed(self, ids: Tensor) -> Tensor:
        """Token ids [B, L] -> [B, L, D_llm] through the input embedding table."""
        return self.model.get_input_embeddings()(ids)

    def caption_embeddings(self, ids: Tensor, mask: Tensor, like: Embeds) -> Embeds:
        """Embed caption tokens [B, L] as z_t [B, L, D_llm], in the precision of `like`."""
        return Embeds(self.embed(ids).to(like.values.dtype), mask)

    def tokenize(self, text: str, *, special: bool = False) -> list[int]:
        """Return the ids of a text, nothing added. Text like a special token ("</s>") is one only if
        `special`, as in a prompt's own words; in captions and other data it is removed.
        """
        ids = self.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
        return ids if special else [i for i in ids if i not in self._special_ids or i == self._unknown_id]

    def encode_captions(
        self,
        captions: Sequence[str],
        max_tokens: int | None = None,
        device: str | torch.device | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Encode captions as (ids, mask), each [B, L] on the model's device: eos at the end, no bos,
        right-padded.

        max_tokens cuts longer captions, which then have no eos. device: another one; a loader's worker must
        not use the model's GPU.
        """
        rows = [[*self.tokenize(caption), self.eos_id][:max_tokens] for caption in captions]
        longest = max(map(len, rows), default=0)
        device = self.token_table.device if device is None else device
        ids = torch.tensor([row + [self.eos_id] * (longest - len(row)) for row in rows], device=device)
        return ids, length_mask(torch.tensor([len(row) for row in rows], device=device), longest)

    def decode(self, ids: Iterable[int]) -> str:
        """Generated ids -> text up to the end of sequence, single spaces, without any special token."""
        kept: list[int] = []
        for i in ids:
            if i == self.eos_id:
                break
            if i not in self._special_ids:
                kept.append(i)
        return " ".join(str(self.tokenizer.decode(kept)).split())

    @torch.no_grad()
    def generate(
        self,
        prefix: Embeds,
        *,
        beams: int = 3,
        max_new_tokens: int = 40,
        min_new_tokens: int = 2,
        logits_processors: Sequence[LogitsProcessor] = (),
        **sampling: Any,
    ) -> tuple[list[str], Tensor]:
        """Generate captions by beam search (beams=1: greedy; do_sample=True: sampling).

        prefix: [B, P, D_llm]. logits_processors: guides, called with batch x beams rows. sampling: more of
        transformers' GenerationConfig (do_sample, temperature, top_p, num_return_sequences, length_penalty
        ...). Returns the B captions (x num_return_sequences, those of a clip next to each other) and, [B] on
        the model's device, the mean log-probability of their tokens, end of sequence included, as decoded
        with (after the guides, normalised again).
        """
        processors = LogitsProcessorList(logits_processors)
        if size := sampling.pop("no_repeat_ngram_size", 0):  # its own way warns that prefixes have no tokens
            processors.append(NoRepeatNGramLogitsProcessor(size))
        settings = {
            "num_beams": beams,
            "do_sample": False,
            "max_new_tokens": max_new_tokens,
            "min_new_tokens": min(min_new_tokens, max_new_tokens),
            "renormalize_logits": True,  # beam search adds up scores; guided, they must be log-probabilities
            "output_scores": True,  # without them beam search keeps even its sums to itself
            "return_dict_in_generate": True,
        } | sampling
        output = self.model.generate(
            **self._generation_inputs(prefix, rows=max(beams, settings.get("num_return_sequences", 1))),
            generation_config=GenerationConfig(**settings),
            logits_processor=processors,
        )
        tokens = output.sequences[:, self._generated_from :]
        scores = self._mean_log_probabilities(tokens, output, settings)
        return [self.decode(row) for row in tokens.tolist()], scores

    def _mean_log_probabilities(self, tokens: Tensor, output: Any, settings: dict[str, Any]) -> Tensor:
        ended = (tokens == self.eos_id).cumsum(1)
        # up to the first end of sequence, that one included
        real = (ended == 0) | ((ended == 1) & (tokens == self.eos_id))
        lengths = real.sum(1).clamp(min=1)
        sums = getattr(output, "sequences_scores", None)
        if sums is not None:  # beam search: sum / length ** length_penalty
            return sums * lengths ** (settings.get("length_penalty", 1.0) - 1.0)
        steps = [scores.gather(1, tokens[:, i, None]) for i, scores in enumerate(output.scores)]  # normalised
        return torch.cat(steps, 1).masked_fill(~real, 0.0).sum(1) / lengths

    _generated_from = 0  # generate() with embeddings returns new tokens only

    def _generation_inputs(self, prefix: Embeds, rows: int) -> dict[str, Any]:
        """Return the inputs of generate(). rows: generated for each row of the prefix."""
        raise NotImplementedError

    def logits(self, prefix: Embeds, ids: Tensor, mask: Tensor) -> Tensor:
        """Compute logits [B, L, V] by teacher forcing: position i predicts ids[:, i] after prefix and ids[:,
        :i].

        prefix: [B, P, D_llm], padding anywhere. ids: [B, L]. mask: bool [B, L], captions padded on the right;
        logits at padding are undefined.
        """
        raise NotImplementedError

    def branches(self, prefixes: Sequence[Embeds], ids: Tensor, mask: Tensor) -> tuple[Tensor, ...]:
        """`logits` of the same captions after each of several prefixes, computed as one padded batch."""
        count = len(prefixes)
        return self.logits(stack_rows(prefixes), ids.repeat(count, 1), mask.repeat(count, 1)).chunk(count)

    def logits_of_several(self, prefix: Embeds, ids: Tensor, mask: Tensor) -> Tensor:
        """`logits` of several captions of each clip: ids, mask [B, K, L] -> [B, K, L, V]."""
        clips, count, length = ids.shape
        each = Embeds(*(x.repeat_interleave(count, 0) for x in prefix))
        return self.logits(each, ids.flatten(0, 1), mask.flatten(0, 1)).view(clips, count, length, -1)
