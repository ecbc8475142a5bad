"""The compatible mode: the reference's trajectories through ``Player.answer``; its rule written out link by link."""

from __future__ import annotations

import itertools
import json
import math
import struct
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from asking import TRAJECTORIES, reference
from asking import WaitingPlayer as Player

from chainrule.base.errors import OptionError
from chainrule.play.settings import Settings

TOLERANCE = 1e-12


def epochs(player: Player, count: int) -> None:
    """``count`` epochs by the message ``step``, to their end."""
    player.answer({"do": "step", "unit": "epoch", "count": count})
    while player.run(0.2):
        pass


def layers(player: Player) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = player.answer({"do": "state"})["state"]["layers"]
    return found


def same_layers(player: Player, snapshot: Sequence[dict[str, Any]], tolerance: float = TOLERANCE) -> None:
    for mine, theirs in zip(layers(player), snapshot, strict=True):
        np.testing.assert_allclose(mine["weight"], theirs["weight"], rtol=0, atol=tolerance)
        np.testing.assert_allclose(mine["bias"], theirs["bias"], rtol=0, atol=tolerance)


@pytest.mark.parametrize("native", ["never", "wait"])
@pytest.mark.parametrize("name", TRAJECTORIES)
def test_the_trajectories_of_the_reference(name: str, native: str) -> None:
    file = reference(name)
    player = Player(Settings.from_reference(file["config"]), native=native)
    at = 0
    for epoch, snapshot in sorted((int(k), v) for k, v in file["snapshots"].items()):
        if epoch > at:
            epochs(player, epoch - at)
            at = epoch
        same_layers(player, snapshot)
        held = player.course.state.held
        assert held is not None
        for dead, theirs in zip(held.dead, snapshot, strict=True):
            np.testing.assert_array_equal(dead.T, theirs["dead"])
    curve = player.answer({"do": "state"})["state"]["curve"]
    assert len(curve) == len(file["lossTrain"]) == 101
    per_epoch = player.course.context.rows
    assert [step for step, _, _ in curve] == [per_epoch * e for e in range(101)]
    np.testing.assert_allclose([a for _, a, _ in curve], file["lossTrain"], rtol=0, atol=TOLERANCE)
    np.testing.assert_allclose([b for _, _, b in curve], file["lossTest"], rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("name", TRAJECTORIES)
def test_the_first_example_of_the_reference(name: str) -> None:
    """Every node's value and derivative, by the half-steps; every link's, by ``explain``."""
    file = reference(name)
    player = Player(Settings.from_reference(file["config"]), native="never")
    for _ in range(3):
        half = player.answer({"do": "half"})
    example = half["example"]
    for number, theirs in enumerate(file["firstExample"]["layers"]):
        for mine, name_there in (("z", "totalInput"), ("a", "output"), ("da", "outputDer"), ("dz", "inputDer")):
            np.testing.assert_allclose(example[mine][number], theirs[name_there], rtol=0, atol=TOLERANCE)
        for to, row in enumerate(theirs["errorDer"]):
            for source, expected in list(enumerate(row))[:2]:
                found = player.answer(
                    {"do": "explain", "what": "weight", "layer": number, "to": to, "from": source, "example": 0}
                )  # fmt: skip
                assert found["example"]["gradient"] == pytest.approx(expected, abs=TOLERANCE)
                assert found["paths"]["total"] == pytest.approx(expected, abs=TOLERANCE)


# ------------------------------------------------------------------------------------------- the rule, written out


class Net:
    """The reference's rule on single numbers, from its description alone: lists of nodes and links, one at a time."""

    def __init__(self, settings: Settings, first: Sequence[dict[str, Any]]) -> None:
        self.s = settings
        self.w = [[list(row) for row in layer["weight"]] for layer in first]
        self.b = [list(layer["bias"]) for layer in first]
        self.dead = [[[False] * len(row) for row in layer] for layer in self.w]
        self.sum_w = [[[0.0] * len(row) for row in layer] for layer in self.w]
        self.sum_b = [[0.0] * len(row) for row in self.b]
        self.summed = 0

    def activation(self, layer: int) -> str:
        last = layer == len(self.w) - 1
        return ("tanh" if self.s.problem == "classification" else "identity") if last else self.s.activation

    @staticmethod
    def f(name: str, z: float) -> tuple[float, float]:
        if name == "tanh":
            y = math.tanh(z)
            return y, 1 - y * y
        if name == "sigmoid":
            y = 1 / (1 + math.exp(-z))
            return y, y * (1 - y)
        if name == "relu":
            return max(0.0, z), 0.0 if z <= 0 else 1.0
        return z, 1.0

    def forward(self, x: Sequence[float]) -> tuple[list[list[float]], list[list[float]]]:
        values, slopes = [list(x)], []
        for layer, (w, b) in enumerate(zip(self.w, self.b, strict=True)):
            out, down = [], []
            for row, bias in zip(w, b, strict=True):
                total = bias
                for weight, y in zip(row, values[-1], strict=True):
                    total += weight * y
                y, slope = self.f(self.activation(layer), total)
                out.append(y)
                down.append(slope)
            values.append(out)
            slopes.append(down)
        return values, slopes

    def example(self, x: Sequence[float], target: float) -> None:
        values, slopes = self.forward(x)
        arriving = [values[-1][0] - target]
        for layer in range(len(self.w) - 1, -1, -1):
            delta = [a * s for a, s in zip(arriving, slopes[layer], strict=True)]
            arriving = [0.0] * len(values[layer])
            for j, d in enumerate(delta):
                self.sum_b[layer][j] += d
                for i, y in enumerate(values[layer]):
                    if not self.dead[layer][j][i]:
                        self.sum_w[layer][j][i] += d * y
                    arriving[i] += self.w[layer][j][i] * d
        self.summed += 1

    def update(self) -> None:
        rate, decay = self.s.learning_rate, self.s.regularization_rate
        for layer, w in enumerate(self.w):
            for j, row in enumerate(w):
                self.b[layer][j] -= rate * self.sum_b[layer][j] / self.summed
                self.sum_b[layer][j] = 0.0
                for i, old in enumerate(row):
                    if not self.dead[layer][j][i]:
                        q = {"none": 0.0, "l1": float(np.sign(old)), "l2": old}[self.s.regularization]
                        first = old - rate / self.summed * self.sum_w[layer][j][i]
                        second = first - rate * decay * q
                        if self.s.regularization == "l1" and first * second < 0:
                            row[i], self.dead[layer][j][i] = 0.0, True
                        else:
                            row[i] = second
                    self.sum_w[layer][j][i] = 0.0
        self.summed = 0

    def epoch(self, rows: Sequence[tuple[Sequence[float], float]]) -> None:
        for number, (x, target) in enumerate(rows, 1):
            self.example(x, target)
            if number % self.s.batch_size == 0:
                self.update()


def beside(player: Player) -> tuple[Net, list[tuple[list[float], float]]]:
    context = player.course.context
    rows = [
        (context.tables.x[i].tolist(), float(context.tables.t[i, 0])) for i in range(context.count)
    ]  # fmt: skip
    return Net(player.settings, layers(player)), rows


def same(player: Player, net: Net, tolerance: float = 1e-11) -> None:
    snapshot = [{"weight": w, "bias": b} for w, b in zip(net.w, net.b, strict=True)]
    same_layers(player, snapshot, tolerance)
    held = player.course.state.held
    assert held is not None
    for dead, theirs in zip(held.dead, net.dead, strict=True):
        np.testing.assert_array_equal(dead.T, theirs)


CONFIGURATIONS: list[dict[str, Any]] = [
    {"dataset": "gauss", "activation": "sigmoid", "networkShape": [3], "batchSize": 7, "noise": 20},
    {"dataset": "reg-plane", "activation": "linear", "networkShape": [], "batchSize": 13, "learningRate": 0.003,
     "problem": "regression", "percTrainData": 10},
    {"dataset": "reg-gauss", "activation": "relu", "networkShape": [5, 3, 2], "regularization": "L2",
     "regularizationRate": 0.1, "problem": "regression", "percTrainData": 10, "batchSize": 30},
    {"dataset": "xor", "activation": "tanh", "networkShape": [4, 4], "regularization": "L1", "regularizationRate": 0.1,
     "percTrainData": 20, "batchSize": 1},
    {"dataset": "circle", "activation": "relu", "networkShape": [3], "initZero": True, "percTrainData": 20},
    {"dataset": "spiral", "activation": "tanh", "networkShape": [6], "learningRate": 0.3, "percTrainData": 30,
     "batchSize": 29, "features": ["x", "y", "sinX", "sinY", "xTimesY"], "regularizationRate": 0.3,
     "regularization": "L1", "noise": 50},
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(CONFIGURATIONS)))
def test_other_configurations_by_the_rule_written_out(number: int) -> None:
    config = {"seed": f"0.{number}77", "features": ["x", "y"], "percTrainData": 50, **CONFIGURATIONS[number]}
    player = Player(Settings.from_reference(config), native="never")
    net, rows = beside(player)
    for _ in range(3):
        epochs(player, 1)
        net.epoch(rows)
        same(player, net)
    if number == 5:
        assert any(itertools.chain(*itertools.chain(*net.dead)))


