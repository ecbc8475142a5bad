"""A player that counts instead of training: the transport's tests see what it is asked to do, and when."""

from __future__ import annotations

import json
import struct
import threading
import time
from typing import Any

from chainrule.base.errors import OptionError

PADDING = 64  # bytes of the section of a frame


class CountingPlayer:
    """Answers ``play``, ``pause``, ``wait`` (seconds), ``wrong``, ``fail``; everything else with its state."""

    made: list[CountingPlayer]

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.playing = False
        self.turns = 0
        self.frames = 0
        self.closed = False
        self.breaks = False
        self.slow = False  # as with a speed limit: there is more to do, but not yet
        self.happened: list[dict[str, Any]] = []

    def state(self) -> dict[str, Any]:
        return {"playing": self.playing, "turns": self.turns, "frames": self.frames}

    def answer(self, message: dict[str, Any]) -> dict[str, Any]:
        with self.lock:
            match message["do"]:
                case "play" | "pause":
                    self.playing = message["do"] == "play"
                case "wait":
                    time.sleep(message["seconds"])
                case "wrong":
                    raise OptionError("it is wrong", expected="right", got="wrong", where="here", fix="put it right")
                case "fail":
                    raise ZeroDivisionError("a bug")
                case "slow":
                    self.playing = self.slow = True
                case "break":
                    self.playing = self.breaks = True
                case "events":
                    self.happened += [{"event": "counted", "number": i} for i in range(message["count"])]
                case "nan":
                    return {"value": float("nan"), "fine": 1.5}
            return {"state": self.state(), "echo": message.get("echo")}

    def run(self, seconds: float) -> bool:
        with self.lock:
            if self.breaks:
                raise ZeroDivisionError("a bug in training")
            if self.playing:
                self.turns += 1
                time.sleep(0 if self.slow else seconds / 10)
            return self.playing

    def frame(self) -> bytes:
        with self.lock:
            self.frames += 1
            sections = [{"name": "turns", "dtype": "f8", "shape": [PADDING // 8], "offset": 0}]
            header = json.dumps({"frame": self.frames, **self.state(), "sections": sections}).encode()
            header += b" " * (-(4 + len(header)) % 8)
            return struct.pack("<I", len(header)) + header + struct.pack("<d", self.turns) * (PADDING // 8)

    def events(self) -> list[dict[str, Any]]:
        with self.lock:
            found, self.happened = self.happened, []
            return found

    def close(self) -> None:
        self.closed = True
