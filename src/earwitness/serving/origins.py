"""Protection from cross-site requests and DNS rebinding.

A page of another site can post to a server on the same machine or network, and a name of that site can
resolve to 127.0.0.1 (DNS rebinding). Browsers state the origin in Origin and Sec-Fetch-Site
(https://www.w3.org/TR/fetch-metadata/); other clients send neither, and are not affected.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import Scope

from earwitness.serving.limits import Refused

SAFE = {"GET", "HEAD", "OPTIONS"}


class Origins:
    """Origins whose pages may use the server beside its own. allowed: "https://captions.example" ..."""

    def __init__(self, allowed: Iterable[str] = ()) -> None:
        self.allowed = frozenset(origin.rstrip("/").lower() for origin in allowed)
        for origin in self.allowed:
            parts = urlsplit(origin)
            if parts.scheme not in ("http", "https") or not parts.hostname or parts.path or parts.query:
                raise ValueError(f"--allow-origin: {origin!r} is no origin such as https://captions.example")
        self._hosts = {urlsplit(origin).hostname for origin in self.allowed}

    def check(self, scope: Scope) -> None:
        """Raise Refused for a request of another origin or name."""
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if _is_loopback((scope.get("server") or ("",))[0]) and not self._is_own(host):
            raise Refused(421, f"this server is not {host}; --allow-origin allows other names")
        if scope["method"] in SAFE:
            return
        origin, site = headers.get("origin", "").lower(), headers.get("sec-fetch-site", "")
        if origin in self.allowed:
            return
        foreign = (
            site in ("cross-site", "same-site")
            if site
            else origin and urlsplit(origin).netloc != host.lower()
        )
        if foreign:
            raise Refused(403, f"pages of {origin or 'other sites'} may not use this server (--allow-origin)")

    def _is_own(self, host: str) -> bool:
        """Whether the name in a request to this machine's own address is its own."""
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        return name == "localhost" or name.endswith(".localhost") or _is_loopback(name) or name in self._hosts


def _is_loopback(address: str) -> bool:
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return False