def test_a_batch_larger_than_the_data_never_updates_and_says_so() -> None:
    config = {"dataset": "circle", "activation": "tanh", "features": ["x", "y"], "networkShape": [2], "seed": "1",
              "percTrainData": 10, "batchSize": 60}  # fmt: skip
    player = Player(Settings.from_reference(config), native="never")
    before = layers(player)
    answer = player.answer({"do": "step", "unit": "epoch", "count": 3})
    assert layers(player) == before
    assert answer["state"]["epoch"] == 3
    assert "never updates" in answer["notes"][0]
    # Once batches are smaller, all that was summed joins the first update.
    net, rows = beside(player)
    for _ in range(3):
        for x, target in rows:
            net.example(x, target)
    player.answer({"do": "set", "settings": {"batch_size": 25}})
    net.s = player.settings
    epochs(player, 1)
    net.epoch(rows)
    same(player, net)


def test_leftover_examples_are_named_and_join_the_next_epoch() -> None:
    config = {"dataset": "xor", "activation": "tanh", "features": ["x", "y"], "networkShape": [2], "seed": "1",
              "percTrainData": 10, "batchSize": 15}  # fmt: skip
    player = Player(Settings.from_reference(config), native="never")
    assert "5 over" in player.answer({"do": "set", "settings": {}})["notes"][0]
    net, rows = beside(player)
    epochs(player, 1)
    net.epoch(rows)
    assert net.summed == 5
    # The sums were made with the old weight: editing one in between changes nothing of them.
    answer = player.answer({"do": "edit", "what": "weight", "layer": 0, "to": 1, "from": 0, "value": 0.75})
    assert answer["value"] == 0.75
    net.w[0][1][0] = 0.75
    epochs(player, 1)
    net.epoch(rows)
    same(player, net)


