"""The web server of ``chainrule play``: pages, their files, JSON end points and the WebSocket, on this machine only.

    GET  /  /walk  /practice  /static/…      what the package holds (chainrule.play.assets)
    POST /api/<room>/<name>                  a room's function of one JSON object
    WS   /ws                                 a playground (chainrule.play.stream)

Everything goes through :class:`chainrule.play.guard.Guard` first.  A room is a module with a table ``ENDPOINTS`` from
names to functions; they run in a small pool of threads, and when too many wait, the next is told to try again.
Does not do: any address but 127.0.0.1, on purpose.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import importlib.util
import logging
import socket
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.base.errors import ChainruleError, DataError, OptionError
from chainrule.play import assets, stream
from chainrule.play.guard import FAILED, App, Guard
from chainrule.play.scheduler import Scheduler
from chainrule.play.sessions import KEPT_SECONDS, MOST_PLAYERS, Sessions
from chainrule.play.wire import in_words, read, written

if TYPE_CHECKING:
    import uvicorn
    from starlette.requests import Request
    from starlette.responses import Response

Endpoint = Callable[[dict[str, Any]], dict[str, Any]]
Rooms = Mapping[str, Mapping[str, Endpoint]]

ROOMS = {"walk": "chainrule.play.walk", "practice": "chainrule.play.practice.api", "gallery": "chainrule.play.gallery"}
MOST_BODY = 256 << 10
BODY_SECONDS = 10.0
WAITING = 64  # requests to rooms at once
SOCKETS = 2 * MOST_PLAYERS  # connections that may not have said hello among them
_THREADS = 4
_CONNECTIONS = 800

_log = logging.getLogger("chainrule.play")


def rooms() -> dict[str, Mapping[str, Endpoint]]:
    """The end points of every room that is installed."""
    found: dict[str, Mapping[str, Endpoint]] = {}
    for name, module in ROOMS.items():
        package = module.rpartition(".")[0]
        if importlib.util.find_spec(package) is not None and importlib.util.find_spec(module) is not None:
            found[name] = importlib.import_module(module).ENDPOINTS
    return found


def make_player() -> stream.Player:
    """A new playground, with the default settings."""
    from chainrule.play.player import Player

    return Player()


def make_app(
    port: int,
    *,
    player: Callable[[], stream.Player] = make_player,
    endpoints: Rooms | None = None,
    most_players: int = MOST_PLAYERS,
    kept_seconds: float = KEPT_SECONDS,
    messages_per_second: float = stream.MESSAGES_PER_SECOND,
    workers: int | None = None,
) -> App:
    """The application for a server on ``port``.

    ``player`` makes a playground and ``endpoints`` are the rooms (default: those that are installed); the limits are
    there for tests.
    """
    from starlette.applications import Starlette
    from starlette.routing import Route, WebSocketRoute
    from starlette.websockets import WebSocket

    scheduler = Scheduler(workers)
    answering = ThreadPoolExecutor(_THREADS, "chainrule-answer")
    asking = ThreadPoolExecutor(_THREADS, "chainrule-room")
    exporting = ThreadPoolExecutor(1, "chainrule-export")
    sessions = Sessions(player, scheduler, answering, exporting, most=most_players, kept_seconds=kept_seconds)
    sockets = 0

    async def talk(websocket: WebSocket) -> None:
        nonlocal sockets
        if sockets >= max(SOCKETS, most_players):
            await websocket.close(1013, "too many connections")
            return
        sockets += 1
        try:
            await stream.Page(websocket, sessions, answering, messages_per_second).talk()
        finally:
            sockets -= 1

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        patrol = asyncio.create_task(sessions.patrol())
        yield
        patrol.cancel()
        sessions.close()
        await asyncio.get_running_loop().run_in_executor(None, scheduler.close)
        for pool in (answering, asking, exporting):
            pool.shutdown(wait=False, cancel_futures=True)

    table = assets.table()
    files = _Files(table)
    api = _Rooms(rooms() if endpoints is None else endpoints, asking)
    routes = [
        *(Route(at, files.get, methods=["GET"]) for at in table),
        Route("/api/{room}/{name}", api.post, methods=["POST"]),
        WebSocketRoute("/ws", talk),
    ]
    handlers: Any = {404: _status, 405: _status, 500: _failed}
    app = Starlette(routes=routes, lifespan=lifespan, exception_handlers=handlers)
    app.router.redirect_slashes = False
    return Guard(app, port)


async def _status(request: Request, error: Any) -> Response:
    """An address or a method that is not there."""
    words = {"what": "there is no such page" if error.status_code == 404 else "this address is asked otherwise",
             "got": f"{request.method} {request.url.path}"[:200], "fix": "start at /"}  # fmt: skip
    return _json({"error": words}, error.status_code, error.headers)


async def _failed(request: Request, error: Exception) -> Response:
    """A bug; whoever called us gets the exception too, and logs it."""
    return _json({"error": FAILED}, 500)


def _json(value: dict[str, Any], status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    from starlette.responses import Response

    more = {"cache-control": "no-store", **(headers or {})}
    return Response(written(value), status, more, "application/json")


class _Files:
    """Answers with the packaged files."""

    def __init__(self, table: Mapping[str, assets.Asset]) -> None:
        self._table = table

    async def get(self, request: Request) -> Response:
        from starlette.responses import Response

        found = self._table[request.url.path].read()
        headers = {"etag": found.etag, "cache-control": "no-cache", "vary": "accept-encoding"}
        if request.headers.get("if-none-match") == found.etag:
            return Response(status_code=304, headers=headers)
        body = found.plain
        if found.gzipped is not None and "gzip" in request.headers.get("accept-encoding", ""):
            body = found.gzipped
            headers["content-encoding"] = "gzip"
        return Response(body, headers=headers | {"content-type": found.kind})


class _Rooms:
    """Answers with what a room's function returns."""

    def __init__(self, endpoints: Rooms, pool: ThreadPoolExecutor) -> None:
        self._endpoints = endpoints
        self._pool = pool
        self._waiting = 0

    async def post(self, request: Request) -> Response:
        from starlette.requests import ClientDisconnect
        from starlette.responses import Response

        room, name = request.path_params["room"], request.path_params["name"]
        endpoint = self._endpoints.get(room, {}).get(name)
        if endpoint is None:
            return _json({"error": {"what": "there is no such end point", "got": f"{room}/{name}"[:200],
                                    "fix": "see docs/play.md"}}, 404)  # fmt: skip
        if self._waiting >= WAITING:
            return _json({"error": {"what": "too many requests at once", "expected": f"at most {WAITING}",
                                    "fix": "try again in a moment"}}, 429, {"retry-after": "1"})  # fmt: skip
        self._waiting += 1
        try:
            body = await _body(request)
            text = await asyncio.get_running_loop().run_in_executor(self._pool, _computed, endpoint, body)
        except ChainruleError as error:
            return _json({"error": in_words(error)}, 400)
        except _TooLarge as error:
            return _json({"error": in_words(error.words)}, 413, {"connection": "close"})
        except ClientDisconnect:
            return Response(status_code=400)  # nobody is there to read it
        except TimeoutError:
            return _json({"error": {"what": "the request did not arrive", "expected": f"within {BODY_SECONDS:.0f} s",
                                    "fix": "send it again"}}, 408, {"connection": "close"})  # fmt: skip
        finally:
            self._waiting -= 1
        return Response(text, 200, {"cache-control": "no-store"}, "application/json")


