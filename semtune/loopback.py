"""Pages of semtune's own on the loopback address: who is let in, and what a request may be.

Whatever runs in a browser on this machine can send requests to its ports, a foreign page too. So a request
must call the server by a name of loopback, and whatever changes something must come from the server's own
page or from no page at all, and say how long it is.
"""

from __future__ import annotations

import hmac
import socket
from collections.abc import Mapping

from starlette.datastructures import Headers
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from semtune.errors import ConfigError

ADDRESS = "127.0.0.1"
NAMES = (ADDRESS, "localhost", "[::1]")
"""What the server may be called, at any port: a tunnel has a port of its own."""


def guarded(app: ASGIApp, most_bytes: int, token: str | None = None) -> ASGIApp:
    """Wrap an application so that it answers to its own names and its own page, and to small requests only.

    Args:
        app: What answers.
        most_bytes: That the body of a request may have.
        token: Where given, it answers to whoever sends it (`Authorization: Bearer TOKEN`), by whatever name.
    """
    guard = _Guard(app, most_bytes, token)
    return guard if token else TrustedHostMiddleware(guard, list(NAMES), www_redirect=False)


def listen(port: int, host: str = ADDRESS) -> socket.socket:
    """Open a port of the loopback address, or of another; 0 takes a free one.

    Raises:
        ConfigError: If it is taken or may not be opened.
    """
    opened = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        opened.bind((host, port))
    except OSError as fault:
        opened.close()
        raise ConfigError(f"port {port} cannot be opened ({fault.strerror}); choose another --port") from None
    return opened


class _Guard:
    """Refuses requests of foreign pages and large ones, before the application hears of them."""

    def __init__(self, app: ASGIApp, most_bytes: int, token: str | None) -> None:
        self._app, self._most = app, most_bytes
        self._expected = f"Bearer {token}".encode() if token else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refused = self._refusal(scope) if scope["type"] == "http" else None
        if refused is None:
            await self._app(scope, receive, send)
        else:
            await JSONResponse({"refused": refused[1]}, refused[0])(scope, receive, send)

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        headers = Headers(scope=scope)
        given = headers.get("authorization", "").encode()
        if self._expected and not hmac.compare_digest(given, self._expected):
            return 401, "send the token: Authorization: Bearer TOKEN"
        if scope["method"] in ("GET", "HEAD"):
            return None
        if not _is_own_page(headers):
            return 403, "this request comes from another page"
        length = headers.get("content-length", "")
        if not length.isascii() or not length.isdigit():
            return 411, "say how long the request is (Content-Length)"
        if len(length) > 18 or int(length) > self._most:
            return 413, f"a request may have {self._most} bytes"
        return None


def _is_own_page(headers: Mapping[str, str]) -> bool:
    """Whether a request comes from the server's own page, or from a program that is no browser."""
    origin = headers.get("origin")
    same_site = headers.get("sec-fetch-site", "same-origin") in ("same-origin", "none")
    return same_site and origin in (None, f"http://{headers.get('host')}")
