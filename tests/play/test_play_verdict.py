"""The verdict: a broken network is told what ails it, and the remedy that is offered helps."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
from asking import WaitingPlayer as Player

from chainrule.base.errors import OptionError
from chainrule.diagnose import KINDS, Verdict
from chainrule.play.faults import examined
from chainrule.play.remedies import calmer, remedies_of


def faults(player: Player) -> list[Any]:
    course = player.course
    return list(examined(course.context, course.state, course.losses(), course.curve))


def steps(player: Player, count: int) -> None:
    player.answer({"do": "step", "unit": "epoch", "count": count})
    while player.run(0.2):
        pass


def answered(player: Player, seconds: float = 60.0) -> dict[str, Any]:
    """The verdict, waited for."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        found = player.answer({"do": "verdict"})
        if not found["pending"] and (found.get("not_finite") or found["step"] == player.course.state.step):
            return found
        time.sleep(0.02)
    raise AssertionError("no verdict came")


def test_a_sound_network_is_said_to_be_sound() -> None:
    player = Player({"samples": 200}, native="never")
    found = answered(player)
    assert found["healthy"]
    assert found["sentence"].startswith("A sound start")
    event = next(e for e in player.events() if e["event"] == "verdict")
    assert event["sentence"] == found["sentence"]
    steps(player, 2)
    assert answered(player)["sentence"].startswith("It learns")


def test_every_verdict_has_a_remedy_that_can_be_chosen() -> None:
    """Each kind that ``diagnose`` knows, in settings that it may be said of."""
    settings = {"initialiser": "uniform", "hidden": [4] * 5, "activation": "sigmoid", "optimizer": "adamw"}
    player = Player({**settings, "samples": 60}, native="never")
    for kind in set(KINDS) - {"label_shape", "nonfinite", "label_range"}:  # of which a playground has none of its own
        verdict = Verdict(kind, (), "cause", "evidence", "remedy", factor=0.5)
        found = remedies_of(verdict, player.course.context)
        assert found, kind
        for remedy in found:
            assert player.settings.changed(remedy.settings) != player.settings or remedy.rewinds
    assert calmer(player.course.context)


ILL: list[tuple[dict[str, Any], str]] = [
    ({"initialiser": "zeros"}, "symmetric"),
    ({"hidden": [6] * 10, "activation": "sigmoid"}, "vanishing"),
    ({"features": ["x1^2", "100*x2**2"]}, "unscaled_inputs"),
    ({"activation": "relu", "bias": -40.0}, "dead_relu"),
    ({"mode": "compatible", "batch_size": 300}, "never_updates"),
]  # fmt: skip


@pytest.mark.parametrize(("settings", "kind"), ILL, ids=[kind for _, kind in ILL])
def test_an_ill_network_and_its_remedy(settings: dict[str, Any], kind: str) -> None:
    player = Player(settings, native="never")
    found = faults(player)
    assert found[0].kind == kind, [f.kind for f in found]
    assert found[0].cause
    assert found[0].evidence
    assert "layers[" not in found[0].cause + found[0].evidence
    assert found[0].remedies
    answer = answered(player)
    assert answer["verdicts"][0]["kind"] == kind
    before = player.settings
    player.answer({"do": "apply", "remedy": answer["verdicts"][0]["remedies"][0]["id"]})
    assert player.settings != before
    assert kind not in [f.kind for f in faults(player)]


def test_a_network_without_a_bend() -> None:
    player = Player({"activation": "identity", "samples": 100, "learning_rate": 0.1}, native="never")
    steps(player, 40)
    found = faults(player)
    assert [f.kind for f in found] == ["straight"]
    assert found[0].remedies[0].settings["activation"] == "tanh"


def test_weights_that_regularisation_holds_down() -> None:
    player = Player({"samples": 100, "learning_rate": 0.1, "regularization": "l2", "regularization_rate": 0.3},
                    native="never")  # fmt: skip
    steps(player, 60)
    found = faults(player)
    assert [f.kind for f in found] == ["held_down"]
    answer = answered(player)
    assert answer["sentence"].startswith("Held down by regularisation: L2 with a rate of 0.3")
    player.answer({"do": "apply", "remedy": answer["verdicts"][0]["remedies"][0]["id"]})
    assert player.settings.regularization == "none"
    assert player.course.state.step == 0  # from weights that are 0 there is no way back
    steps(player, 60)
    assert "held_down" not in [f.kind for f in faults(player)]


