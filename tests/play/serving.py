"""What the tests of ``chainrule play`` share: a server in a thread, and a client of its WebSocket and end points."""

from __future__ import annotations

import contextlib
import json
import struct
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import numpy as np


@dataclass
class Frame:
    """A decoded binary frame: its header, and the sections as arrays."""

    header: dict[str, Any]
    sections: dict[str, Any]

    @classmethod
    def of(cls, data: bytes) -> Frame:
        (length,) = struct.unpack_from("<I", data)
        assert (4 + length) % 8 == 0, "the sections begin at a multiple of 8"
        header = json.loads(data[4 : 4 + length])
        base = 4 + length
        sections = {}
        for one in header["sections"]:
            assert one["offset"] % 8 == 0, "every section begins at a multiple of 8"
            dtype, shape = np.dtype(one["dtype"]).newbyteorder("<"), one["shape"]
            values = np.frombuffer(data, dtype, int(np.prod(shape)), base + one["offset"])
            sections[one["name"]] = values.reshape(shape)
        return cls(header, sections)


class Refusal(Exception):
    """An error in words that the server answered."""

    def __init__(self, words: dict[str, str]) -> None:
        super().__init__(str(words))
        self.words = words


@dataclass
class Client:
    """A page's end of the WebSocket, in a thread's manner: ``ask`` waits for its answer."""

    socket: Any
    connection: Any  # the context manager of the socket
    acknowledge: bool = True
    frames: list[bytes] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    count: int = 0
    kept: int = 1000  # frames

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.connection.__exit__(None, None, None)

    def send(self, message: Any) -> None:
        self.socket.send(message if isinstance(message, (str, bytes)) else json.dumps(message))

    def receive(self, timeout: float = 20.0) -> dict[str, Any] | Frame:
        """The next message."""
        data = self.socket.recv(timeout)
        if isinstance(data, bytes):
            self.frames.append(data)
            del self.frames[: -self.kept]
            frame = Frame.of(data)
            if self.acknowledge:
                self.send({"ack": frame.header["frame"]})
            return frame
        found: dict[str, Any] = json.loads(data)
        if "event" in found:
            self.events.append(found)
        return found

    def tell(self, do: str, **fields: Any) -> int:
        """Send an action and do not wait; its number."""
        self.count += 1
        self.send({"id": self.count, "do": do, **fields})
        return self.count

    def answer_to(self, number: int | None, timeout: float = 20.0) -> dict[str, Any]:
        """The answer to message ``number``; raises Refusal for an error."""
        end = time.monotonic() + timeout
        while (left := end - time.monotonic()) > 0:
            found = self.receive(left)
            if isinstance(found, dict) and "id" in found and found["id"] == number:
                if "error" in found:
                    raise Refusal(found["error"])
                ok: dict[str, Any] = found["ok"]
                return ok
        raise TimeoutError(f"no answer to message {number}")

    def ask(self, do: str, *, timeout: float = 20.0, **fields: Any) -> dict[str, Any]:
        """The answer to an action."""
        return self.answer_to(self.tell(do, **fields), timeout)

    def hello(self, **fields: Any) -> dict[str, Any]:
        return self.ask("hello", **fields)

    def refusal(self, timeout: float = 20.0) -> dict[str, str]:
        """The words of the next error, to whatever message."""
        end = time.monotonic() + timeout
        while (left := end - time.monotonic()) > 0:
            found = self.receive(left)
            if isinstance(found, dict) and "error" in found:
                words: dict[str, str] = found["error"]
                return words
        raise TimeoutError("no error")

    def frame(self, timeout: float = 20.0) -> Frame:
        """The next frame."""
        end = time.monotonic() + timeout
        while (left := end - time.monotonic()) > 0:
            found = self.receive(left)
            if isinstance(found, Frame):
                return found
        raise TimeoutError("no frame")

    def listen(self, seconds: float) -> list[dict[str, Any] | Frame]:
        """Everything that comes in so many seconds."""
        found, end = [], time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            with contextlib.suppress(TimeoutError):
                found.append(self.receive(left))
        return found


@dataclass
class Served:
    """A running server."""

    port: int
    server: Any

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def client(
        self, *, origin: str | None = "", hello: bool = True, path: str = "/ws", kept: int = 1000, **more: Any
    ) -> Client:
        """A connected page; ``origin`` None sends none."""
        from websockets.sync.client import connect

        given = self.url if origin == "" else origin
        opened = connect(f"ws://127.0.0.1:{self.port}{path}", origin=given, compression=None, max_size=64 << 20, **more)
        client = Client(opened.__enter__(), opened, kept=kept)
        if hello:
            client.hello()
        return client

    def post(self, path: str, body: Any = None, **more: Any) -> httpx.Response:
        """A request to an end point, as a page makes it."""
        headers = {"origin": self.url, **more.pop("headers", {})}
        if "content" not in more:
            more["json"] = body
        return httpx.post(self.url + path, headers=headers, timeout=30, **more)

    def get(self, path: str, **more: Any) -> httpx.Response:
        return httpx.get(self.url + path, timeout=30, **more)


@contextlib.contextmanager
def serving(**options: Any) -> Iterator[Served]:
    """A server on a free port, in a thread; ``options`` as for ``make_app``."""
    from chainrule.play import web

    listening = web.bind(0)
    port = listening.getsockname()[1]
    server = web.make_server(web.make_app(port, **options))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    end = time.monotonic() + 20
    while not server.started:
        assert thread.is_alive(), "the server did not start"
        assert time.monotonic() < end, "the server did not start in time"
        time.sleep(0.01)
    try:
        yield Served(port, server)
    finally:
        server.should_exit = True
        thread.join(10)
    assert not thread.is_alive(), "the server did not end"


def handshake(served: Served) -> bytes:
    """The request with which a WebSocket begins."""
    lines = [
        "GET /ws HTTP/1.1", f"Host: 127.0.0.1:{served.port}", f"Origin: {served.url}", "Upgrade: websocket",
        "Connection: Upgrade", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==", "", "",
    ]  # fmt: skip
    return "\r\n".join(lines).encode()
