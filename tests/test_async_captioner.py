"""Awaited captions are the captions; the event loop goes on meanwhile; progress is told as it is made."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import soundfile

from earwitness import AsyncCaptioner, Captioner, MediaError
from earwitness.runtime import TorchModel

RATE = 16_000


@pytest.fixture(scope="module")
def captioner(tiny_model):
    return Captioner(TorchModel(tiny_model), "tiny <one>")


@pytest.fixture(scope="module")
def clips():
    rng = np.random.default_rng(0)
    return [(0.1 * rng.normal(size=round(s * RATE))).astype(np.float32) for s in (0.5, 1.0, 0.7)]


def test_awaited_captions_are_the_captioners(captioner, clips):
    async def ask():
        ours = AsyncCaptioner(captioner)
        many, one = await asyncio.gather(ours(clips, batch_size=2), ours(clips[0]))
        streamed = [caption async for caption in ours.stream(iter(clips), batch_size=1)]
        along = [caption async for caption in ours.timeline(np.concatenate(clips), 1.0, batch_size=1)]
        return many, one, streamed, along

    many, one, streamed, along = asyncio.run(ask())
    assert many == captioner(clips, batch_size=2) and one == captioner(clips[0])
    assert streamed == list(captioner.stream(clips, batch_size=1))
    assert along == list(captioner.timeline(np.concatenate(clips), 1.0, batch_size=1))


def test_the_loop_goes_on_while_the_model_works(captioner, clips, monkeypatch):
    """The model cannot end before the loop has turned: a call that blocked it would never come back."""
    turned = threading.Event()
    batch = captioner._caption_batch
    monkeypatch.setattr(
        captioner, "_caption_batch", lambda *given: list(batch(*given)) if turned.wait(30) else []
    )

    async def ask():
        asked = asyncio.create_task(AsyncCaptioner(captioner)(clips[0]))
        await asyncio.sleep(0.05)
        turned.set()
        return await asked

    assert asyncio.run(ask()).text


def test_errors_come_through_and_what_is_left_is_closed(captioner, clips):
    drawn = []

    def sources():
        for clip in clips * 20:
            drawn.append(True)
            yield clip

    async def ask():
        ours = AsyncCaptioner(captioner)
        with pytest.raises(MediaError, match=r"gone\.wav"):
            await ours("gone.wav")
        captions = ours.stream(sources(), batch_size=1)
        await anext(captions)
        await captions.aclose()

    asyncio.run(ask())
    assert len(drawn) < 30  # of 60: nothing goes on in the background


def test_progress_of_a_list_a_stream_and_a_timeline(captioner, clips):
    told = []
    captioner(clips, batch_size=2, progress=lambda *what: told.append(what))
    assert told == [(1, 3), (2, 3), (3, 3)]
    told.clear()
    drawn = captioner.stream((clip for clip in clips), batch_size=1, progress=lambda *what: told.append(what))
    next(drawn)
    assert told == [(1, None)]
    told.clear()
    sound = np.concatenate(clips)
    ends = [c.end for c in captioner.timeline(sound, 1.0, progress=lambda *what: told.append(what))]
    assert told == [(end, pytest.approx(2.2)) for end in ends] and ends[-1] == pytest.approx(2.2)


def test_notebooks_show_what_the_captioner_is_and_its_last_caption(tiny_model, clips, tmp_path):
    captioner = Captioner(TorchModel(tiny_model), "tiny <one>")
    assert "tiny &lt;one&gt;" in captioner._repr_html_() and "<audio" not in captioner._repr_html_()
    for name, clip in zip("ab", clips):
        soundfile.write(tmp_path / f"{name}.wav", clip, RATE)
    captions = captioner([tmp_path / "a.wav", tmp_path / "b.wav"])
    assert "<audio" in captioner._repr_html_()
    assert captions[1]._repr_html_() in captioner._repr_html_()
    next(captioner.timeline(tmp_path / "a.wav", 0.4))
    assert "a.wav" in captioner._repr_html_()


THREADS = """
import os, time
import earwitness.captioner, earwitness.checkpoints.folder  # torch starts a thread when it is imported

def threads():
    return len(os.listdir("/proc/self/task"))

before, captioner = threads(), earwitness.captioner.Captioner.from_pretrained(runtime="torch")
for _ in range(50):
    if threads() == before:
        break
    time.sleep(0.1)
print(before, threads())
"""


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="threads are counted in /proc")
def test_loading_leaves_no_helpers_beside_those_of_the_thread_that_captions():
    """OpenMP's sleep after each operation once there are more of them than cores."""
    environment = os.environ | {"OMP_NUM_THREADS": "2"}
    done = subprocess.run(
        [sys.executable, "-c", THREADS], env=environment, check=True, capture_output=True, text=True
    )
    before, after = map(int, done.stdout.split())
    assert after == before
