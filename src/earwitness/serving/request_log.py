"""Request log: one line per answer, and ids by which client, proxy and log identify a request."""

from __future__ import annotations

import logging
import re
import uuid
from contextvars import ContextVar

from starlette.datastructures import Headers
from starlette.types import Scope

HEADER = "x-request-id"
WELL_FORMED = re.compile(r"[A-Za-z0-9._-]{1,64}")
FORMAT = "%(asctime)s %(levelname)s [%(request_id)s] %(message)s"

log = logging.getLogger("earwitness.requests")
request_id: ContextVar[str] = ContextVar("request_id", default="-")


def identify(scope: Scope) -> str:
    """Return the client's id of the request if well-formed, or a new one; every log line of it has the id."""
    sent = Headers(scope=scope).get(HEADER, "")
    found = sent if WELL_FORMED.fullmatch(sent) else uuid.uuid4().hex
    request_id.set(found)
    return found


def answered(scope: Scope, status: int, seconds: float, received: int) -> None:
    """received: bytes of the request's body."""
    client = scope["client"][0] if scope.get("client") else "-"
    path = scope["path"].encode("unicode_escape").decode("ascii")  # no line of the log but its own
    log.info("%s %s %s %d %.3f s %d bytes", client, scope["method"], path, status, seconds, received)


def configure(level: str) -> None:
    """Log lines of the package and of uvicorn to standard error, with the request's id."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter(FORMAT))
    handler.addFilter(_add_id)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    for name in ("earwitness", "uvicorn"):
        logging.getLogger(name).setLevel(level.upper())


def _add_id(record: logging.LogRecord) -> bool:
    record.request_id = request_id.get()
    return True
