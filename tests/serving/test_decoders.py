"""Decoder processes: what they decode is media's, and what kills one harms nobody else."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pytest

from earwitness.media import reading as media
from earwitness.media.resampling import METHODS
from earwitness.serving.decoders import Decoders
from earwitness.serving.limits import Limits, Refused
from earwitness.serving.metrics import Metrics

from .conftest import RATE, noise, wav

EXAMPLES = Path(__file__).parents[2] / "examples"
LIMITS = Limits(minutes=1.0)


@asynccontextmanager
async def pool(count: int = 1, limits: Limits = LIMITS, resampler: str = "soxr") -> AsyncIterator[Decoders]:
    async with asyncio.timeout(60), Decoders(count, RATE, resampler, limits, Metrics()) as decoders:
        yield decoders


async def decoded(decoders: Decoders, file: BinaryIO) -> tuple[np.ndarray, list[str], float]:
    """The samples, why the file is damaged, and how much of it they are."""
    async with decoders.decoding(file) as recording:
        waveform = await asyncio.to_thread(recording.waveform)
        return waveform, recording.faults, recording.covered


def uploaded(content: bytes) -> BinaryIO:
    file = tempfile.TemporaryFile()  # noqa: SIM115
    file.write(content)
    file.flush()
    return file


def run(test: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(test())


@pytest.mark.parametrize("resampler", METHODS)
def test_sound_is_what_load_audio_gives(resampler) -> None:
    async def test() -> None:
        async with pool(2, resampler=resampler) as decoders:
            paths = sorted(EXAMPLES.glob("*.[ofm]*[p4sc]"))[:4]
            found = await asyncio.gather(*(decoded(decoders, path.open("rb")) for path in paths))
            for path, recording in zip(paths, found):
                expected = media.load_audio(path, resampler=resampler)
                waveform, *about = recording
                assert np.array_equal(waveform, expected.waveform)
                assert about == [list(expected.faults), expected.covered]

    run(test)


def test_refusals_have_a_status_and_the_reason() -> None:
    cases = [
        (b"no media at all" * 100, 415, "not a media file"),
        (wav(np.zeros(20, np.float32)), 422, "ms of sound"),
        (wav(noise(61.0)), 413, "longer than 1 minutes"),
    ]

    async def test() -> None:
        async with pool() as decoders:
            for content, status, reason in cases:
                with pytest.raises(Refused, match=reason) as refused:
                    await decoded(decoders, uploaded(content))
                assert refused.value.status == status
            assert decoders.metrics.registry.get_sample_value("earwitness_decoders_replaced_total") == 0

    run(test)


def test_a_truncated_file_gives_what_is_there_and_says_so() -> None:
    async def test() -> None:
        async with pool() as decoders:
            whole = wav(noise(4.0))
            waveform, faults, covered = await decoded(decoders, uploaded(whole[: len(whole) // 2]))
            assert faults and covered == pytest.approx(0.5, abs=0.01)
            assert len(waveform) == pytest.approx(2.0 * RATE, abs=0.01 * RATE)

    run(test)


def test_a_decoder_that_dies_fails_its_own_order_and_is_replaced() -> None:
    async def test() -> None:
        async with pool() as decoders:
            (victim,) = decoders._all
            os.kill(victim.process.pid, signal.SIGSTOP)  # so that it is surely busy when it dies
            order = asyncio.create_task(decoded(decoders, uploaded(wav(noise(1.0)))))
            following = asyncio.create_task(decoded(decoders, uploaded(wav(noise(1.0, 1)))))
            await asyncio.sleep(0.1)
            victim.process.kill()
            with pytest.raises(Refused, match="cannot be decoded"):
                await order
            assert len((await following)[0]) == RATE
            assert decoders._all and victim not in decoders._all

    run(test)


def test_one_that_died_idle_fails_nobody() -> None:
    async def test() -> None:
        async with pool() as decoders:
            (victim,) = decoders._all
            victim.process.kill()
            await victim.process.wait()
            assert len((await decoded(decoders, uploaded(wav(noise(1.0)))))[0]) == RATE

    run(test)


def test_one_that_never_answers_is_ended_in_time() -> None:
    async def test() -> None:
        async with pool(limits=replace(LIMITS, decoder_seconds=0.2)) as decoders:
            (victim,) = decoders._all
            os.kill(victim.process.pid, signal.SIGSTOP)
            with pytest.raises(Refused, match="time and memory"):
                await decoded(decoders, uploaded(wav(noise(1.0))))
            assert len((await decoded(decoders, uploaded(wav(noise(1.0)))))[0]) == RATE

    run(test)


def test_memory_is_bounded() -> None:
    async def test() -> None:
        async with pool(limits=replace(LIMITS, decoder_bytes=-9_000_000, minutes=1.0)) as decoders:
            with pytest.raises(Refused) as refused:  # some 2 MB are left for 11 MB
                await decoded(decoders, uploaded(wav(noise(59.0))))
            assert refused.value.status == 422

    run(test)


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="this system has no prlimit")
def test_the_kernel_holds_the_limits() -> None:
    async def test() -> None:
        async with pool(limits=replace(LIMITS, decoder_seconds=7.0)) as decoders:
            await decoded(decoders, uploaded(wav(noise(1.0))))
            (decoder,) = decoders._all
            limits = {
                name: resource.prlimit(decoder.process.pid, getattr(resource, f"RLIMIT_{name}"))
                for name in ("CPU", "AS", "NOFILE", "CORE")
            }
            assert 7 < limits["CPU"][0] < 20
            assert limits["AS"][1] < 2 << 30
            assert limits["NOFILE"][1] == 32 and limits["CORE"][1] == 0

    run(test)


def test_no_secret_and_no_file_of_the_server_reaches_a_decoder(monkeypatch) -> None:
    monkeypatch.setenv("EARWITNESS_API_KEY", "secret")

    async def test() -> None:
        async with pool() as decoders:
            (decoder,) = decoders._all
            process = Path("/proc") / str(decoder.process.pid)
            assert b"secret" not in (process / "environ").read_bytes()
            assert os.readlink(process / "cwd") == "/"
            opened = [os.readlink(fd) for fd in (process / "fd").iterdir()]
            assert all(name.startswith(("socket:", "pipe:", "/dev/null")) for name in opened)

    run(test)


def test_none_is_left_when_the_pool_closes() -> None:
    async def test() -> None:
        async with pool(2) as decoders:
            processes = [decoder.process for decoder in decoders._all]
        assert all(process.returncode is not None for process in processes)

    run(test)
