"""Jobs: recordings captioned in the background, with results that are kept for a limited time."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator
from functools import partial
from typing import Any, BinaryIO, Literal

from pydantic import BaseModel

from earwitness.serving.answers import CaptionRow, Summary, TagTable, error_line, lines
from earwitness.serving.limits import Limits, Refused
from earwitness.serving.listener import Listener, Wanted
from earwitness.serving.metrics import Metrics

log = logging.getLogger("earwitness")

State = Literal["waiting", "running", "done", "failed"]
FAILED = "the server failed at this job; its log has the reason, under the job's id"
PULSE = 15.0  # s after which a client that follows a job gets a comment, so that proxies keep the connection


class JobStatus(BaseModel):
    """seconds: of audio given to the model. error: why it failed; earlier results are kept."""

    id: str
    state: State
    seconds: float
    captions: list[CaptionRow]
    tags: TagTable | None = None
    summary: Summary | None = None
    error: str | None = None


class Job:
    """One recording. `lines`: its results as lines of NDJSON."""

    def __init__(self) -> None:
        self.id = uuid.uuid4().hex  # 122 random bits: it cannot be guessed
        self.state: State = "waiting"
        self.lines: list[str] = []
        self.ended = 0.0  # by the monotonic clock
        self.news = asyncio.Condition()
        self.work: asyncio.Task[None] | None = None

    @property
    def finished(self) -> bool:
        return self.state in ("done", "failed")

    @property
    def status(self) -> JobStatus:
        found: dict[str, Any] = {"seconds": 0.0, "captions": []}
        for line in self.rows:
            kind = line.pop("type")
            if kind == "caption":
                found["captions"].append(line)
            elif kind == "progress" and line["stage"] == "captions":
                found["seconds"] = line["seconds"]
            elif kind in ("tags", "end"):
                found["summary" if kind == "end" else kind] = line
            elif kind == "error":
                found["error"] = line["detail"]
        return JobStatus(id=self.id, state=self.state, **found)

    @property
    def rows(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.lines]

    async def add(self, line: str | None = None, state: State | None = None) -> None:
        async with self.news:
            self.lines += [] if line is None else [line]
            self.state = state or self.state
            self.news.notify_all()

    def _has(self, number: int) -> bool:
        """Whether the line of that number exists, or the job has ended."""
        return len(self.lines) > number or self.finished

    async def events(self, first: int) -> AsyncIterator[str]:
        """Yield server-sent events: the lines from number `first` to the last."""
        while True:
            for number, line in enumerate(self.lines[first:], first):
                yield f"id: {number}\ndata: {line}\n"
                first = number + 1
            if self.finished and first == len(self.lines):
                return
            try:
                async with asyncio.timeout(PULSE), self.news:
                    await self.news.wait_for(partial(self._has, first))
            except TimeoutError:
                yield ": still at work\n\n"


class Jobs:
    """async with Jobs(listener, limits, metrics, "model") as jobs: job = jobs.start(file, wanted)"""

    def __init__(self, listener: Listener, limits: Limits, metrics: Metrics, model: str) -> None:
        self.listener, self.limits, self.metrics, self.model = listener, limits, metrics, model
        self._jobs: dict[str, Job] = {}

    async def __aenter__(self) -> Jobs:
        return self

    async def __aexit__(self, *_: object) -> None:
        works = {job.work for job in self._jobs.values() if job.work}
        for work in works:
            work.cancel()
        if works:
            await asyncio.wait(works)

    def start(self, file: BinaryIO, wanted: Wanted) -> Job:
        """Start a job. file: duplicated, so that the request's own may be closed. Raises Refused."""
        self._forget()
        if len(self._jobs) >= self.limits.jobs:
            raise Refused(503, f"{self.limits.jobs} jobs are kept; try again later, or delete some")
        job = Job()
        self._jobs[job.id] = job
        media = os.fdopen(os.dup(file.fileno()), "rb")
        job.work = asyncio.create_task(self._run(job, media, wanted))
        self._count()
        return job

    def find(self, name: str) -> Job:
        """Return a job. Raises Refused if there is none."""
        self._forget()
        if name not in self._jobs:
            raise Refused(404, "there is no such job; results are kept for a while only")
        return self._jobs[name]

    async def delete(self, name: str) -> None:
        """Delete a job and cancel its work."""
        job = self.find(name)
        del self._jobs[name]
        if job.work and not job.work.done():
            job.work.cancel()
            await asyncio.wait({job.work})
        self._count()

    async def _run(self, job: Job, media: BinaryIO, wanted: Wanted) -> None:
        failed = False
        try:
            with media:
                async with self.listener.opened(media) as recording:
                    await job.add(state="running")
                    self._count()
                    async for line in lines(self.listener.find(recording, wanted), recording, self.model):
                        failed = json.loads(line)["type"] == "error"
                        await job.add(line)
        except Refused as refused:
            failed = True
            await job.add(error_line(refused))
        except Exception:
            log.exception("job %s failed", job.id)
            failed = True
            await job.add(error_line(Refused(500, FAILED)))
        job.ended = time.monotonic()
        await job.add(state="failed" if failed else "done")
        self._count()

    def _forget(self) -> None:
        oldest = time.monotonic() - self.limits.job_seconds
        for job in list(self._jobs.values()):
            if job.finished and job.ended < oldest:
                del self._jobs[job.id]

    def _count(self) -> None:
        states = Counter(job.state for job in self._jobs.values())
        for state in ("waiting", "running", "done", "failed"):
            self.metrics.jobs.labels(state=state).set(states[state])
