"""The player: steps of every size and back, half-steps, live changes, playing."""

from __future__ import annotations

import functools
import threading
import time
from typing import Any

import numpy as np
import pytest
from asking import SMALL, WaitingPlayer, player_of, settle, weights

import chainrule as cr
from chainrule.base.errors import ChainruleError, OptionError
from chainrule.optim import apply_updates, named
from chainrule.play import history as history_module
from chainrule.play.context import Context
from chainrule.play.network import Network, batch_loss, penalty
from chainrule.play.player import Player


def same(one: list[np.ndarray[Any, Any]], two: list[np.ndarray[Any, Any]]) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(one, two, strict=True))


def by_hand(player: Player, steps: int) -> Network:
    """The weights after ``steps`` steps by ``cr.grad`` and the optimizer alone, on the player's batches."""
    context, network = player.course.context, player.course.first.network
    rate = [0.0]
    optimizer = named(context.settings.optimizer, lambda count: np.float64(rate[0]))
    kept = optimizer.init(network)
    for step in range(steps):
        row = context.batches(*divmod(step, context.rows), 1)[0][0]
        at = row[row >= 0]
        rate[0] = float(context.rates(step, 1)[0])
        gradient = cr.grad(functools.partial(loss_of, context, at))(network)
        updates, kept = optimizer.update(gradient, kept, network)
        network = apply_updates(network, updates)
    return network


def loss_of(context: Context, at: Any, network: Network) -> Any:
    x, t = context.tables.x[at], context.tables.t[at]
    return batch_loss(network, context.task, x, t, np.ones(len(at))) + penalty(network, context.l1, context.l2)


CASES: list[dict[str, Any]] = [
    {}, {"optimizer": "adam", "activation": "relu"}, {"optimizer": "adamw", "loss": "cross-entropy"},
    {"dataset": "blobs", "classes": 4, "loss": "cross-entropy", "optimizer": "momentum"},
    {"dataset": "blobs", "classes": 3, "optimizer": "nesterov", "regularization": "l1", "regularization_rate": 0.01},
    {"problem": "regression", "loss": "huber", "optimizer": "rmsprop", "schedule": "cosine", "schedule_epochs": 2},
    {"dataset": "plane", "loss": "absolute", "optimizer": "nadam", "regularization": "l2", "regularization_rate": 0.1},
    {"optimizer": "adagrad", "activations": ["gelu", "softmax"], "schedule": "one-cycle", "schedule_epochs": 2},
    {"optimizer": "amsgrad", "hidden": [], "features": ["x1", "x1*x2", "cos(x2)"], "normalise": True},
    {"optimizer": "adamax", "initialiser": "orthogonal", "bias": 0.2, "shuffle": False},
    {"optimizer": "adadelta", "activation": "selu", "batch_size": 500},
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=[str(c.get("optimizer", "sgd")) for c in CASES])
def test_training_is_gradient_and_optimizer(case: dict[str, Any]) -> None:
    player = player_of(**case)
    steps = player.course.context.rows + 4
    for count in (3, steps - 3):
        player.answer({"do": "step", "unit": "batch", "count": count})
    assert player.course.state.step == steps
    expected = by_hand(player, steps)
    for mine, theirs in zip(player.course.state.network.layers, expected.layers, strict=True):
        np.testing.assert_allclose(mine.weight, theirs.weight, rtol=1e-11, atol=1e-13)
        np.testing.assert_allclose(mine.bias, theirs.bias, rtol=1e-11, atol=1e-13)


def test_clipping_bounds_the_step() -> None:
    player = player_of(clip=1e-3, learning_rate=1.0, schedule="constant")
    before = weights(player)
    player.answer({"do": "step", "unit": "batch"})
    moved = np.sqrt(sum(np.sum((a - b) ** 2) for a, b in zip(before, weights(player), strict=True)))
    assert moved == pytest.approx(1e-3, rel=1e-2)


@pytest.mark.parametrize("settings", [{"optimizer": "adam"}, {"mode": "compatible", "batch_size": 11, "samples": None,
                                                             "regularization": "l1", "regularization_rate": 0.1}])
