"""Captioner with all that a model can be given: pictures, similar captions, re-ranking, correction."""

from __future__ import annotations

import io
import logging
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from earwitness.captioner import Captioner
from earwitness.captions import merge_neighbours
from earwitness.config.model import ModelConfig
from earwitness.correction import Correction
from earwitness.decoding import Reranker, normalise_caption
from earwitness.encoders.frames import prepare_frames
from earwitness.media import reading as media
from earwitness.optional_parts import build_corrector, build_reranker
from earwitness.retrieval import CaptionDatastore, ClapEmbedder
from earwitness.runtime import TorchModel

sys.path += [str(Path(__file__).parent), str(Path(__file__).parent / "systems")]
from test_presets import build, tiny

from media_samples import mux, tones
from tiny_parts import write_chat_model, write_clap, write_error_detector

RATE = 16_000
FAST = {"max_new_tokens": 6}
KNOWN = ["A dog barks.", "rain falls", "birds sing", "a man speaks", "wind blows"]


@pytest.fixture(scope="module")
def config(tmp_path_factory) -> ModelConfig:
    """The preset `all` at tiny width, its CLAP, detector and corrector in local folders."""
    folder = tmp_path_factory.mktemp("parts")
    data = tiny("all")[0].model_dump()
    data["rerank"]["source"] = str(write_clap(folder / "clap"))
    data["correction"]["source"] = str(write_chat_model(folder / "chat"))
    data["correction"]["detector"] = str(write_error_detector(folder / "detector"))
    data["correction"]["threshold"] = 0.5
    return ModelConfig.model_validate(data)


@pytest.fixture(scope="module")
def model(config) -> Any:
    return build(config)


@pytest.fixture(scope="module")
def clap(config) -> ClapEmbedder:
    return ClapEmbedder(config.rerank.source)


@pytest.fixture(scope="module")
def store(clap) -> CaptionDatastore:
    return CaptionDatastore.build(KNOWN, [f"clip{i}" for i in range(len(KNOWN))], clap)


def film(levels: list[int], seconds: float = 2.0) -> bytes:
    """A video of grey pictures, ten a second, over the same sound."""
    return mux("mp4", tones(seconds, 44_100), 44_100, levels=levels)