def test_example_by_example_is_the_same_rule() -> None:
    config = {"dataset": "xor", "activation": "tanh", "features": ["x", "y"], "networkShape": [3], "seed": "3",
              "percTrainData": 10, "batchSize": 8, "regularization": "L1", "regularizationRate": 0.03}  # fmt: skip
    player = Player(Settings.from_reference(config), native="never")
    net, rows = beside(player)
    player.answer({"do": "step", "unit": "example", "count": 3})
    player.answer({"do": "edit", "what": "bias", "layer": 1, "to": 0, "value": -0.4})
    for x, target in rows[:3]:
        net.example(x, target)
    net.b[1][0] = -0.4
    player.answer({"do": "step", "unit": "example", "count": 4})
    for x, target in rows[3:7]:
        net.example(x, target)
    same(player, net)
    player.answer({"do": "step", "unit": "batch", "count": 2})  # the begun batch, and one more
    for number, (x, target) in enumerate(rows[7:16], 8):
        net.example(x, target)
        if number % 8 == 0:
            net.update()
    same(player, net)
    player.answer({"do": "step", "unit": "example", "count": 40})  # over the end of the epoch, 2 left over
    for number, (x, target) in enumerate([*rows[16:], *rows[:6]], 17):
        net.example(x, target)
        if (number - 1) % 50 + 1 <= 50 and ((number - 1) % 50 + 1) % 8 == 0:
            net.update()
    assert player.course.state.position == (9, 0) or player.course.state.example
    same(player, net)


def test_a_dead_link_keeps_what_is_typed_and_is_never_trained() -> None:
    file = reference("xor_relu_4_L1_dead")
    player = Player(Settings.from_reference(file["config"]), native="never")
    epochs(player, 10)
    held = player.course.state.held
    assert held is not None
    layer, (source, to) = next((n, at[0]) for n, d in enumerate(held.dead) if len(at := np.argwhere(d)))
    message = {"do": "edit", "what": "weight", "layer": layer, "to": int(to), "from": int(source), "value": 0.7}
    answer = player.answer(message)
    assert "died under L1" in answer["notes"][0]
    net, rows = beside(player)
    net.dead = [d.T.tolist() for d in held.dead]
    epochs(player, 2)
    for _ in range(2):
        net.epoch(rows)
    assert layers(player)[layer]["weight"][to][source] == 0.7
    same(player, net)
    frame = player.frame()
    (length,) = struct.unpack_from("<I", frame)
    section = next(s for s in json.loads(frame[4 : 4 + length])["sections"] if s["name"] == "dead")
    shown = np.frombuffer(frame, np.uint8, *section["shape"], 4 + length + section["offset"])
    np.testing.assert_array_equal(shown, np.concatenate([np.reshape(d, -1) for d in net.dead]))


def test_zero_weights_stay_equal() -> None:
    config = {"dataset": "circle", "activation": "tanh", "features": ["x", "y"], "networkShape": [3], "seed": "1",
              "initZero": True}  # fmt: skip
    player = Player(Settings.from_reference(config), native="never")
    assert all(not np.any(layer["weight"]) and not np.any(layer["bias"]) for layer in layers(player))
    epochs(player, 1)
    assert not np.any(layers(player)[0]["weight"])  # nothing but the output's bias ever moves


def test_the_mode_has_only_what_the_reference_has() -> None:
    player = Player({"mode": "compatible"}, native="never")
    with pytest.raises(OptionError, match="compatible mode has no other optimizer"):
        player.answer({"do": "set", "settings": {"optimizer": "adam"}})
    player.answer({"do": "set", "settings": {"mode": "default", "optimizer": "adam", "dataset": "moons"}})
    answer = player.answer({"do": "set", "settings": {"mode": "compatible"}})
    assert answer["state"]["settings"]["optimizer"] == "sgd"
    assert answer["state"]["settings"]["dataset"] == "circle"


def test_configurations_that_are_none() -> None:
    with pytest.raises(OptionError, match="no configuration of the reference"):
        Settings.from_reference({"seed": "1"})
    with pytest.raises(OptionError, match="no such feature"):
        Settings.from_reference({"dataset": "xor", "activation": "tanh", "features": ["z"], "networkShape": [2]})
