"""What tests of the player share."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

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


SMALL = {"samples": 60, "hidden": [3, 2], "batch_size": 7}


def player_of(**settings: Any) -> Player:
    return WaitingPlayer({**SMALL, **settings}, native="never")


def weights(player: Player) -> list[np.ndarray[Any, Any]]:
    return [a for layer in player.course.state.network.layers for a in (layer.weight, layer.bias)]


def settle(player: Player) -> None:
    while player.run(0.2):
        pass


TRAJECTORIES = ("default_circle_tanh_4_2", "spiral_relu_8_8_batch30_leftover", "xor_relu_4_L1_dead")


def reference(name: str) -> dict[str, Any]:
    """A recorded run of the reference playground, or a skip that says what is missing.

    They lie in ``reference/playground`` beside the folder of real data sets, ``CHAINRULE_DATA``.
    """
    data = Path(os.environ.get("CHAINRULE_DATA") or Path(__file__).parents[3] / "shared" / "data")
    path = data.parent / "reference" / "playground" / f"{name}.json"
    if not path.exists():
        pytest.skip(f"needs {path.name} in {path.parent} (beside CHAINRULE_DATA, the folder of real data sets)")
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found
