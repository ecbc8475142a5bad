"""What tests of the player share."""

from __future__ import annotations

from typing import Any

from chainrule.play.player import Player


class WaitingPlayer(Player):
    """A player whose answer to ``step`` comes when all of the steps are taken, however slow the machine is."""

    def answer(self, message: Any) -> dict[str, Any]:
        found = super().answer(message)
        if isinstance(message, dict) and message.get("do") == "step":
            while self.todo:
                self.run(0.5)
            found["state"] = self.state()
        return found