def test_inputs_that_are_not_scaled_are_no_fault_once_all_is_learnt() -> None:
    player = Player({"dataset": "xor", "hidden": [], "features": ["x1*x2"]}, native="never")
    player.answer({"do": "edit", "what": "weight", "layer": 0, "to": 0, "from": 0, "value": -1})  # all wrong
    assert answered(player)["sentence"] == "The inputs are not scaled."
    steps(player, 20)
    assert answered(player)["sentence"].startswith("It has learnt: 100%")


def test_a_rate_that_is_too_high() -> None:
    player = Player({"dataset": "plane", "activation": "relu", "hidden": [8], "samples": 200, "learning_rate": 0.4},
                    native="never")  # fmt: skip
    found = faults(player)
    assert "rate_high" in [f.kind for f in found], [f.kind for f in found]
    fault = next(f for f in found if f.kind == "rate_high")
    assert fault.remedies[0].settings["learning_rate"] < 0.4


def test_what_was_not_offered_can_not_be_applied() -> None:
    with pytest.raises(OptionError, match="no such remedy"):
        Player(native="never").answer({"do": "apply", "remedy": "vanishing-0"})


def test_a_remedy_is_gone_when_the_network_was_changed() -> None:
    player = Player({"initialiser": "zeros"}, native="never")
    name = answered(player)["verdicts"][0]["remedies"][0]["id"]
    player.answer({"do": "set", "settings": {"initialiser": "auto"}})
    with pytest.raises(OptionError, match="no such remedy"):
        player.answer({"do": "apply", "remedy": name})


def broken(**settings: Any) -> Player:
    plane = {"dataset": "plane", "activation": "relu", "hidden": [4], "samples": 60}
    player = Player({**plane, **settings}, native="never")
    player.answer({"do": "play"})
    for _ in range(300):
        player.run(0.01)
        if not player.playing:
            break
    assert player.not_finite is not None
    return player


def test_the_operation_that_left_the_finite_numbers_is_named() -> None:
    player = broken(learning_rate=1000)
    found = answered(player)
    assert found["not_finite"]
    assert found["operation"] == "matmul"
    assert found["phase"] == "forward"
    assert "matmul in the forward pass left the finite numbers first" in found["sentence"]
    assert "with a learning rate of 1000 each step overshoots further" in found["sentence"]
    event = next(e for e in player.events() if e["event"] == "not_finite")
    assert event["step"] == found["step"] == player.course.state.step + 1
    remedy = found["verdicts"][0]["remedies"][0]
    state = player.answer({"do": "apply", "remedy": remedy["id"]})["state"]
    assert state["step"] == 0
    assert state["not_finite"] is None
    assert state["settings"]["learning_rate"] == 100


def test_rewinding_leaves_it_behind() -> None:
    player = broken(learning_rate=1000)
    state = player.answer({"do": "rewind"})["state"]
    assert state["not_finite"] is None
    assert state["step"] == 0
    player.answer({"do": "set", "settings": {"learning_rate": 0.001}})
    steps(player, 2)
    assert player.state()["not_finite"] is None


def test_clipping_is_a_remedy_that_holds() -> None:
    player = broken(learning_rate=1000)
    found = answered(player)["verdicts"][0]["remedies"]
    clip = next(r for r in found if "clip" in r["settings"])
    player.answer({"do": "apply", "remedy": clip["id"]})
    steps(player, 3)
    assert all(np.isfinite(layer.weight).all() for layer in player.course.state.network.layers)
    assert player.not_finite is None


def test_an_update_can_leave_the_finite_numbers_too() -> None:
    settings = {"mode": "compatible", "regularization": "l2", "regularization_rate": 1000, "learning_rate": 1000}
    player = Player({**settings, "hidden": [2], "train_percent": 10}, native="never")
    player.answer({"do": "step", "unit": "batch", "count": 100})
    assert player.not_finite is not None
    found = answered(player)
    assert found["operation"] == found["phase"] == "update"
    assert "though the gradient was finite" in found["sentence"]
    assert all(np.isfinite(layer.weight).all() for layer in player.course.state.network.layers)


def test_without_points_there_is_nothing_to_say() -> None:
    player = Player({"dataset": "own"}, native="never")
    assert player.answer({"do": "verdict"})["sentence"] == "There are no points to train on."


def test_diagnoses_of_many_players_wait_for_each_other() -> None:
    players = [Player({"samples": 40, "hidden": [2], "seed": str(i)}, native="never") for i in range(6)]
    for p in players:
        assert p.answer({"do": "verdict"})["pending"]
    assert all("sentence" in answered(p) for p in players)