def clips() -> list[Any]:
    noise = 0.1 * np.random.default_rng(0).standard_normal(3 * RATE).astype(np.float32)
    return [film([40] * 20), noise, film([40, 200] * 6, 1.3), noise[: RATE // 2], tones(1.0, RATE)[0]]


def same(a: Any, b: Any) -> bool:
    return (a.text, a.uncorrected) == (b.text, b.uncorrected) and math.isclose(a.score, b.score, abs_tol=1e-5)


def test_everything_at_once_a_clip_alone_equals_the_clip_in_a_batch(model, config, store):
    captioner = Captioner(
        TorchModel(model),
        datastore=store,
        reranker=build_reranker(config.rerank, datastore=store),
        corrector=build_corrector(config.correction),
    )
    assert captioner.reranker.embedder is store.embedder  # one CLAP, loaded once
    sources = clips()
    for beams in (2, 4):
        together = captioner(sources, batch_size=5, beams=beams, **FAST)
        alone = [captioner(source, beams=beams, **FAST) for source in sources]
        assert all(same(a, b) for a, b in zip(together, alone, strict=True))
    assert len({c.text for c in together}) > 2
    assert len(together[0].tags) >= 1  # CED's own


def test_pictures_reach_the_model_as_its_rate_and_size_ask(model):
    captioner = Captioner(TorchModel(model))
    source = film(list(range(0, 200, 10)))
    audio = media.load_audio(source, RATE)
    pictures, times = media.sample_frames(source, 2.0, 0.0, audio.duration, 32)
    assert len(times) >= 4
    sound = {
        "waveforms": torch.from_numpy(audio.waveform)[None],
        "lengths": torch.tensor([len(audio.waveform)]),
    }
    video = {"frames": prepare_frames(pictures, 32)[None], "counts": torch.tensor([len(pictures)])}
    expected = model.caption(sound, video=video, **FAST)
    caption = captioner(source, **FAST)
    assert caption.text == expected.texts[0]
    assert caption.score == pytest.approx(expected.scores.exp().item(), abs=1e-6)
    blind = captioner(audio.waveform, **FAST)
    assert blind.score == pytest.approx(model.caption(sound, **FAST).scores.exp().item(), abs=1e-6)
    assert abs(blind.score - caption.score) > 1e-4  # else the model does not watch and the test is void


def test_a_video_may_be_bytes_a_file_or_a_file_object(model, tmp_path):
    captioner, data = Captioner(TorchModel(model)), film([10, 250] * 10)
    (tmp_path / "film.mp4").write_bytes(data)
    with (tmp_path / "film.mp4").open("rb") as file:
        captions = captioner([data, tmp_path / "film.mp4", file, io.BytesIO(data)], **FAST)
        file.seek(0)
        windows = list(captioner.timeline(file, window=0.7, **FAST))
    assert len({c.text for c in captions}) == 1
    # equal rows of a batch may differ in their last bit: on AMD EPYC they do
    assert [c.score for c in captions] == pytest.approx([captions[0].score] * 4, abs=1e-6)
    assert [c.source for c in captions][1:] == [str(tmp_path / "film.mp4")] * 2 + ["<file object>"]
    path = list(captioner.timeline(tmp_path / "film.mp4", window=0.7, **FAST))
    assert [(c.text, c.start) for c in windows] == [(c.text, c.start) for c in path]


def test_each_window_shows_its_own_pictures_and_the_sound_outlasts_them(model, caplog):
    """Dark, then bright, then no pictures at all; the sound goes on."""
    source = mux("mp4", np.tile(tones(1.0, 44_100), 3), 44_100, levels=[0] * 10 + [250] * 10)
    captioner = Captioner(TorchModel(model))
    with caplog.at_level(logging.WARNING, "earwitness"):
        dark, bright, blind = captioner.timeline(source, window=1.0, **FAST)
    assert len({round(c.score, 4) for c in (dark, bright, blind)}) == 3
    assert "captioned from its audio alone" in caplog.text


def test_a_model_that_only_watches_refuses_a_sound(config):
    data = config.model_dump() | {"fusion": {"kind": "visual_only"}}
    captioner = Captioner(TorchModel(build(ModelConfig.model_validate(data))))
    refused = []
    captions = captioner(clips()[:2], on_error=lambda source, error: refused.append(str(error)), **FAST)
    assert captions[0] is not None and captions[1] is None
    assert refused == ["<array>: has no video, which is required here"]


def test_frame_features_of_no_video_are_refused(config):
    data = config.model_dump() | {"vision": {"kind": "cached", "dim": 20}}
    with pytest.raises(ValueError, match=r"frame features computed before \(vision.kind: cached\)"):
        Captioner(TorchModel(build(ModelConfig.model_validate(data))))


def test_the_nearest_captions_are_shown_in_training_s_form(model, store, clap):
    noise = clips()[1]
    nearest = store.retrieve(clap.embed_audio([noise], RATE), model.config.retrieval.count)[0]
    sound = {"waveforms": torch.from_numpy(noise)[None], "lengths": torch.tensor([len(noise)])}
    shown = [normalise_caption(found.caption) for found in nearest]
    expected = model.caption(sound, captions=[shown], **FAST)
    caption = Captioner(TorchModel(model), datastore=store)(noise, **FAST)
    assert caption.text == expected.texts[0]
    assert caption.score == pytest.approx(expected.scores.exp().item(), abs=1e-6)
    assert abs(caption.score - Captioner(TorchModel(model))(noise, **FAST).score) > 1e-4


def test_the_beam_nearest_to_the_sound_is_told_with_its_own_score(model, clap):
    noise, beams = clips()[1], 4
    sound = {"waveforms": torch.from_numpy(noise)[None], "lengths": torch.tensor([len(noise)])}
    found = model.caption(sound, beams=beams, num_return_sequences=beams, **FAST)
    cosines = clap.embed_text(found.texts) @ clap.embed_audio([noise], RATE)[0]
    best = int(np.argmax(cosines))
    worst = Reranker(Opposite(clap))
    for reranker, beam in ((Reranker(clap), best), (worst, int(np.argmin(cosines)))):
        caption = Captioner(TorchModel(model), reranker=reranker)(noise, beams=beams, **FAST)
        assert caption.text == found.texts[beam]
        assert caption.score == pytest.approx(found.scores[beam].exp().item(), abs=1e-6)
    with pytest.raises(ValueError, match="search with at least 2"):
        Captioner(TorchModel(model), reranker=worst)(noise, beams=1)


class Opposite:
    """An embedder that hears the opposite; counts how often it listens."""

    def __init__(self, clap: ClapEmbedder) -> None:
        self.clap, self.name, self.embed_text, self.heard = clap, clap.name, clap.embed_text, 0

    def embed_audio(self, waveforms: Any, sample_rate: int) -> Any:
        self.heard += len(waveforms)
        return -self.clap.embed_audio(waveforms, sample_rate)


def test_an_embedder_that_serves_twice_listens_once(model, store, clap):
    embedder = Opposite(clap)
    known = CaptionDatastore(store.captions, store.clip_ids, store.embeddings, embedder=embedder)
    Captioner(TorchModel(model), datastore=known, reranker=Reranker(embedder))(clips()[3:], **FAST)
    assert embedder.heard == 2


def test_a_correction_stands_beside_what_was_said(model):
    outcomes = ["kept", "corrected", "refused"]

    def corrector(texts: list[str]) -> list[Correction]:
        return [
            Correction("a dog barks" if outcome == "corrected" else text, text, 0.95, outcome)
            for text, outcome in zip(texts, outcomes)
        ]

    sources = [clips()[1], clips()[3], tones(0.3, RATE)[0]]
    sources.sort(key=len)  # batches are sorted by length
    plain = Captioner(TorchModel(model))(sources, **FAST)
    told = Captioner(TorchModel(model), corrector=corrector)(sources, **FAST)
    assert [c.text for c in told] == [plain[0].text, "a dog barks", plain[2].text]
    assert [c.uncorrected for c in told] == [None, plain[1].text, None]
    assert [c.score for c in told] == [c.score for c in plain]
    twice = [told[1], told[1]]
    assert len(list(merge_neighbours(twice))) == 1


def test_a_model_without_the_slot_refuses_a_datastore(tiny_model, store):
    with pytest.raises(ValueError, match="no prompt for retrieved captions"):
        Captioner(TorchModel(tiny_model), datastore=store)
