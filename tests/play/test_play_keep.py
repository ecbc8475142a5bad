"""Keeping a run: JSON and address lead to the same weights and the same steps after them; hostile ones are told."""

from __future__ import annotations

import copy
import json
from typing import Any

import numpy as np
import pytest
from asking import SMALL, settle, weights
from asking import WaitingPlayer as Player

from chainrule.base.errors import ChainruleError, DataError
from chainrule.play.settings import LIMITS

CASES: list[dict[str, Any]] = [
    {}, {"optimizer": "adam"}, {"optimizer": "nadam", "loss": "cross-entropy"},
    {"mode": "compatible", "samples": None, "regularization": "l1", "regularization_rate": 0.3, "batch_size": 11},
    {"dataset": "blobs", "classes": 4, "loss": "cross-entropy", "optimizer": "momentum"},
    {"activations": ["relu", "gelu"], "features": ["x1", "sin(x2)*x1"], "normalise": True, "clip": 0.5},
]  # fmt: skip


def same(one: Player, two: Player) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(weights(one), weights(two), strict=True))


def trained(**settings: Any) -> Player:
    player = Player({**SMALL, **settings}, native="never")
    player.answer({"do": "step", "unit": "batch", "count": 13})
    return player


@pytest.mark.parametrize("case", CASES, ids=[str(i) for i in range(len(CASES))])
@pytest.mark.parametrize("form", ["state", "url"])
def test_a_kept_run_goes_on_as_if_never_left(case: dict[str, Any], form: str) -> None:
    player = trained(**case)
    player.answer({"do": "edit", "what": "weight", "layer": 0, "to": 1, "from": 0, "value": 1 / 3})
    player.answer({"do": "step", "unit": "example", "count": 2})
    kept = player.answer({"do": "state"})
    assert kept["exact"]
    text = json.dumps(kept["state"], allow_nan=False)
    message = {"state": json.loads(text)} if form == "state" else {"url": kept["url"]}
    other = Player(native="never")
    answer = other.answer({"do": "load", **message})
    assert answer["rebuilt"]
    assert same(player, other)
    assert other.course.state.position == player.course.state.position
    assert other.settings == player.settings
    for one in (player, other):
        one.answer({"do": "step", "unit": "epoch", "count": 2})
        settle(one)
    assert same(player, other)
    assert other.answer({"do": "url"})["url"] == player.answer({"do": "url"})["url"]
    if form == "state":
        assert other.answer({"do": "state"})["state"]["curve"][0] == [0, *kept["state"]["curve"][0][1:]]
        other.answer({"do": "rewind"})
        player.answer({"do": "rewind"})
        assert same(player, other)


def test_a_state_is_kept_to_the_last_bit() -> None:
    player = trained(optimizer="adam")
    kept = player.answer({"do": "state"})["state"]
    other = Player(native="never")
    other.answer({"do": "load", "state": json.loads(json.dumps(kept))})
    assert other.answer({"do": "state"})["state"] == kept


def test_any_state_fits_the_largest_message() -> None:
    player = Player({"hidden": [32] * 20, "optimizer": "amsgrad", "activation": "relu"}, native="never")
    rows = "\n".join(f"{i / 7},{i * i % 997},{i % 10}" for i in range(5_000))
    player.answer({"do": "data", "action": "csv", "text": rows})
    player.answer({"do": "step", "unit": "batch", "count": 2})
    text = json.dumps(player.answer({"do": "state"})["state"], separators=(",", ":"))
    assert len(text) + 100 < LIMITS["load"]
    assert "initial" not in json.loads(text)  # the settings lead to them
    other = Player(native="never")
    other.answer({"do": "load", "state": json.loads(text)})
    assert same(player, other)
    assert other.answer({"do": "state"})["state"] == json.loads(text)
    other.answer({"do": "rewind"})
    player.answer({"do": "rewind"})
    assert same(player, other)
    broken = json.loads(text)
    for wrong in ("AAAA", broken["layers"][0]["weight"][:-8] + "////////"):
        broken["layers"][0]["weight"] = wrong
        with pytest.raises(DataError, match="no state"):
            other.answer({"do": "load", "state": broken})


def test_initial_weights_are_kept() -> None:
    player = trained(initialiser="uniform")
    first = player.course.first.network.layers[0].weight
    player.answer({"do": "data", "action": "remove", "x1": 0, "x2": 0})  # another data set, the same network
    kept = player.answer({"do": "state"})["state"]
    other = Player(native="never")
    other.answer({"do": "load", "state": kept})
    other.answer({"do": "rewind"})
    np.testing.assert_array_equal(other.course.first.network.layers[0].weight, first)


