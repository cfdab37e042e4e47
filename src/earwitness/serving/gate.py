"""ASGI middleware: authentication, size limits, timeouts and concurrency limits."""

from __future__ import annotations

import asyncio
import hmac
import logging
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from earwitness.serving.answers import error_line
from earwitness.serving.limits import MEGABYTE, Deadline, Limits, Refused
from earwitness.serving.metrics import Metrics
from earwitness.serving.origins import Origins
from earwitness.serving.request_log import HEADER, answered, identify
from earwitness.serving.uploads import kind_of

log = logging.getLogger("earwitness")

LINGER = 2.0  # s in which a refused client may finish sending, so that it reads its answer
RETRY = {429: "5", 503: "5"}  # s
ROUTES = ("/v1/captions", "/v1/tags", "/v1/audio/transcriptions", "/v1/jobs", "/healthz", "/livez", "/readyz")
OTHER_ROUTES = ("/metrics", "/openapi.json")
FAILED = "the server failed; its log has the reason, under the id in X-Request-ID"


def refusal(refused: Refused) -> JSONResponse:
    """The refusal as a response."""
    headers = {"retry-after": RETRY[refused.status]} if refused.status in RETRY else {}
    headers |= {"www-authenticate": "Bearer"} if refused.status == 401 else {}
    return JSONResponse({"detail": refused.detail}, refused.status, headers)


def route_of(path: str) -> str:
    """Return the route for metrics, in which clients must not create labels."""
    if path.startswith("/v1/jobs/"):
        return "/v1/jobs/{id}"
    return path if path in ROUTES or path in OTHER_ROUTES else "page"


class Body:
    """The body of a request, counted and timed as it is received."""

    def __init__(self, scope: Scope, receive: Receive, limits: Limits) -> None:
        headers = Headers(scope=scope)
        self._receive, self.limits = receive, limits
        self.declared = int(headers.get("content-length", 0))  # h11 guarantees a number
        self.bytes, self.waited = 0, 0.0
        self.complete = asyncio.Event()
        if not self.declared and "transfer-encoding" not in headers:
            self.complete.set()

    async def receive(self) -> Message:
        """Return the next message. Raises Refused if the body is too large or too slow."""
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
        """Wait until the client disconnects, after its whole request."""
        await self.complete.wait()
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def drain(self) -> None:
        """Discard further messages for `LINGER` seconds."""
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
    """The answer. A connection whose request was not read to its end is closed after it."""

    def __init__(self, send: Send, body: Body, request_id: str) -> None:
        self._send, self.body, self.request_id = send, body, request_id
        self.status = 0  # until it starts
        self.complete = self.lines = False
        self.closing = False  # the connection

    async def send(self, message: Message) -> None:
        unread = not self.body.complete.is_set()
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = [*message.get("headers", []), (HEADER.encode(), self.request_id.encode())]
            self.lines = (b"content-type", b"application/x-ndjson") in headers
            if unread or self.closing:
                headers.append((b"connection", b"close"))
            message = {**message, "headers": headers}
        elif unread and not message.get("more_body", False):
            await self._send({**message, "more_body": True})
            await self.body.drain()
            message = {"type": "http.response.body"}
        await self._send(message)
        self.complete = message["type"] == "http.response.body" and not message.get("more_body", False)

    async def refuse(self, refused: Refused, scope: Scope) -> None:
        """Send the refusal as the answer, or as the last line of a started one; else break off."""
        if not self.status:
            await refusal(refused)(scope, self.body.receive, self.send)
        elif self.lines and not self.complete:
            await self.send({"type": "http.response.body", "body": error_line(refused).encode()})