def _computed(endpoint: Endpoint, body: bytes) -> str:
    """What an end point answers, as text.  Numbers that are not finite are its subject, not worth a warning."""
    with np.errstate(all="ignore"):
        return written(endpoint(_object(body)))


class _TooLarge(Exception):
    def __init__(self, got: object) -> None:
        self.words = DataError("the request is too large", expected=f"at most {MOST_BODY:,} bytes", got=got,
                               fix="send less at a time")  # fmt: skip


async def _body(request: Request) -> bytes:
    """The body of a JSON request, read no further than is allowed."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise DataError("the request is no JSON", expected="content-type: application/json", got=kind[:60] or "none",
                        fix="say application/json")  # fmt: skip
    length = request.headers.get("content-length", "0")
    if length.isdecimal() and (len(length) > 12 or int(length) > MOST_BODY):
        raise _TooLarge(length[:20])
    found = bytearray()
    async with asyncio.timeout(BODY_SECONDS):
        async for piece in request.stream():
            found += piece
            if len(found) > MOST_BODY:
                raise _TooLarge("more")
    return bytes(found)


def _object(body: bytes) -> dict[str, Any]:
    value = read(body, MOST_BODY, "request")
    if not isinstance(value, dict):
        raise DataError("the request is no object", expected="a JSON object", got=type(value).__name__,
                        fix="send {…}")  # fmt: skip
    return value


def bind(port: int) -> socket.socket:
    """A listening socket on 127.0.0.1; port 0 takes any that is free.  Raises OptionError when it is taken."""
    if not 0 <= port <= 65535:
        raise OptionError("there is no such port", expected="0 to 65535", got=port, fix="pass --port 0 for any")
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    if sys.platform != "win32":  # there it would let two servers share the port
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind(("127.0.0.1", port))
        listening.listen(128)
    except OSError as error:
        listening.close()
        raise OptionError(
            "this port can't be used", expected="a free port of this machine", got=f"{port}: {error.strerror}",
            fix="pass another --port, or --port 0 for any that is free",
        ) from None  # fmt: skip
    return listening


def make_server(app: App) -> uvicorn.Server:
    """uvicorn around the application: quiet, and with limits."""
    import uvicorn

    config = uvicorn.Config(
        app, log_config=None, log_level="critical", access_log=False, lifespan="on", ws="websockets-sansio",
        ws_max_size=stream.MOST_BYTES, ws_per_message_deflate=False, proxy_headers=False, server_header=False,
        limit_concurrency=_CONNECTIONS, timeout_keep_alive=20, timeout_graceful_shutdown=1,
    )  # fmt: skip
    return uvicorn.Server(config)


def serve(listening: socket.socket, app: App) -> None:
    """Serve until Ctrl-C or SIGTERM."""
    make_server(app).run(sockets=[listening])
