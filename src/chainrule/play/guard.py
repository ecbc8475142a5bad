"""What every request meets first: whose it is, and how the answer may be used.

The server speaks to pages that it served itself, in a browser on this machine, and to nobody else:

- The Host header must name this server by a loopback name and its port: a foreign name that resolves to 127.0.0.1
  (DNS rebinding) is refused.
- What changes anything (every method but GET and HEAD, and every WebSocket) must carry the Origin of one of our pages.
  Browsers always send it there and no script can change it, so a page from elsewhere is refused.  A program that is no
  browser sets the header itself; a request without it is refused too, for one rule is easier to trust than two.
- Every answer carries a Content-Security-Policy under which nothing runs, loads or is sent but what this server
  serves: no inline script, no inline style, no frame around it.

An exception that gets here is a bug: it is logged with its traceback, and the answer says only that.
Does not do: TLS, users, cookies; it is a program for one person on one machine.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from chainrule.play.wire import written

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

HEADERS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}
FAILED = {"what": "something went wrong inside chainrule", "fix": "see the terminal that runs it"}
_SAFE = ("GET", "HEAD")

_log = logging.getLogger("chainrule.play")


def policy(port: int) -> str:
    """The Content-Security-Policy; the sockets are named because some browsers don't count them to 'self'."""
    return "; ".join(
        [
            "default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self' data: blob:",
            f"connect-src 'self' ws://127.0.0.1:{port} ws://localhost:{port}", "font-src 'none'", "base-uri 'none'",
            "form-action 'none'", "frame-ancestors 'none'",
        ]
    )  # fmt: skip


def hosts(port: int) -> frozenset[str]:
    """The values of Host that mean this server."""
    return frozenset(f"{name}:{port}" for name in ("127.0.0.1", "localhost", "[::1]"))


class Guard:
    """ASGI middleware around the whole application."""

    def __init__(self, app: App, port: int) -> None:
        self._app = app
        self._hosts = frozenset(host.encode() for host in hosts(port))
        self._origins = frozenset(b"http://" + host for host in self._hosts)
        self._own = f"http://127.0.0.1:{port}"
        headers = {"content-security-policy": policy(port), **HEADERS}
        self._headers = [(name.encode(), value.encode()) for name, value in headers.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse, or pass on and add the headers."""
        kind = scope["type"]
        if kind not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        status = None  # of an answer that has begun

        async def guarded(message: MutableMapping[str, Any]) -> None:
            nonlocal status
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                status = message["status"]
                taken = {name for name, _ in message.get("headers", ())}
                extra = [pair for pair in self._headers if pair[0] not in taken]
                message = {**message, "headers": [*message.get("headers", ()), *extra]}
            elif message["type"] in ("websocket.accept", "websocket.close"):
                status = 101
            await send(message)

        refusal = self._refusal(scope)
        if refusal is not None:
            await _answer(scope, guarded, *refusal)
            return
        try:
            await self._app(scope, receive, guarded)
        except Exception:
            _log.exception("%s %s failed", kind, scope.get("path"))
            if status is None:
                await _answer(scope, guarded, 500, FAILED)

    def _refusal(self, scope: Scope) -> tuple[int, dict[str, str]] | None:
        """The status and the words with which a request is refused, if it is."""
        named = [value for name, value in scope["headers"] if name == b"host"]
        if len(named) != 1 or named[0] not in self._hosts:
            return 421, {
                "what": "this server has another name", "expected": self._own,
                "got": "; ".join(_text(one) for one in named) or "no Host", "fix": "open the address that it printed",
            }  # fmt: skip
        if scope["type"] == "http" and scope["method"] in _SAFE:
            return None
        origins = [value for name, value in scope["headers"] if name == b"origin"]
        if len(origins) != 1 or origins[0] not in self._origins:
            return 403, {
                "what": "this server answers its own pages only", "expected": f"Origin: {self._own}",
                "got": "; ".join(_text(one) for one in origins) or "no Origin",
                "fix": "open the page in a browser; a program sets the header Origin",
            }  # fmt: skip
        return None


def _text(value: bytes) -> str:
    return value[:100].decode("ascii", "replace")


async def _answer(scope: Scope, send: Send, status: int, words: dict[str, str]) -> None:
    """The refusal as JSON; for a WebSocket, in place of the handshake."""
    prefix = "http" if scope["type"] == "http" else "websocket.http"
    body = written({"error": words}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()),
               (b"cache-control", b"no-store"), (b"connection", b"close")]  # fmt: skip
    await send({"type": f"{prefix}.response.start", "status": status, "headers": headers})
    await send({"type": f"{prefix}.response.body", "body": body if scope.get("method") != "HEAD" else b""})