def test_native_and_numpy_agree_and_portions_do_not_matter(settings: dict[str, Any]) -> None:
    whole, parts = (WaitingPlayer({**SMALL, **settings}, native="wait") for _ in range(2))
    plain = player_of(**settings)
    rows = whole.course.context.rows
    whole.answer({"do": "step", "unit": "epoch", "count": 3})
    settle(whole)
    for count in (1, 2, rows, 3 * rows - rows - 3):
        parts.answer({"do": "step", "unit": "batch", "count": count})
        settle(parts)
    plain.answer({"do": "step", "unit": "epoch", "count": 3})
    settle(plain)
    assert whole.course.uses_native
    assert not plain.course.uses_native
    assert same(weights(whole), weights(parts))
    for a, b in zip(weights(whole), weights(plain), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)
    # And back, by native steps taken again.
    target = whole.course.state.step - 5
    other = WaitingPlayer({**SMALL, **settings}, native="wait")
    other.answer({"do": "step", "unit": "batch", "count": target})
    settle(other)
    whole.answer({"do": "back", "unit": "batch", "count": 5})
    assert same(weights(whole), weights(other))
    for one in (whole, parts, other):
        one.close()


# ---------------------------------------------------------------------------------------------------------------- back


@pytest.mark.parametrize("mode", ["default", "compatible"])
def test_back_by_every_unit_is_exactly_where_it_was(mode: str) -> None:
    extra = {"samples": None, "train_percent": 5} if mode == "compatible" else {}
    player = player_of(mode=mode, **extra)
    rng = np.random.default_rng(0)
    seen: list[tuple[tuple[int, int], list[np.ndarray[Any, Any]]]] = []
    for _ in range(40):
        seen.append((player.course.state.position, weights(player)))
        unit = ["example", "example", "batch", "epoch"][rng.integers(4)]
        player.answer({"do": "step", "unit": unit, "count": int(rng.integers(1, 4))})
        settle(player)
    states = dict(seen)
    while player.course.state.position > (0, 0):
        position = player.course.state.position
        unit = ["example", "batch", "epoch"][rng.integers(3)]
        answer = player.answer({"do": "back", "unit": unit, "count": int(rng.integers(1, 6))})
        assert answer["notes"] == []
        assert player.course.state.position < position
        if player.course.state.position in states:
            assert same(weights(player), states[player.course.state.position])
    assert same(weights(player), seen[0][1])
    assert player.answer({"do": "back"})["notes"] == ["This is the beginning."]


def test_back_over_live_changes_and_edits() -> None:
    player = player_of()
    kept = []
    for settings in ({"learning_rate": 0.3}, {"optimizer": "adam"}, {"batch_size": 5}, {"regularization": "l2"}):
        player.answer({"do": "step", "unit": "batch", "count": 3})
        kept.append((player.course.state.step, weights(player)))
        player.answer({"do": "set", "settings": settings})
        player.answer({"do": "edit", "what": "weight", "layer": 0, "to": 0, "from": 1, "value": 0.1})
        kept.append((player.course.state.step, weights(player)))
        player.answer({"do": "step", "unit": "batch", "count": 2})
    by_step = {step: (old, new) for (step, old), (_, new) in zip(kept[::2], kept[1::2], strict=True)}
    while player.course.state.step > 0:
        player.answer({"do": "back"})
        step = player.course.state.step
        if step in by_step:
            old, new = by_step[step]
            assert same(weights(player), new)
            assert not same(old, new)


def test_back_over_an_edit_alone() -> None:
    player = player_of()
    player.answer({"do": "step", "unit": "batch"})  # traced: from here on steps are quick enough to be kept together
    kept = []
    for value in (0.5, -0.5, 0.25):
        player.answer({"do": "step", "unit": "batch", "count": 2})
        player.answer({"do": "edit", "what": "weight", "layer": 0, "to": 0, "from": 1, "value": value})
        player.answer({"do": "step", "unit": "batch"})
        kept.append((player.course.state.step, weights(player)))
        player.answer({"do": "step", "unit": "batch"})
    for step, expected in reversed(kept):
        player.answer({"do": "back", "unit": "batch", "count": player.course.state.step - step})
        assert player.course.state.step == step
        assert same(weights(player), expected)


