"""One page's connection: actions in, answers out, and pictures of the training as fast as the page takes them.

Three tasks per WebSocket.  One reads: acknowledgements act at once, actions go into a short queue; when that is full,
or messages come faster than 200 a second, reading pauses, and TCP makes the sender wait.  One answers the actions in
their order, in a thread, so that the event loop never waits for a computation.  One writes.

Frames are made when there is something new, fewer than two are unacknowledged and 1/60 s has passed: always from the
newest state.  A slow page sees fewer of them; it neither slows the training nor piles up memory.

Does not do: reconnecting (the page does, with the token that ``hello`` gave; see :mod:`chainrule.play.sessions`).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import struct
import time
from collections import deque
from concurrent.futures import Executor
from typing import TYPE_CHECKING, Any, Protocol

from chainrule.base.errors import ChainruleError, DataError, OptionError
from chainrule.play.guard import FAILED
from chainrule.play.wire import in_words, read, written

if TYPE_CHECKING:
    from starlette.websockets import WebSocket

    from chainrule.play.sessions import Session, Sessions

MOST_BYTES = 1 << 20  # of a message that brings data or a state
MOST_BYTES_ELSE = 1 << 16
# A state of the largest network is more than 64 kB, and so is a table of CSV.
LARGE = frozenset({"load", "data"})
MESSAGES_PER_SECOND = 200.0
BURST = 200.0  # how many at once, after a pause
FRAMES_PER_SECOND = 60.0
IN_FLIGHT = 2
QUEUED = 32  # actions that wait for those before them
EVENTS = 64  # unsent events; older ones are dropped
HELLO_SECONDS = 20.0
SEND_SECONDS = 60.0  # a page that takes nothing for so long is gone

TAKEN_OVER = 4001
SILENT = 4002
REFUSED = 4003

_log = logging.getLogger("chainrule.play")


class Player(Protocol):
    """One running network, as the transport needs it.  All methods may be called from any thread."""

    def answer(self, message: dict[str, Any]) -> dict[str, Any]:
        """What an action answers; raises ChainruleError."""

    def run(self, seconds: float) -> bool:
        """Train for about so long; False when paused."""

    def frame(self) -> bytes:
        """A picture of the newest state."""

    def events(self) -> list[dict[str, Any]]:
        """What has happened since the last call."""

    def close(self) -> None:
        """Free what it holds."""


class Bucket:
    """A token bucket: how long to wait so that not more than ``rate`` a second get by, ``burst`` at once."""

    def __init__(self, rate: float, burst: float) -> None:
        self._rate = rate
        self._burst = burst
        self._left = burst
        self._at = time.monotonic()

    def take(self) -> float:
        """Seconds to wait before the next."""
        now = time.monotonic()
        self._left = min(self._burst, self._left + (now - self._at) * self._rate) - 1
        self._at = now
        return max(0.0, -self._left / self._rate)


def frame_number(frame: bytes) -> int:
    """The number in a frame's header."""
    (length,) = struct.unpack_from("<I", frame)
    return int(json.loads(frame[4 : 4 + length])["frame"])


