"""A captioner as ONNX graphs: from sounds to words without torch, from top to bottom.

Its folder is what `earwitness export --onnx` writes: a checkpoint with graphs that refer into its weights,
and runtime.json.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from earwitness.decoding.tag_prompt import tag_text
from earwitness.decoding.words import normalise_caption
from earwitness.runtime.beam_search import Processor, beam_search
from earwitness.runtime.graphs import Continuation, Graphs
from earwitness.runtime.guides import (
    OrderGuide,
    RepetitionPenalty,
    TagGuide,
    token_guide,
    without_repeated_ngrams,
)
from earwitness.runtime.prompt import LaidOut, lay_out
from earwitness.runtime.protocol import NO_JOINT_SPACE, Array, Captions, Decoded, Pictures
from earwitness.runtime.settings import WEIGHTS, ExportError, Settings
from earwitness.runtime.spectrogram import FRONT_ENDS, without_offset
from earwitness.runtime.text import Text
from earwitness.runtime.weights import layout

MOST_FRAMES = 4096  # of log-mel encoded at once: bounds memory; more at once is no faster
OPTIONS = {
    "beams",
    "max_new_tokens",
    "min_new_tokens",
    "length_penalty",
    "no_repeat_ngram_size",
    "num_return_sequences",
}


class OnnxModel:
    """A captioning model on ONNX Runtime, on the CPU. Its methods: protocol.CaptioningModel."""

    pictures: Pictures | None = None
    retrieved_captions = 0
    tags_over_time = tags_clips = True
    resampler = "soxr"

    def __init__(self, folder: str | Path) -> None:
        """Raises ExportError for a folder without graphs, or whose graphs are of other weights."""
        folder = Path(folder)
        self.settings = settings = Settings.read(folder)
        if layout(folder / WEIGHTS) != settings.layout:
            raise ExportError(f"{folder}: its graphs were not made for its {WEIGHTS}: export the model again")
        self.sample_rate, self.max_seconds = settings.sample_rate, settings.max_seconds
        self.beams, self.tag_names = settings.beams, settings.tags
        self.calibration = settings.calibration
        self._graphs, self._text = Graphs(folder), Text(folder, settings)
        self._graphs.load_ahead()
        self._log_mel = FRONT_ENDS[settings.front_end]
        vocabulary, size = self._text.vocabulary, settings.vocabulary_size
        self._tag_guide = self._order_guide = self._repetition = None
        if settings.tag_guide:
            self._tag_guide = TagGuide(settings.tags, vocabulary, size, settings.tag_guide)
        if settings.order_guide:
            self._order_guide = OrderGuide(settings.tags, vocabulary, size)
        if settings.repetition:
            self._repetition = RepetitionPenalty(vocabulary, size, settings.repetition)

    def caption(
        self,
        sounds: Sequence[Array],
        *,
        frames: Sequence[NDArray[np.uint8] | None] | None = None,
        captions: Captions | None = None,
        use_guide: bool = True,
        **decoding: Any,
    ) -> Decoded:
        """Encode -> adapt -> prompt -> search -> choose a beam."""
        if frames is not None or captions is not None:
            raise ValueError("this model takes neither pictures nor captions of similar sounds")
        if unknown := decoding.keys() - OPTIONS:
            raise ValueError(
                f"ONNX Runtime searches with beams and does not know {', '.join(sorted(unknown))}: "
                "load the model with runtime='torch'"
            )
        z_a, audio, tags, over_time = self._adapted(sounds)
        language_model = Continuation(self._graphs, self._prompt(tags), z_a)
        processors: list[Processor] = []
        if use_guide:
            processors += [token_guide(language_model.change), *self._guides(tags, over_time)]
        processors += [] if self._repetition is None else [self._repetition]
        if size := decoding.get("no_repeat_ngram_size", self.settings.no_repeat_ngram):
            processors.append(without_repeated_ngrams(size))
        most = decoding.get("max_new_tokens", self.settings.max_new_tokens)
        found = beam_search(
            language_model,
            processors,
            end=self.settings.eos_id,
            beams=decoding.get("beams", self.beams),
            max_new_tokens=most,
            min_new_tokens=min(decoding.get("min_new_tokens", 2), most),
            length_penalty=decoding.get("length_penalty", self.settings.length_penalty),
        )
        scores: Array = (found.log_probabilities / found.lengths).astype(np.float32)
        texts = [[self._text.decode(beam) for beam in clip] for clip in found.ids.tolist()]
        if "num_return_sequences" in decoding or not self.settings.alignment:
            count = decoding.get("num_return_sequences", 1)
            return Decoded(
                [text for own in texts for text in own[:count]], scores[:, :count].reshape(-1), tags
            )
        best = (scores + self.settings.alignment * self._alignment(audio, texts)).argmax(1)
        return Decoded([own[i] for own, i in zip(texts, best)], scores[np.arange(len(best)), best], tags)

    def tag_logits(self, sounds: Sequence[Array]) -> list[Array]:
        rows: dict[int, Array] = {}
        for places, _, logits, _ in self._encoded(sounds):
            rows |= zip(places, logits)
        return [rows[place] for place in range(len(sounds))]

    def tag_probabilities(self, sounds: Sequence[Array]) -> Array:
        rows: dict[int, Array] = {}
        for places, _, _, probabilities in self._encoded(sounds):
            rows |= zip(places, probabilities)
        return np.stack([rows[place] for place in range(len(sounds))])

    def embed_texts(self, texts: Sequence[str]) -> Array:
        if not self.settings.joint_space:
            raise ValueError(NO_JOINT_SPACE)
        return self._read([normalise_caption(text) for text in texts])

    def _guides(self, tags: Array, over_time: Sequence[Array]) -> Iterator[Processor]:
        if self._tag_guide is not None:
            yield self._tag_guide.processor(tags)
        if self._order_guide is not None:
            yield self._order_guide.processor(tags, over_time)

    def _adapted(self, sounds: Sequence[Array]) -> tuple[Array, Array, Array, list[Array]]:
        """z_a [B, N_g, D_llm]; the sounds in the space where beams are chosen [B, dim]; the probabilities of
        their tags [B, tags], and the logits over time [N, tags] of each.
        """
        rows: dict[int, tuple[Array, ...]] = {}
        for places, *encoded in self._encoded(sounds):
            rows |= zip(places, zip(*encoded))
        h_a, over_time, tags = zip(*(rows[place] for place in range(len(sounds))))
        adapted: dict[int, tuple[Array, ...]] = {}
        for places in _alike(h_a):  # the larger the batch, the less its recurrent layers take for each clip
            adapted |= zip(places, zip(*self._graphs("adapt", np.stack([h_a[place] for place in places]))))
        z_a, audio = (np.stack(x) for x in zip(*(adapted[place] for place in range(len(sounds)))))
        return z_a, audio, np.stack(tags), list(over_time)

    def _encoded(self, sounds: Sequence[Array]) -> Iterator[tuple[list[int], Array, Array, Array]]:
        """Clips of one length at a time, so that nothing is padded: their places, h_a, tag logits of tokens,
        tags.
        """
        with ThreadPoolExecutor(os.cpu_count()) as threads:
            spectra = list(threads.map(lambda sound: self._log_mel(without_offset(sound)), sounds))
        for alike in _alike(spectra):
            count = max(1, MOST_FRAMES // spectra[alike[0]].shape[1])
            for first in range(0, len(alike), count):
                some = alike[first : first + count]
                yield some, *self._graphs("encode", np.stack([spectra[place] for place in some]))  # type: ignore[misc]

    def _prompt(self, tags: Array) -> LaidOut:
        rows = tags.clip(1e-6, 1 - 1e-6).tolist()
        return lay_out(
            self.settings.prompt,
            [tag_text(self.tag_names, row) for row in rows],
            audio_tokens=self.settings.audio_tokens,
            bos_id=self.settings.bos_id,
            tokenize=self._text.tokenize,
        )

    def _read(self, texts: Sequence[str]) -> Array:
        """Captions -> vectors of the space where beams are chosen."""
        (vectors,) = self._graphs("read", *self._text.encode_captions(texts))
        return vectors

    def _alignment(self, audio: Array, texts: Sequence[Sequence[str]]) -> Array:
        """The cosine of each clip's audio with each of its beams, [B, n]."""
        said = self._read([text for own in texts for text in own])
        cosine: Array = (_unit(said).reshape(len(texts), -1, said.shape[1]) @ _unit(audio)[:, :, None])[
            ..., 0
        ]
        return cosine


def _alike(arrays: Sequence[Array]) -> list[list[int]]:
    """The places of the arrays of each shape."""
    places: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for place, array in enumerate(arrays):
        places[array.shape].append(place)
    return list(places.values())


def _unit(x: Array) -> Array:
    return x / np.linalg.norm(x, axis=1, keepdims=True).clip(1e-8)