def test_where_the_past_is_no_longer_kept_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history_module, "_MOST_BYTES", 60_000)
    monkeypatch.setattr(history_module, "_QUICK", 0.0)
    monkeypatch.setattr(history_module, "_SLOW", 0.0)
    player = player_of()
    for _ in range(60):
        player.answer({"do": "step", "unit": "batch"})
    assert player.course.history._bytes <= 60_000
    before = weights(player)
    answer = player.answer({"do": "back", "unit": "batch", "count": 55})
    assert "no longer kept" in answer["notes"][0]
    assert same(weights(player), before)
    assert player.answer({"do": "back", "unit": "batch", "count": 3})["notes"] == []
    assert player.course.state.step == 57
    assert player.answer({"do": "back", "unit": "batch", "count": 1000})["state"]["step"] == 0


def test_old_states_are_joined_and_still_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history_module, "_MOST_BYTES", 150_000)
    monkeypatch.setattr(history_module, "_QUICK", 0.0)
    monkeypatch.setattr(history_module, "_SLOW", 1.0)
    player = player_of()
    kept = {}
    for _ in range(150):
        kept[player.course.state.step] = weights(player)
        player.answer({"do": "step", "unit": "batch"})
    for step in (120, 77, 13, 2):
        answer = player.answer({"do": "back", "count": player.course.state.step - step})
        assert answer["notes"] == []
        assert same(weights(player), kept[step])


def test_rewind_gives_the_initial_weights_or_others() -> None:
    player = player_of()
    first, points = weights(player), player.course.context.data.points
    player.answer({"do": "step", "unit": "epoch", "count": 2})
    state = player.answer({"do": "rewind"})["state"]
    assert (state["step"], state["epoch"]) == (0, 0)
    assert same(weights(player), first)
    player.answer({"do": "rewind", "new_seed": True})
    assert not same(weights(player), first)
    np.testing.assert_array_equal(player.course.context.data.points, points)
    assert player.settings.seed != "0.42182"


# ------------------------------------------------------------------------------------------------- changes and edits


def test_live_changes_keep_the_weights_others_begin_anew() -> None:
    player = player_of()
    player.answer({"do": "step", "unit": "epoch"})
    before = weights(player)
    for partial in ({"learning_rate": 0.1}, {"regularization": "l1", "regularization_rate": 0.1}, {"optimizer": "adam"},
                    {"batch_size": 9}, {"schedule": "cosine"}, {"clip": 1.0}, {"shuffle": False}):  # fmt: skip
        answer = player.answer({"do": "set", "settings": partial})
        assert not answer["rebuilt"], partial
        assert same(weights(player), before)
        assert answer["state"]["step"] == player.course.state.step > 0
        player.answer({"do": "step", "unit": "batch"})
        before = weights(player)
    for partial in ({"hidden": [5]}, {"activation": "relu"}, {"noise": 10}, {"features": ["x1"]}, {"dataset": "xor"}):
        answer = player.answer({"do": "set", "settings": partial})
        assert answer["rebuilt"]
        assert answer["state"]["step"] == 0


def test_a_refused_change_changes_nothing() -> None:
    player = player_of()
    player.answer({"do": "step", "unit": "batch", "count": 3})
    before, state = weights(player), player.answer({"do": "url"})
    for partial in ({"features": ["log(x1)"]}, {"features": ["1e60*x1**9*1e60"]}, {"optimizer": "x"}):
        with pytest.raises(ChainruleError):
            player.answer({"do": "set", "settings": partial})
    assert same(weights(player), before)
    assert player.answer({"do": "url"}) == state


