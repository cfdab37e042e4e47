"""Who may come in, with how much, how slowly and for how long: the outermost layer of the server."""

from __future__ import annotations

import asyncio
import hmac
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from earwitness.serving.limits import MEGABYTE, Limits, Refused
from earwitness.serving.metrics import Metrics

LINGER = 2.0  # s in which a refused client may finish sending, so that it reads its answer
RETRY = {429: "5", 503: "5"}  # s
ROUTES = ("/v1/captions", "/v1/tags", "/healthz", "/metrics", "/openapi.json")  # others count as "page"


def refusal(refused: Refused) -> JSONResponse:
    """The answer that says so."""
    headers = {"retry-after": RETRY[refused.status]} if refused.status in RETRY else {}
    headers |= {"www-authenticate": "Bearer"} if refused.status == 401 else {}
    return JSONResponse({"detail": refused.detail}, refused.status, headers)


class Body:
    """What a request brings: counted and timed as it is received."""

    def __init__(self, scope: Scope, receive: Receive, limits: Limits) -> None:
        headers = Headers(scope=scope)
        self._receive, self.limits = receive, limits
        self.declared = int(headers.get("content-length", 0))  # h11 has seen to it that it is a number
        self.bytes, self.waited = 0, 0.0
        self.complete = asyncio.Event()
        if not self.declared and "transfer-encoding" not in headers:
            self.complete.set()

    async def receive(self) -> Message:
        """The next message. Raises Refused where the body is too large or too slow."""
        if self.complete.is_set():
            return await self._receive()
        limits, begin = self.limits, time.monotonic()
        patience = limits.pace_seconds + min(0.0, self.bytes / limits.pace - self.waited)
        try:
            async with asyncio.timeout(patience):
                message = await self._receive()
        except TimeoutError:
            raise Refused(408, "the upload is too slow") from None
        self.waited += time.monotonic() - begin
        if message["type"] == "http.disconnect":
            raise Refused(400, "the upload broke off")
        self.bytes += len(message.get("body", b""))
        self.check_size(self.bytes)
        if not message.get("more_body", False):
            self.complete.set()
        return message

    def check_size(self, size: int) -> None:
        if size > self.limits.upload_bytes:
            raise Refused(413, f"the upload is larger than {self.limits.upload_bytes / MEGABYTE:g} MB")

    async def abandoned(self) -> None:
        """Returns when the client is gone, once it has sent everything."""
        await self.complete.wait()
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def drain(self) -> None:
        """Throws away what else comes, for a while."""
        most = self.bytes + 2 * self.limits.upload_bytes
        try:
            async with asyncio.timeout(LINGER):
                while self.bytes < most:
                    message = await self._receive()
                    if not message.get("more_body", False):  # the end, or a disconnect
                        return
                    self.bytes += len(message.get("body", b""))
        except TimeoutError:
            pass


class Answer:
    """What is sent back. A connection whose request was not read to its end is closed after it."""

    def __init__(self, send: Send, body: Body) -> None:
        self._send, self.body = send, body
        self.status = 0  # until it starts
        self.complete = False

    async def send(self, message: Message) -> None:
        unread = not self.body.complete.is_set()
        if message["type"] == "http.response.start":
            self.status = message["status"]
            if unread:
                message = {**message, "headers": [*message.get("headers", []), (b"connection", b"close")]}
        elif unread and not message.get("more_body", False):
            await self._send({**message, "more_body": True})
            await self.body.drain()
            message = {"type": "http.response.body"}
        await self._send(message)
        self.complete = message["type"] == "http.response.body" and not message.get("more_body", False)


class Gate:
    """ASGI middleware. Recordings (POST /v1/...) are admitted within the limits; every answer is counted."""

    def __init__(self, app: ASGIApp, limits: Limits, metrics: Metrics, api_key: str | None = None) -> None:
        self.app, self.limits, self.metrics, self.api_key = app, limits, metrics, api_key
        self._clients: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        begin, path = time.monotonic(), scope["path"]
        body = Body(scope, receive, self.limits)
        answer = Answer(send, body)
        try:
            if scope["method"] == "POST" and path.startswith("/v1/"):
                await self._admit(scope, body, answer)
            else:
                await self.app(scope, body.receive, answer.send)
        finally:
            self.metrics.requests.add(route=path if path in ROUTES else "page", status=str(answer.status))
            self.metrics.request_seconds.observe(time.monotonic() - begin)
            self.metrics.upload_bytes.add(body.bytes)

    async def _admit(self, scope: Scope, body: Body, answer: Answer) -> None:
        client = scope["client"][0] if scope.get("client") else ""
        try:
            self._check_head(Headers(scope=scope), body)
            with self._place(client):
                await self._attend(scope, body, answer)
        except Refused as refused:
            if not answer.status:  # else it has begun, and breaks off
                await refusal(refused)(scope, body.receive, answer.send)

    def _check_head(self, headers: Headers, body: Body) -> None:
        """All that can be refused before the body is read."""
        if self.api_key is not None and not hmac.compare_digest(
            _key(headers).encode(), self.api_key.encode()
        ):
            raise Refused(401, "this server wants an API key: Authorization: Bearer KEY")
        if not headers.get("content-type", "").lower().startswith("multipart/form-data"):
            raise Refused(415, "send the recording as multipart/form-data, in a part named file")
        body.check_size(body.declared)

    @contextmanager
    def _place(self, client: str) -> Iterator[None]:
        if self._clients[client] >= self.limits.per_client:
            raise Refused(429, f"{self.limits.per_client} requests of yours are in progress; wait for one")
        if self._clients.total() >= self.limits.admitted:
            raise Refused(503, "the server has its hands full; try again soon")
        self._clients[client] += 1
        self.metrics.in_progress += 1
        try:
            yield
        finally:
            self.metrics.in_progress -= 1
            self._clients[client] -= 1
            self._clients += Counter()  # forgets clients without requests

    async def _attend(self, scope: Scope, body: Body, answer: Answer) -> None:
        """The request, unless its client leaves or its time runs out."""
        work: asyncio.Task[Any] = asyncio.create_task(self.app(scope, body.receive, answer.send))  # type: ignore[arg-type]
        gone = asyncio.create_task(body.abandoned())
        try:
            done, _ = await asyncio.wait(
                {work, gone}, timeout=self.limits.request_seconds, return_when=asyncio.FIRST_COMPLETED
            )
            if work in done or answer.complete:  # with its answer the client may leave, not what tidies up
                await work
            elif not done:
                raise Refused(503, f"the answer takes longer than {self.limits.request_seconds:g} s")
        finally:
            for task in (work, gone):
                task.cancel()
            await asyncio.wait({work, gone})


def _key(headers: Headers) -> str:
    scheme, _, key = headers.get("authorization", "").partition(" ")
    return key.strip() if scheme.lower() == "bearer" else headers.get("x-api-key", "")
