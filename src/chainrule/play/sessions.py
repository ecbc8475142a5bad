"""The players of all pages: made at hello, kept for two minutes after a connection drops, then freed.

Who has the token has the player: it is 192 random bits, told to the page that made it and to nobody else.  When a
connection drops its training stops at once; the page that comes back with the token finds everything as it was.
At most 100 players are kept; to make room, the one that was left first goes before its time.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any

from chainrule.base.errors import OptionError
from chainrule.play.scheduler import SHORTEST, Scheduler
from chainrule.play.stream import TAKEN_OVER, Page, Player
from chainrule.play.wire import written

MOST_PLAYERS = 100
KEPT_SECONDS = 120.0
PATROL_SECONDS = 0.1
_IDLE_SECONDS = 0.0005
_LOOK_AGAIN_SECONDS = 0.005

_log = logging.getLogger("chainrule.play")


class Session:
    """A player, the page that it plays for (None after a drop), and its place in the scheduler."""

    def __init__(self, player: Player, token: str, scheduler: Scheduler, pool: Executor, slow: Executor) -> None:
        self.player = player
        self.token = token
        self.page: Page | None = None
        self.freeing: asyncio.TimerHandle | None = None
        self._scheduler = scheduler
        self._pool = pool
        self._slow = slow  # for exports, which may take seconds
        self._asked = 0  # answers that are being computed: training waits for them, not they for it
        self._changed = True
        self._failed = False  # since the last answer

    def turn(self, seconds: float) -> bool:
        """A slice of training, and a frame if there is something new and the page can take one."""
        page = self.page
        if page is None or self._asked or self._failed:
            return False
        start = time.monotonic()
        due = page.frame_in()
        try:
            more = self.player.run(max(SHORTEST, min(seconds, due)) if due > 0 else seconds)  # to end when it is due
            events = self.player.events()
            page.tell(events)
            # A player that is told to go slowly returns at once until its next step is due.
            idle = more and time.monotonic() - start < _IDLE_SECONDS
            wait = _LOOK_AGAIN_SECONDS if idle else float("inf")
            self._changed |= more or bool(events)
            if self._changed and (left := page.frame_in()) == 0.0:
                self._changed = False
                page.show(self.player.frame())
            elif self._changed:
                wait = min(wait, left)
            if (idle or not more) and wait < float("inf"):
                page.look_again(wait)
        except Exception:
            _log.exception("a player failed")
            self._failed = True  # once is enough
            words = {"what": "the training stopped: something went wrong inside chainrule",
                     "fix": "see the terminal that runs it; rewind or reload"}  # fmt: skip
            page.tell([{"event": "failed", "error": words}])
            return False
        return more and not idle

    def wake(self, *, urgent: bool = False) -> None:
        """There may be something to do."""
        if self.page is not None and not self._asked:
            self._scheduler.wake(self, urgent=urgent)

    async def answer(self, message: dict[str, Any], more: dict[str, Any] | None = None) -> str:
        """What the player answers, and ``more``, as the text of a message.  All of it is done in a thread."""

        def work() -> str:
            answer = self._export(message) if message["do"] == "export" else self.player.answer(message)
            return written({"id": message["id"], "ok": answer | (more or {})})

        self._asked += 1
        pool = self._slow if message["do"] == "export" else self._pool
        future = asyncio.get_running_loop().run_in_executor(pool, work)
        future.add_done_callback(self._answered)  # also when nobody waits for it any more
        return await future

    def _export(self, message: dict[str, Any]) -> dict[str, Any]:
        from chainrule.play.export import export
        from chainrule.play.player import Player as Playground

        assert isinstance(self.player, Playground)
        return {**export(self.player, message)}

    def _answered(self, _: Any) -> None:
        self._asked -= 1
        self._changed, self._failed = True, False
        self.wake(urgent=True)

    def rest(self) -> None:
        """No more training, until a page comes back."""
        self.page = None
        self._scheduler.drop(self)


class Sessions:
    """All of them, by token.  Used in the event loop only."""

    def __init__(
        self, make_player: Callable[[], Player], scheduler: Scheduler, pool: Executor, slow: Executor,
        *, most: int = MOST_PLAYERS, kept_seconds: float = KEPT_SECONDS,
    ) -> None:  # fmt: skip
        self._make_player = make_player
        self._scheduler = scheduler
        self._pool = pool
        self._slow = slow
        self._most = most
        self._kept_seconds = kept_seconds
        self._by_token: dict[str, Session] = {}
        self._coming = 0

    def __len__(self) -> int:
        return len(self._by_token)

    async def enter(self, page: Page, token: str | None) -> bool:
        """Give ``page`` the session of ``token`` (True), or a new one.  Raises OptionError when there are too many."""
        session = self._by_token.get(token) if token is not None else None
        resumed = session is not None
        if session is None:
            session = await self._new()
        if session.freeing is not None:
            session.freeing.cancel()
            session.freeing = None
        if session.page is not None:
            session.page.end(TAKEN_OVER, "this playground goes on in another page")
            session.page.session = None
        session.page, page.session = page, session
        return resumed

    async def _new(self) -> Session:
        if len(self._by_token) + self._coming >= self._most:
            self._make_room()
        self._coming += 1
        try:
            making = asyncio.get_running_loop().run_in_executor(self._pool, self._make_player)
            try:
                player = await asyncio.shield(making)
            except asyncio.CancelledError:  # the page is gone before it was served
                making.add_done_callback(_close_made)
                raise
        finally:
            self._coming -= 1
        session = Session(player, secrets.token_urlsafe(24), self._scheduler, self._pool, self._slow)
        self._by_token[session.token] = session
        return session

    def _make_room(self) -> None:
        left = next((one for one in self._by_token.values() if one.page is None), None)
        if left is None:
            raise OptionError("too many pages are open", expected=f"at most {self._most} playgrounds at once",
                              got="one more", fix="close some of the others")  # fmt: skip
        self._free(left)

    def leave(self, page: Page) -> None:
        """The connection of ``page`` has ended."""
        session, page.session = page.session, None
        if session is None or session.page is not page:
            return
        session.rest()
        # The newest to be left goes to the end: room is made from the front.
        self._by_token[session.token] = self._by_token.pop(session.token)
        session.freeing = asyncio.get_running_loop().call_later(self._kept_seconds, self._free, session)

    def _free(self, session: Session) -> None:
        if session.freeing is not None:
            session.freeing.cancel()
        session.rest()
        del self._by_token[session.token]
        self._pool.submit(session.player.close)

    async def patrol(self) -> None:
        """Look after those that do not play now and then: what goes on in the background has events, too."""
        while True:
            await asyncio.sleep(PATROL_SECONDS)
            for session in self._by_token.values():
                session.wake()

    def close(self) -> None:
        """Free all of them: the server ends."""
        for session in list(self._by_token.values()):
            self._free(session)


def _close_made(made: asyncio.Future[Player]) -> None:
    if not made.cancelled() and made.exception() is None:
        made.result().close()