def test_edits_take_effect_at_once() -> None:
    player = player_of()
    answer = player.answer({"do": "edit", "what": "weight", "layer": 1, "to": 1, "from": 2, "value": -0.5})
    assert player.course.state.network.layers[1].weight[2, 1] == -0.5
    assert answer["was"] != -0.5
    player.answer({"do": "edit", "what": "bias", "layer": 2, "to": 0, "value": 0.25})
    assert player.course.state.network.layers[2].bias[0] == 0.25
    x = player.course.context.tables.x[:1]
    found = player.answer({"do": "inspect", "at": player.course.context.data.points[0].tolist()})
    np.testing.assert_allclose(found["outputs"], player.course.state.network(x)[0], rtol=1e-15)


@pytest.mark.parametrize(
    ("message", "words"),
    [({"what": "weight", "layer": 3, "to": 0, "from": 0}, "no such layer"),
     ({"what": "weight", "layer": 0, "to": 3, "from": 0}, "no such to"),
     ({"what": "weight", "layer": 0, "to": 0, "from": 2}, "no such from"),
     ({"what": "weight", "layer": 0, "to": 0}, "two ends")],
)  # fmt: skip
def test_edits_of_what_is_not_there(message: dict[str, Any], words: str) -> None:
    with pytest.raises(OptionError, match=words):
        player_of().answer({"do": "edit", **message, "value": 1})


# --------------------------------------------------------------------------------------------------------- half-steps


@pytest.mark.parametrize("settings", [{}, {"loss": "cross-entropy", "dataset": "blobs", "optimizer": "adam"},
                                      {"mode": "compatible", "samples": None, "regularization": "l2",
                                       "regularization_rate": 0.1}])  # fmt: skip
def test_half_steps_are_the_step(settings: dict[str, Any]) -> None:
    player, other = player_of(**settings), player_of(**settings)
    before = weights(player)
    seen = []
    for phase in ("forward", "loss", "backward"):
        half = player.answer({"do": "half"})
        seen.append(half)
        assert half["phase"] == half["state"]["phase"] == phase
        assert same(weights(player), before)
    assert [h["example"]["dz"] is None for h in seen] == [True, True, False]
    assert [h["batch_loss"] is None for h in seen] == [True, False, False]
    half = player.answer({"do": "half", "example": 2})
    assert half["example"]["index"] == 2
    assert half["phase"] == "update"
    other.answer({"do": "step", "unit": "batch"})
    assert same(weights(player), weights(other))
    after = player.course.state.network
    for number, layer in enumerate(after.layers):
        moved = np.array(half["updates"]["weights"][number]).T
        np.testing.assert_allclose(before[2 * number] + moved, layer.weight, rtol=1e-12, atol=1e-15)
    assert player.answer({"do": "half"})["phase"] == "forward"
    assert player.answer({"do": "back"})["notes"][0].startswith("The half-steps")
    player.answer({"do": "back"})
    assert same(weights(player), before)


def test_half_steps_show_the_derivatives_of_the_loss() -> None:
    player = player_of(regularization="l2", regularization_rate=0.1)
    for _ in range(3):
        half = player.answer({"do": "half"})
    context, network = player.course.context, player.course.state.network
    row = context.batches(0, 0, 1)[0][0]
    x, t = context.tables.x[row], context.tables.t[row]
    one = half["example"]["index"]

    gradient = cr.grad(functools.partial(loss_of, context, row))(network)
    for number, layer in enumerate(gradient.layers):
        np.testing.assert_allclose(half["gradients"]["weights"][number], layer.weight.T, rtol=1e-12, atol=1e-15)
        np.testing.assert_allclose(half["gradients"]["biases"][number], layer.bias, rtol=1e-12, atol=1e-15)
    for number in range(3):  # cotangents by differences: shift one pre-activation of this example
        z = np.zeros((len(x), context.sizes[number + 1]))
        for j in range(z.shape[1]):
            probes = [(np.zeros((len(x), n)),) * 2 for n in context.sizes[1:]]
            ends = []
            for step in (1e-6, -1e-6):
                shift = z.copy()
                shift[one, j] = step
                probes[number] = (shift, np.zeros_like(z))
                ends.append(context.task.per_example(network.forward(x, probes)[1][-1], t)[one])
            assert half["example"]["dz"][number][j] == pytest.approx((ends[0] - ends[1]) / 2e-6, rel=1e-6, abs=1e-9)