class Page:
    """One WebSocket, from its acceptance to its end."""

    def __init__(self, socket: WebSocket, sessions: Sessions, pool: Executor, rate: float) -> None:
        self.session: Session | None = None
        self._socket = socket
        self._sessions = sessions
        self._pool = pool
        self._loop = asyncio.get_running_loop()
        self._bucket = Bucket(rate, max(BURST, rate))
        self._actions: asyncio.Queue[dict[str, Any]] = asyncio.Queue(QUEUED)
        self._out: deque[str | bytes] = deque()
        self._events: deque[dict[str, Any]] = deque(maxlen=EVENTS)
        self._something = asyncio.Event()
        self._in_flight: set[int] = set()
        self._next_frame = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._closing: tuple[int, str] | None = None

    # What a worker thread calls.

    def frame_in(self) -> float:
        """Seconds until a frame may be made; infinite while two are unacknowledged."""
        if len(self._in_flight) >= IN_FLIGHT:
            return float("inf")
        return max(0.0, self._next_frame - time.monotonic())

    def show(self, frame: bytes) -> None:
        """Send a frame."""
        self._in_flight.add(frame_number(frame))
        self._next_frame = time.monotonic() + 1 / FRAMES_PER_SECOND
        self._later(self._put, frame)

    def tell(self, events: list[dict[str, Any]]) -> None:
        """Send events."""
        if events:
            self._later(self._add_events, events)

    def look_again(self, seconds: float) -> None:
        """Give the session a turn in so many seconds."""
        self._later(self._wake_in, seconds)

    def _later(self, *call: Any) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: the server has ended
            self._loop.call_soon_threadsafe(*call)

    # In the event loop.

    def _wake(self) -> None:
        if self.session is not None and self.session.page is self:
            self.session.wake()

    def _wake_in(self, seconds: float) -> None:
        """At most one such turn is waited for, the earliest: else each turn that asks for one would add a chain."""
        timer, at = self._timer, self._loop.time() + seconds
        if timer is not None and not timer.cancelled() and self._loop.time() < timer.when():
            if timer.when() <= at:
                return
            timer.cancel()
        self._timer = self._loop.call_later(seconds, self._wake)

    def _put(self, item: str | bytes) -> None:
        self._out.append(item)
        self._something.set()

    def _add_events(self, events: list[dict[str, Any]]) -> None:
        self._events.extend(events)
        self._something.set()

    def end(self, code: int, reason: str) -> None:
        """Close the connection, after what is waiting to be sent."""
        self._closing = self._closing or (code, reason)
        self._something.set()

    async def talk(self) -> None:
        """Until either side closes the connection."""
        await self._socket.accept()
        answering = asyncio.create_task(self._answer_all())
        writing = asyncio.create_task(self._write_all())
        reading = asyncio.create_task(self._read_all())
        silence = self._loop.call_later(HELLO_SECONDS, self._silent)
        try:
            await asyncio.wait([answering, writing, reading], return_when=asyncio.FIRST_COMPLETED)
        finally:
            silence.cancel()
            self._sessions.leave(self)
            for task in (answering, writing, reading):
                task.cancel()
            for ended in await asyncio.gather(answering, writing, reading, return_exceptions=True):
                if isinstance(ended, Exception):
                    _log.error("a connection failed", exc_info=ended)

    def _silent(self) -> None:
        if self.session is None:
            self.end(SILENT, f"no hello came within {HELLO_SECONDS:.0f} seconds")

    async def _read_all(self) -> None:
        while True:
            event = await self._socket.receive()
            if event["type"] == "websocket.disconnect":
                return
            await asyncio.sleep(self._bucket.take())  # also at 0: thousands may be in the queue, and others wait
            try:
                message = self._read(event)
            except ChainruleError as error:
                self._refuse(None, error)
                continue
            if message is not None:
                await self._actions.put(message)

    def _read(self, event: Any) -> dict[str, Any] | None:
        """The action in a WebSocket message; None after an acknowledgement."""
        text = event.get("text")
        if text is None:
            raise DataError("a binary message came", expected="JSON text", got=f"{len(event['bytes']):,} bytes",
                            fix="send JSON as text")  # fmt: skip
        message = read(text, MOST_BYTES)
        if not isinstance(message, dict):
            raise DataError("a message is no object", expected='{"id": 1, "do": "…"}', got=_kind(message),
                            fix="send an object")  # fmt: skip
        if set(message) == {"ack"}:
            self._acknowledge(message["ack"])
            return None
        number = message.get("id")
        if type(number) is not int or not 0 <= number < 1 << 53:
            raise DataError("a message has no number", expected='"id": a whole number from 0',
                            got=_kind(number), fix="count the messages")  # fmt: skip
        if not isinstance(message.get("do"), str):
            error = DataError("a message does not say what to do", expected='"do": the name of an action',
                              got=_kind(message.get("do")), fix="see the protocol in docs/play.md")  # fmt: skip
        elif len(text) > MOST_BYTES_ELSE and message["do"] not in LARGE:
            error = DataError("the message is too large", expected=f"at most {MOST_BYTES_ELSE:,} bytes",
                              got=f"{len(text):,}", fix="send less at a time")  # fmt: skip
        else:
            return message
        self._refuse(number, error)
        return None

    def _acknowledge(self, number: Any) -> None:
        if type(number) is not int:
            raise DataError("an acknowledgement without a number", expected='{"ack": the number of the frame}',
                            got=_kind(number), fix="send back the number in the frame's header")  # fmt: skip
        if number in self._in_flight:
            self._in_flight.discard(number)
            self._wake()

    def _refuse(self, number: int | None, error: ChainruleError) -> None:
        if len(self._out) > 4 * QUEUED:  # it sends nonsense and reads nothing
            self.end(REFUSED, "too many errors that were not read")
            return
        self._put(written({"id": number, "error": in_words(error)}))

    async def _answer_all(self) -> None:
        while True:
            message = await self._actions.get()
            try:
                text = await self._answer(message)
            except ChainruleError as error:
                text = written({"id": message["id"], "error": in_words(error)})
            except Exception:
                _log.exception("the action %.40r failed", message["do"])
                text = written({"id": message["id"], "error": FAILED})
            self._put(text)
            if self.session is None and message["do"] == "hello":
                self.end(REFUSED, "hello was refused")

    async def _answer(self, message: dict[str, Any]) -> str:
        if message["do"] == "hello":
            return await self._hello(message)
        if self.session is None:
            raise OptionError("the page has not said hello", expected='{"id": 1, "do": "hello"} first',
                              got=repr(message["do"])[:60], fix="say hello")  # fmt: skip
        return await self.session.answer(message)

    async def _hello(self, message: dict[str, Any]) -> str:
        token = message.get("resume")
        if set(message) - {"id", "do", "resume"}:
            raise OptionError("hello takes no such member", expected="resume",
                              got=", ".join(sorted(set(message) - {"id", "do", "resume"}))[:80],
                              fix="leave it out, and say it in a message of its own")  # fmt: skip
        if token is not None and not isinstance(token, str):
            raise OptionError("resume is no token", expected="the text that hello answered", got=_kind(token),
                              fix="leave it out to begin anew")  # fmt: skip
        resumed = True
        if self.session is None:
            resumed = await self._sessions.enter(self, token)
        session = self.session
        assert session is not None
        more = {"token": session.token, "resumed": resumed}
        return await session.answer({"id": message["id"], "do": "hello"}, more)

    async def _write_all(self) -> None:
        from starlette.websockets import WebSocketDisconnect

        gone = (WebSocketDisconnect, TimeoutError, OSError, RuntimeError)  # or as good as gone
        while True:
            await self._something.wait()
            self._something.clear()
            while self._out or self._events:
                item = self._out.popleft() if self._out else written(self._events.popleft())
                kind = "text" if isinstance(item, str) else "bytes"
                try:
                    async with asyncio.timeout(SEND_SECONDS):
                        await self._socket.send({"type": "websocket.send", kind: item})
                    await asyncio.sleep(0)  # so that the loop can tell that the connection is lost
                except gone:
                    return
            if self._closing is not None:
                with contextlib.suppress(*gone):
                    await self._socket.close(*self._closing)
                return


def _kind(value: Any) -> str:
    if isinstance(value, (int, float)):
        return str(value).lower()[:40]
    names: dict[type, str] = {dict: "an object", list: "an array", str: "a text"}
    return names.get(type(value), "nothing")
