"""The shared model answers each of many threads what the model itself answers them alone."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest
import torch

from earwitness.clips import Clip, sound_of
from earwitness.serving.metrics import Metrics
from earwitness.serving.shared_model import Abandoned, SharedModel

from .conftest import RATE, noise

CPU = torch.device("cpu")


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
    assert metrics.batch_clips.sum == 2 * len(clips) and sum(metrics.batch_clips.counts) < 2 * len(clips)


def test_the_model_keeps_its_cores_whatever_other_threads_set(captioner, clips, monkeypatch) -> None:
    cores, listen = [], captioner.model.listen

    def counting(sound):
        cores.append(torch.get_num_threads())
        return listen(sound)

    monkeypatch.setattr(captioner.model, "listen", counting)
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        with (
            SharedModel(captioner.model, 4, Metrics()) as shared,
            ThreadPoolExecutor(1, "", torch.set_num_threads, (1,)) as threads,
        ):
            threads.submit(shared.listen, sound_of(clips, CPU)).result()
    finally:
        torch.set_num_threads(before)
    assert set(cores) == {3}


def test_listening_is_the_models(captioner, clips) -> None:
    sound = sound_of(clips, CPU)
    with torch.inference_mode():
        expected = captioner.model.listen(sound)
    with SharedModel(captioner.model, 3, Metrics()) as shared:  # three batches, joined
        heard = shared.listen(sound)
    assert torch.equal(heard.mask, expected.mask)
    assert torch.allclose(heard.values[heard.mask], expected.values[expected.mask], atol=1e-5)


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