# ------------------------------------------------------------------------------------------------ playing and stopping


def test_playing_and_pausing() -> None:
    player = player_of()
    assert not player.run(0.01)
    player.answer({"do": "play"})
    assert player.run(0.02)
    assert player.course.state.step > 0
    state = player.answer({"do": "pause"})["state"]
    assert not state["playing"]
    assert not player.run(0.01)
    assert player.course.state.step == state["step"]
    assert len(player.answer({"do": "state"})["state"]["curve"]) >= 2


def test_a_speed_is_kept() -> None:
    player = player_of()
    player.answer({"do": "play", "speed": 0.5})
    for _ in range(5):
        player.run(0.001)
    assert player.course.state.step == 1  # the first is due at once, the next in two seconds
    player.pace.since -= 2.1
    player.run(0.001)
    assert player.course.state.step == 2


def test_many_steps_go_on_behind_the_answer() -> None:
    player = Player(SMALL, native="never")
    answer = player.answer({"do": "step", "unit": "batch", "count": 900})
    assert answer["state"]["playing"]
    assert answer["state"]["until"] == 900
    settle(player)
    assert player.course.state.step == 900
    assert [e["event"] for e in player.events()] == ["stepped"]
    player.answer({"do": "step", "unit": "batch", "count": 900})
    assert not player.answer({"do": "pause"})["state"]["playing"]
    assert player.course.state.step < 1_800


def test_it_compiles_in_the_background_and_goes_on() -> None:
    player = Player({**SMALL, "hidden": [2], "activation": "softplus"})
    player.answer({"do": "play"})
    begun = time.monotonic()
    while not player.course.uses_native and time.monotonic() - begun < 60:
        player.run(0.01)
        time.sleep(0.01)
    assert player.course.uses_native
    step = player.course.state.step
    assert step > 0
    player.run(0.01)
    assert player.course.state.step > step
    assert {"event": "compiled", "native": True} in player.events()
    player.close()


def test_fifty_players_of_one_shape_share_one_program() -> None:
    players = [Player({**SMALL, "seed": str(i)}, native="never") for i in range(50)]
    assert len({id(p.course.program) for p in players}) == 1
    before = players[0].course.program.wanted
    for p in players:
        p.close()
    assert players[0].course.program.wanted == before - 50


def test_a_step_that_is_not_finite_stops_before_it() -> None:
    player = player_of(dataset="plane", activation="relu", learning_rate=1000)
    player.answer({"do": "play"})
    for _ in range(200):
        player.run(0.01)
        if not player.playing:
            break
    assert not player.playing
    assert all(np.isfinite(a).all() for a in weights(player))
    assert player.course.broken is not None
    assert player.course.state.step == player.course.broken.step - 1
    with pytest.raises(OptionError, match="not finite"):
        player.answer({"do": "play"})
    stopped = next(e for e in player.events() if e["event"] == "stopped")
    assert stopped["step"] == player.course.broken.step
    again = player.answer({"do": "step", "unit": "batch"})["state"]  # the same step breaks again
    assert again["step"] == player.course.state.step
    assert again["not_finite"] is not None
    player.answer({"do": "set", "settings": {"learning_rate": 1e-12}})
    assert player.answer({"do": "step", "unit": "batch"})["state"]["not_finite"] is None


def test_answers_come_while_it_trains() -> None:
    player = Player({"hidden": [8, 8]})
    player.answer({"do": "play"})
    stop = threading.Event()

    def train() -> None:
        while not stop.is_set():
            player.run(0.01)
            player.frame()

    thread = threading.Thread(target=train)
    thread.start()
    try:
        for number in range(40):
            settings = {"learning_rate": 0.01 + number / 1000}
            assert player.answer({"do": "set", "settings": settings})["state"]["settings"]["learning_rate"] > 0
            player.answer({"do": "inspect", "at": [1, 2]})
            player.answer({"do": "edit", "what": "bias", "layer": 0, "to": 1, "value": 0.1})
            player.answer({"do": "play"})
    finally:
        stop.set()
        thread.join()
        player.close()