class Gate:
    """ASGI middleware: admits POSTs to /v1/... within the limits; counts and logs every answer."""

    def __init__(
        self,
        app: ASGIApp,
        limits: Limits,
        metrics: Metrics,
        api_key: str | None = None,
        origins: Origins | None = None,
    ) -> None:
        self.app, self.limits, self.metrics, self.api_key = app, limits, metrics, api_key
        self.origins = origins or Origins()
        self._clients: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        begin = time.monotonic()
        body = Body(scope, receive, self.limits)
        answer = Answer(send, body, identify(scope))
        try:
            await self._attend(scope, body, answer)
        except Refused as refused:
            await answer.refuse(refused, scope)
        except Exception:
            log.exception("%s %s failed", scope["method"], route_of(scope["path"]))
            await answer.refuse(Refused(500, FAILED), scope)
        finally:
            seconds, route = time.monotonic() - begin, route_of(scope["path"])
            self.metrics.requests.labels(route=route, status=str(answer.status)).inc()
            self.metrics.request_seconds.labels(route=route).observe(seconds)
            self.metrics.upload_bytes.inc(body.bytes)
            answered(scope, answer.status, seconds, body.bytes)

    async def _attend(self, scope: Scope, body: Body, answer: Answer) -> None:
        self._check_head(scope, body, answer)
        if scope["method"] == "HEAD":  # answered as GET; h11 leaves the body out
            scope = {**scope, "method": "GET"}
        if scope["method"] == "POST" and scope["path"].startswith("/v1/"):
            with self._place(scope["client"][0] if scope.get("client") else ""):
                await self._work(scope, body, answer)
        else:
            await self.app(scope, body.receive, answer.send)

    def _check_head(self, scope: Scope, body: Body, answer: Answer) -> None:
        """Raise Refused for whatever can be refused before the body is read."""
        headers = Headers(scope=scope)
        size = len(scope["raw_path"]) + len(scope["query_string"])
        size += sum(len(name) + len(value) + 4 for name, value in scope["headers"])
        if size > self.limits.head_bytes:
            raise Refused(431, f"the request's head has more than {self.limits.head_bytes >> 10} KB")
        if "content-length" in headers and "transfer-encoding" in headers:
            answer.closing = True  # what follows may be another's request, smuggled through a proxy
            raise Refused(400, "content-length and transfer-encoding exclude each other")
        self.origins.check(scope)
        if not scope["path"].startswith("/v1/"):
            return
        if self.api_key is not None and not hmac.compare_digest(
            _key(headers).encode(), self.api_key.encode()
        ):
            raise Refused(401, "this server requires an API key: Authorization: Bearer KEY")
        if scope["method"] == "POST":
            if not kind_of(headers):
                raise Refused(
                    415,
                    "send the recording as multipart/form-data, in a part named file, or as the body itself "
                    "with its type: audio/..., video/... or application/octet-stream",
                )
            body.check_size(body.declared)

    @contextmanager
    def _place(self, client: str) -> Iterator[None]:
        if self._clients[client] >= self.limits.per_client:
            raise Refused(429, f"{self.limits.per_client} requests of yours are in progress; wait for one")
        if self._clients.total() >= self.limits.admitted:
            raise Refused(503, "too many requests are in progress; try again soon")
        self._clients[client] += 1
        self.metrics.in_progress.inc()
        try:
            yield
        finally:
            self.metrics.in_progress.dec()
            self._clients[client] -= 1
            self._clients += Counter()  # forgets clients without requests

    async def _work(self, scope: Scope, body: Body, answer: Answer) -> None:
        """Process the request; cancel it when its client disconnects or its time is over."""
        deadline = scope["earwitness.deadline"] = Deadline(self.limits)
        work: asyncio.Task[Any] = asyncio.create_task(self.app(scope, body.receive, answer.send))  # type: ignore[arg-type]
        gone = asyncio.create_task(body.abandoned())
        try:
            done: set[asyncio.Task[Any]] = set()
            while not done and (left := deadline.left) > 0:  # it may have moved meanwhile
                done, _ = await asyncio.wait({work, gone}, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            if work in done or answer.complete:  # the cleanup runs even if the client then leaves
                await work
            elif not done:
                raise Refused(503, f"the answer takes longer than {deadline.allowed:g} s")
        finally:
            for task in (work, gone):
                task.cancel()
            await asyncio.wait({work, gone})


def _key(headers: Headers) -> str:
    scheme, _, key = headers.get("authorization", "").partition(" ")
    return key.strip() if scheme.lower() == "bearer" else headers.get("x-api-key", "")
