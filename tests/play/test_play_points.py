"""Own points and pasted tables."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from asking import WaitingPlayer as Player
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from chainrule.base.errors import ChainruleError, DataError
from chainrule.play.own import Table, classes_of, dataset_of, points_of


def data(player: Player, action: str, **more: Any) -> dict[str, Any]:
    found: dict[str, Any] = player.answer({"do": "data", "action": action, **more})
    return found


def test_adding_to_a_set_makes_it_ones_own_and_training_goes_on() -> None:
    player = Player({"samples": 60, "hidden": [3]}, native="never")
    player.answer({"do": "step", "unit": "batch", "count": 4})
    before = player.course.state.network
    found = data(player, "add", x1=1.5, x2=-2.25, label=-1)
    assert len(found["points"]) == 61
    assert [1.5, -2.25, -1.0] in found["points"]
    assert found["state"]["settings"]["dataset"] == "own"
    assert player.course.state.network is before
    found = data(player, "remove", x1=1.4, x2=-2.2)
    assert [1.5, -2.25, -1.0] not in found["points"]
    assert len(found["points"]) == 60
    player.answer({"do": "step", "unit": "epoch"})
    found = data(player, "clear")
    assert found["points"] == []
    assert "no points" in found["state"]["traps"][0]
    with pytest.raises(DataError, match="no point to remove"):
        data(player, "remove", x1=0, x2=0)


def test_a_new_class_begins_a_new_network() -> None:
    player = Player({"dataset": "own", "hidden": [3], "loss": "cross-entropy"}, native="never")
    data(player, "add", x1=1, x2=1, label=1)
    data(player, "add", x1=1, x2=-1, label=-1)
    with pytest.raises(DataError, match="not a class"):
        data(player, "add", x1=1, x2=-1, label=2)  # among -1 and 1
    data(player, "clear")
    found = data(player, "add", x1=1, x2=1, label=2)
    assert found["classes"] == 3
    assert found["state"]["outputs"] == 3
    assert "new network" not in str(found["notes"]) or found["state"]["step"] == 0
    assert data(player, "add", x1=0, x2=0, label=5)["state"]["outputs"] == 6
    player.answer({"do": "step", "unit": "epoch"})
    with pytest.raises(DataError, match="not a class"):
        data(player, "add", x1=0, x2=0, label=1.5)
    assert len(data(player, "get")["points"]) == 2


def test_which_points_are_tested_on_does_not_change() -> None:
    rng = np.random.default_rng(0)
    points = [(float(a), float(b), 1.0) for a, b in rng.normal(size=(200, 2))]
    few = dataset_of(points[:9], "classification", 50)
    assert few.train == 9
    for count in (10, 50, 199, 200):
        found = dataset_of(points[:count], "classification", 70)
        assert found.train == pytest.approx(0.7 * count, abs=2.5)
    a, b = dataset_of(points[:60], "classification", 70), dataset_of(points, "classification", 70)
    assert {tuple(p) for p in a.points[: a.train]} <= {tuple(p) for p in b.points[: b.train]}


def test_new_data_keep_the_network_and_show_fresh_losses() -> None:
    player = Player({"samples": 60, "hidden": [3]}, native="never")
    player.answer({"do": "step", "unit": "epoch", "count": 3})
    before, old = player.course.state.network, player.state()
    found = data(player, "regenerate")
    assert player.course.state.network is before
    assert found["state"]["loss"] != old["loss"]
    assert found["state"]["settings"]["data_seed"] is not None
    assert found["state"]["settings"]["seed"] == old["settings"]["seed"]
    player.answer({"do": "step", "unit": "epoch"})
    with pytest.raises(DataError, match="not generated"):
        data(Player({"dataset": "own"}, native="never"), "regenerate")


def test_a_table_is_read_and_its_columns_chosen() -> None:
    text = "height,weight,kind\n1.5,50,cat\n1.8,80,dog\n1.6,60,cat\n1.7,55,dog\n"
    player = Player({"hidden": [2]}, native="never")
    found = data(player, "csv", text=text)
    assert found["table"]["columns"] == ["height", "weight", "kind"]
    assert found["table"]["chosen"] == {
        "columns": ["height", "weight"], "target": "kind", "problem": "classification", "classes": ["cat", "dog"]
    }  # fmt: skip
    assert found["spans"] == [[1.5, 1.8], [50.0, 80.0]]
    assert sorted(p[2] for p in found["points"]) == [-1, -1, 1, 1]
    assert min(p[0] for p in found["points"]) == -5
    assert max(p[1] for p in found["points"]) == 5
    assert found["class_names"] == ["cat", "dog"]
    found = data(player, "csv", text=text, columns=["weight", 0], target=1, problem="regression")
    assert found["names"] == ["weight", "height", "weight"]
    assert found["state"]["settings"]["problem"] == "regression"
    assert found["spans"][2] == [50.0, 80.0]


def test_tables_of_other_forms() -> None:
    for text, columns in (("1;2;0\n3;4;1\n", 3), ("a\tb\n1\t2\n3\t4\n", 2), ('"x, y",b,c\n1,2,3\n4,5,6\n', 3)):
        assert len(Table(text).columns) == columns
    points, problem, chosen, _ = points_of(Table("a,b\n1,2\n3,4\n"), None, None, None)
    assert problem == "classification"
    assert chosen["target"] is None
    assert [p[2] for p in points] == [-1, -1]
    many = "\n".join(f"{i},{i * i},{i / 7}" for i in range(30))
    assert points_of(Table(many), None, None, None)[1] == "regression"
    equal = points_of(Table("a,b,c\n1,2,x\n1,3,y\n"), None, None, None)[0]
    assert [p[0] for p in equal] == [0, 0]


@pytest.mark.parametrize(
    ("text", "words"),
    [("", "at least one line"), ("a\nb\n", "no two columns"), ("a,b\n1\n", "row 2"),
     ("a,b,c\n1,x,2\n3,4,5\n", "two columns"),
     ("a,b\n", "a header alone"), ("a,b,c\n1,2,3\n1e999,3,3\n", "two columns"), ("a\0,b", "NUL"),
     ("a,b\n" + "1,2\n" * 5001, "too many rows"), (",".join("abc" * 100) + "\n", "too many columns"),
     ("a,b,c\n1,2,\n3,4," + "x" * 200_000, "field larger")],
)  # fmt: skip
def test_tables_that_can_not_be_used(text: str, words: str) -> None:
    player = Player({"hidden": [2]}, native="never")
    before = player.answer({"do": "state"})
    with pytest.raises(DataError, match=words):
        data(player, "csv", text=text)
    assert player.answer({"do": "state"}) == before


def test_the_cell_that_is_no_number_is_named() -> None:
    with pytest.raises(DataError) as caught:
        points_of(Table("a,b,c\n1,2,3\n4,five,6\n"), ["a", "b"], "c", None)
    assert "row 2, column 'b'" in str(caught.value)
    assert "five" in str(caught.value)
    with pytest.raises(DataError, match="no such column"):
        points_of(Table("a,b,c\n1,2,3\n"), ["a", "z"], "c", None)
    with pytest.raises(DataError, match="too many values for classes"):
        points_of(Table("\n".join(f"{i},1,{i}" for i in range(30))), None, None, "classification")


def test_labels_are_classes() -> None:
    assert classes_of(np.array([])) == 2
    assert classes_of(np.array([-1.0, 1.0])) == 2
    assert classes_of(np.array([0.0, 4.0])) == 5
    for wrong in ([0.5], [10.0], [-1.0, 2.0], [-3.0]):
        with pytest.raises(DataError, match="not a class"):
            classes_of(np.array(wrong))


@hypothesis_settings(max_examples=60, deadline=None)
@given(st.text(max_size=300) | st.text(alphabet="1234567890,;\t\n.-ex\"'", max_size=300))
def test_any_text_is_a_table_or_is_refused(text: str) -> None:
    player = Player({"hidden": [2]}, native="never")
    try:
        found = data(player, "csv", text=text)
    except ChainruleError:
        return
    assert len(found["points"]) == found["table"]["rows"]
    assert all(np.isfinite(p).all() for p in found["points"])