def test_own_points_are_kept() -> None:
    player = trained()
    player.answer({"do": "data", "action": "add", "x1": 0.1, "x2": -0.7, "label": 1})
    player.answer({"do": "step", "unit": "batch", "count": 3})
    kept = player.answer({"do": "state"})
    for message in ({"state": kept["state"]}, {"url": kept["url"]}):
        other = Player(native="never")
        other.answer({"do": "load", **message})
        assert other.own.points == player.own.points
        for one in (player, other):
            one.answer({"do": "step", "unit": "epoch"})
            settle(one)
        assert same(player, other)
        player.answer({"do": "load", "state": kept["state"]})


def test_many_own_points_are_not_in_the_address_and_that_is_said() -> None:
    player = Player({"hidden": [2]}, native="never")
    player.answer({"do": "data", "action": "add", "x1": 1, "x2": 1, "label": 1})
    found = player.answer({"do": "url"})
    assert not found["exact"]
    assert "keep the JSON state" in found["note"]


def test_a_large_network_is_found_again_by_its_steps() -> None:
    player = Player({"hidden": [20, 20], "samples": 60, "optimizer": "adam"}, native="never")
    player.answer({"do": "step", "unit": "batch", "count": 17})
    found = player.answer({"do": "url"})
    assert "steps=17" in found["url"]
    assert found["exact"]
    other = Player(native="never")
    assert "17 steps" in other.answer({"do": "load", "url": found["url"]})["notes"][0]
    settle(other)
    assert same(player, other)
    player.answer({"do": "edit", "what": "bias", "layer": 0, "to": 0, "value": 3})
    assert not player.answer({"do": "url"})["exact"]


def test_the_address_of_a_start_is_short() -> None:
    url = Player(native="never").answer({"do": "url"})
    assert "w=" not in url["url"]
    assert url["exact"]
    assert len(url["url"]) < 400


def damaged(kept: dict[str, Any]) -> list[tuple[str, Any]]:
    """Copies of a kept state with one thing wrong each."""

    def changed(**parts: Any) -> dict[str, Any]:
        return {**copy.deepcopy(kept), **parts}

    layers = copy.deepcopy(kept["layers"])
    layers[0]["weight"][0] = layers[0]["weight"][0][:-1]
    infinite = copy.deepcopy(kept["layers"])
    infinite[1]["bias"][0] = float("inf")
    return [
        ("format", changed(format="other")), ("format", changed(version=2)), ("settings", changed(settings=3)),
        ("layers", changed(layers=None)), ("layers", changed(layers=kept["layers"][:1])),
        ("weight", changed(layers=layers)),
        ("bias", changed(layers=infinite)), ("optimizer", changed(optimizer=["AAAA"] * len(kept["optimizer"]))),
        ("optimizer", changed(optimizer="x")), ("step", changed(step=-1)), ("step", changed(step=1.5)),
        ("batch", changed(batch=10**6)), ("curve", changed(curve=[[3, 1, 1], [2, 1, 1]])), ("curve", changed(curve=7)),
        ("no such setting", changed(settings={"x": 1})), ("out of range", changed(settings={"learning_rate": -1})),
        ("layers", changed(settings={**kept["settings"], "hidden": [9]})), ("initial", changed(initial=[])),
        ("no point", changed(settings={**kept["settings"], "dataset": "own"}, points=[[1, 2]])),
        ("points", changed(settings={**kept["settings"], "dataset": "own"}, points=[[0, 0, 1]] * 6000)),
        ("spans", changed(settings={**kept["settings"], "dataset": "own"}, points=[], spans=[[1]])),
        ("names", changed(settings={**kept["settings"], "dataset": "own"}, points=[], names=["n" * 100])),
    ]  # fmt: skip


def test_damaged_states_are_told_and_change_nothing() -> None:
    player = trained(optimizer="adam")
    kept = player.answer({"do": "state"})["state"]
    before = player.answer({"do": "state"})
    for words, state in damaged(kept):
        with pytest.raises(ChainruleError) as caught:
            player.answer({"do": "load", "state": state})
        assert words in str(caught.value), str(caught.value)
    for url in ("w=AAAA", "w=%%", "step=x&w=", "mode=default&w=" + "A" * 3000, "dataset=own&p=AAA", "steps=1e9",
                "dataset=own&p=" + "/" * 16):  # fmt: skip
        with pytest.raises(ChainruleError):
            player.answer({"do": "load", "url": url})
    for message in ({}, {"state": kept, "url": ""}):
        with pytest.raises(DataError, match="one thing to load"):
            player.answer({"do": "load", **message})
    assert player.answer({"do": "state"}) == before
