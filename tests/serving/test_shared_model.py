"""The shared model answers each of many threads what the model itself answers them alone."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Event

import numpy as np
import pytest

from earwitness.clips import Clip
from earwitness.serving.metrics import Metrics
from earwitness.serving.shared_model import Abandoned, SharedModel

from .conftest import RATE, noise


@pytest.fixture
def clips() -> list[Clip]:
    return [Clip(noise(s, seed), 0.0, s, "") for seed, s in enumerate([1.0, 0.4, 2.3, 0.7, 1.0, 3.1, 0.2])]


def test_captions_in_common_batches_are_those_of_each_clip_alone(captioner, clips) -> None:
    metrics = Metrics()
    sources = [(clip.waveform, RATE) for clip in clips]
    alone = [captioner(source, beams=2, max_new_tokens=8) for source in sources]
    with SharedModel(captioner.model, 4, metrics) as shared, ThreadPoolExecutor(len(clips)) as threads:
        twin = shared.behind(captioner, Event())
        together = list(threads.map(lambda s: twin(s, beams=2, max_new_tokens=8), sources))
        greedy = list(threads.map(lambda s: twin(s, beams=1, max_new_tokens=3), sources))
    assert [c.text for c in together] == [c.text for c in alone]
    assert [c.score for c in together] == pytest.approx([c.score for c in alone], abs=1e-5)
    assert [[name for name, _ in c.tags] for c in together] == [[name for name, _ in c.tags] for c in alone]
    assert [c.text for c in greedy] == [captioner(s, beams=1, max_new_tokens=3).text for s in sources]
    total, batches = (
        metrics.registry.get_sample_value(f"earwitness_batch_clips_{part}") for part in ("sum", "count")
    )
    assert total == 2 * len(clips) and batches < 2 * len(clips)


def test_tags_are_the_models(captioner, clips) -> None:
    sounds = [clip.waveform for clip in clips]
    with SharedModel(captioner.model, 3, Metrics()) as shared:  # three batches, joined
        over_time, whole = shared.tag_logits(sounds), shared.tag_probabilities(sounds)
    for found, expected in zip(over_time, captioner.model.tag_logits(sounds), strict=True):
        assert found.shape == expected.shape and np.allclose(found, expected, atol=1e-5)
    assert np.allclose(whole, captioner.model.tag_probabilities(sounds), atol=1e-5)


def test_a_timeline_is_the_captioners(captioner) -> None:
    recording = noise(12.0, 3), RATE
    expected = list(captioner.timeline(recording, 4.0, beams=1, max_new_tokens=4))
    with SharedModel(captioner.model, 16, Metrics()) as shared:
        told = list(shared.behind(captioner, Event()).timeline(recording, 4.0, beams=1, max_new_tokens=4))
    assert [(c.start, c.end, c.text) for c in told] == [(c.start, c.end, c.text) for c in expected]
    assert captioner.model is not shared  # the captioner itself is as it was


def test_nothing_more_is_asked_for_who_has_left(captioner) -> None:
    left = Event()
    with SharedModel(captioner.model, 2, Metrics()) as shared:
        told = shared.behind(captioner, left).timeline((noise(12.0, 3), RATE), 1.0, batch_size=1, beams=1)
        next(told)
        left.set()
        with pytest.raises(Abandoned):
            list(told)
