"""What the frames of a player carry: where it stands, pictures, the curve of the losses."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
from asking import player_of, settle
from serving import Frame

from chainrule.base import trees
from chainrule.base.errors import DataError
from chainrule.play import course as course_module
from chainrule.play import inspect as frames
from chainrule.play.player import Player


def parts(frame: bytes) -> tuple[dict[str, Any], dict[str, np.ndarray[Any, Any]]]:
    found = Frame.of(frame)
    return found.header, found.sections


def test_a_frame_says_where_it_stands() -> None:
    player = player_of()
    player.answer({"do": "step", "unit": "batch", "count": 2})
    player.answer({"do": "view", "grid": 20, "thumbnails": 10, "cotangents": True})
    header, found = parts(player.frame())
    assert (header["step"], header["epoch"], header["playing"]) == (2, 0, False)
    network = player.course.state.network
    flat = np.concatenate([layer.weight.T.reshape(-1) for layer in network.layers])
    np.testing.assert_allclose(found["weights"], flat, rtol=1e-6)
    np.testing.assert_allclose(found["biases"], np.concatenate([layer.bias for layer in network.layers]), rtol=1e-6)
    assert found["gradients"].shape == found["updates"].shape == found["weights"].shape
    assert found["layer_norms"].shape == (3,)
    assert found["cotangents"].shape == found["activations"].shape == found["biases"].shape == (6,)
    assert found["output"].shape == (20, 20)
    assert found["nodes"].shape == (2 + 3 + 2 + 1, 10, 10)
    assert found["confusion"].sum() == 30
    assert header["curve"] == "replace"
    assert found["losses"][-1].tolist() == [2, *header["loss"]]
    again, more = parts(player.frame())
    assert again["curve"] == "append"
    assert len(more["losses"]) == 0
    assert again["frame"] == header["frame"] + 1


def test_settings_changed_while_a_frame_is_made_are_in_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    player = player_of()
    confusion = frames.confusion

    def changed_meanwhile(*given: Any) -> Any:
        table = confusion(*given)
        if player.settings.dataset != "pinwheel":
            player.answer({"do": "set", "settings": {"dataset": "pinwheel"}})
            time.sleep(0.05)  # as long as a picture of a large network may take
        return table

    monkeypatch.setattr(frames, "confusion", changed_meanwhile)
    assert parts(player.frame())[1]["confusion"].shape == (2, 2)
    _, found = parts(player.frame())
    assert found["confusion"].shape == (3, 3)
    assert {"output", "nodes", "gradients"} <= found.keys()


def test_while_it_trains_slow_parts_wait_for_their_share_of_the_time() -> None:
    player = player_of()
    player.frame()
    for budget in player._budgets.values():
        budget.cost = 1e6
    player.answer({"do": "play"})
    assert not {"output", "nodes", "confusion", "gradients"} & parts(player.frame())[1].keys()
    player.answer({"do": "pause"})
    assert {"output", "nodes", "confusion", "gradients"} <= parts(player.frame())[1].keys()


def test_pictures_are_the_network_over_the_plane() -> None:
    player = player_of()
    player.answer({"do": "view", "grid": 12, "thumbnails": 12})
    _, found = parts(player.frame())
    for row, column in ((0, 0), (0, 11), (7, 3)):
        x1, x2 = -6 + (column + 0.5), 6 - (row + 0.5)
        at = player.answer({"do": "inspect", "at": [x1, x2]})
        assert found["output"][row, column] == pytest.approx(128 + 127 * at["shown"][0], abs=1)
        assert found["nodes"][2][row, column] == pytest.approx(128 + 127 * np.clip(at["a"][0][0], -1, 1), abs=1)
    player.answer({"do": "view", "hover": [0, 1], "discretise": True})
    _, hovered = parts(player.frame())
    expected = np.where(found["nodes"][3] >= 128, 255, 1)
    assert np.mean(hovered["output"] == expected) > 0.97  # those at zero may fall either way


def test_numbers_beyond_float32_are_shown_as_they_are() -> None:
    player = player_of()
    for layer in player.course.state.network.layers:
        layer.weight[:] *= 1e60
    _, found = parts(player.frame())
    assert found["weights"].dtype == np.float64
    assert np.isfinite(found["weights"]).all()
    assert np.abs(found["weights"]).max() > 1e50
    assert found["output"].all()  # no NaN: tanh holds it


def test_pictures_of_classes_and_of_digits() -> None:
    player = player_of(dataset="blobs", classes=4, loss="cross-entropy")
    _, found = parts(player.frame())
    assert found["output"].max() <= 3
    assert found["confidence"].shape == found["output"].shape
    pytest.importorskip("sklearn")
    player = player_of(dataset="digits", hidden=[5], samples=100, loss="cross-entropy")
    header, found = parts(player.frame())
    assert header["images"]
    assert "output" not in found
    assert found["nodes"].shape == (5, 8, 8)
    assert found["confusion"].shape == (10, 10)


def test_a_feature_that_is_not_finite_somewhere_is_grey_there() -> None:
    player = player_of(dataset="own", problem="regression")
    with pytest.raises(DataError, match="no points to train on"):
        player.answer({"do": "play"})
    for x in (1, 2, 3):
        player.answer({"do": "data", "action": "add", "x1": x, "x2": 1, "label": 0.1 * x})
    player.answer({"do": "set", "settings": {"features": ["sqrt(x1)"]}})
    player.answer({"do": "view", "grid": 8, "thumbnails": 8})
    _, found = parts(player.frame())
    assert not found["output"][:, :4].any()
    assert found["output"][:, 4:].all()


def test_the_curve_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(course_module, "_MOST_POINTS", 20)
    player = player_of()
    parts(player.frame())
    player.answer({"do": "step", "unit": "epoch", "count": 70})
    settle(player)
    assert len(player.course.curve) <= 20
    header, found = parts(player.frame())
    assert header["curve"] == "replace"
    assert len(found["losses"]) == len(player.course.curve)
    assert found["losses"][-1, 0] == player.course.state.step


def test_a_loss_beyond_all_numbers_is_said_to_be_infinite() -> None:
    player = Player({"dataset": "plane", "hidden": [], "samples": 40}, native="never")
    player.course.edit(lambda network: trees.map(lambda values: np.full_like(values, 1e200), network))
    assert player.state()["loss"] == ["inf", "inf"]
    assert parts(player.frame())[0]["loss"] == ["inf", "inf"]


def test_losses_that_take_long_are_computed_with_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(course_module, "_MANY", 0)
    player, quick = player_of(), player_of()
    state = player.answer({"do": "step", "unit": "epoch", "count": 2})["state"]
    assert state["loss"] == [None, None]
    header, found = parts(player.frame())
    monkeypatch.undo()
    quick.answer({"do": "step", "unit": "epoch", "count": 2})
    assert header["loss"] == quick.state()["loss"]
    assert found["losses"].tolist() == [[header["step"], *header["loss"]]]
    monkeypatch.setattr(course_module, "_MANY", 0)
    assert player.state()["loss"] == header["loss"]
    player.answer({"do": "step", "unit": "batch"})
    assert player.state()["loss"] == header["loss"]  # until the next frame
    player.redraw()
    assert parts(player.frame())[0]["loss"] != header["loss"]


def test_hello_brings_the_whole_curve_again() -> None:
    player = player_of()
    player.answer({"do": "step", "unit": "epoch", "count": 3})
    settle(player)
    parts(player.frame())
    answer = player.answer({"do": "hello"})
    assert answer["choices"]["limits"]["units"] == 32
    assert answer["state"]["step"] == player.course.state.step
    header, found = parts(player.frame())
    assert header["curve"] == "replace"
    assert len(found["losses"]) == 4
