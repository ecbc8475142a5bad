"""Exercises: every kind and level, over many seeds, is checked, gradable and explained; a seed is one item forever."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from chainrule.api import grad
from chainrule.base.errors import OptionError
from chainrule.explain.expression import parse
from chainrule.explain.plain import plain
from chainrule.play.practice import exercise as records
from chainrule.play.practice.draws import Draws
from chainrule.play.practice.equality import of_text
from chainrule.play.practice.exercise import ORDER, DrawAgain, Exercise, exercise, kinds, shown, spoken
from chainrule.play.practice.grading import entered, grade
from chainrule.play.practice.mistakes import SENTENCES
from chainrule.play.practice.program import Program, is_short
from chainrule.play.practice.written import written

EVERY = [(name, level) for name in ORDER for level in (1, 2, 3)]
SEEDS = range(20)


def right(item: Exercise) -> dict[str, Any]:
    """What one enters who knows the answer."""
    return {f.name: entered(f, item.answers[f.name]) for f in item.fields}


def test_there_are_all_thirteen_kinds() -> None:
    assert list(kinds()) == list(ORDER)
    assert len(ORDER) == 13
    assert all(k.title and k.about for k in kinds().values())


def examine(name: str, level: int, seed: int) -> None:
    """One item: JSON for the page; its answer right, each mistake wrong in its own words, blanks not gradable."""
    item = exercise(name, level, seed)
    assert (item.kind, item.level, item.seed) == (name, level, seed)
    page = shown(item)
    assert json.loads(json.dumps(page, allow_nan=False)) == page  # every number in it is finite
    assert all(spoken(f.label) for f in item.fields)

    found = grade(item, right(item))
    assert (found["outcome"], found["counts"]) == ("right", True), (seed, found)
    assert grade(item, right(item), hints_used=1)["counts"] is False

    assert item.mistakes
    for mistake in item.mistakes:
        answer = right(item) | {n: entered(item.field(n), v) for n, v in mistake.answers.items()}
        found = grade(item, answer)
        assert (found["outcome"], found["mistake"]) == ("wrong", mistake.name), (seed, answer)
        said = "".join(p if isinstance(p, str) else p["text"] for p in found["message"])
        assert said == spoken(SENTENCES[mistake.name])

    assert len(item.hints) >= 3
    assert item.hints[-1].words.startswith("The answer. ")
    assert all(h.latex is None or plain(h.latex) for h in item.hints)
    for field in item.fields:
        found = grade(item, right(item) | {field.name: [] if field.form in ("several", "ordering") else " "})
        assert (found["outcome"], found["field"]) == ("not gradable", field.name)


@pytest.mark.parametrize(("name", "level"), EVERY)
def test_items_are_graded_and_explained(name: str, level: int) -> None:
    for seed in SEEDS:
        examine(name, level, seed)


def test_every_mistake_of_the_catalogue_is_made_somewhere() -> None:
    made = {m.name for name, level in EVERY for seed in SEEDS for m in exercise(name, level, seed).mistakes}
    assert made == set(SENTENCES)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "level"), EVERY)
def test_very_many_items_are_graded_and_explained(name: str, level: int) -> None:
    for seed in range(1200, 1300):
        examine(name, level, seed)


@pytest.mark.parametrize(("name", "level"), EVERY)
def test_what_the_page_gets_holds_no_answer(name: str, level: int) -> None:
    item = exercise(name, level, 3)
    page = shown(item)
    assert set(page) == {"kind", "level", "seed", "version", "title", "prompt", "hints", "fields"}
    assert page["hints"] == len(item.hints)
    for field in page["fields"]:
        assert set(field) == {"name", "label", "form", "letters", "digits", "options"}
    text = json.dumps(page)
    for field in item.fields:
        if field.form == "expression":
            assert item.answers[field.name].text not in text
    for block in page["prompt"]:
        for node in block.get("nodes", []):
            assert not (node["asked"] and node["gradient"] is not None)
        for edge in block.get("edges", []):
            assert not (edge["asked"] and edge["local"] is not None)


def test_different_seeds_give_different_items() -> None:
    for name, level in EVERY:
        found = {json.dumps({**shown(exercise(name, level, seed)), "seed": 0}) for seed in SEEDS}
        assert len(found) >= 7, (name, level)


def test_the_same_triple_is_the_same_item_forever() -> None:
    """The digest is of items as they were first published: a change of it needs a new VERSION."""
    assert records.VERSION == 1
    items = [exercise(name, level, seed) for name, level in EVERY for seed in (7, 1000, 2**31 - 1)]
    text = json.dumps([_essence(item) for item in items], sort_keys=True)
    assert hashlib.sha256(text.encode()).hexdigest()[:16] == "51b540e66e827d1d"


def _essence(item: Exercise) -> Any:
    """What makes an item the same: its question's formulas and numbers as text, and what is right.  Not its words."""
    asked: list[Any] = []
    for block in item.prompt:
        asked += [[n["name"], n["value"], n["gradient"], n["asked"]] for n in block.get("nodes", ())]
        asked += [[e["from"], e["to"], e["asked"]] for e in block.get("edges", ())]
        asked += [" ".join(f["text"] for f in one) for one in block.get("formulas", ())]
        cells = [cell for row in block.get("rows", ()) for cell in row]
        asked += [cell[0] if isinstance(cell[0], str) else cell[0]["text"] for cell in cells]
    answers = {n: f"{v:.6g}" if isinstance(v, float) else entered(item.field(n), v) for n, v in item.answers.items()}
    return [item.kind, item.level, item.seed, asked, answers]


def test_the_same_triple_is_the_same_item_in_another_process() -> None:
    code = (
        "import json; from chainrule.play.practice.exercise import exercise, shown\n"
        "print(json.dumps([shown(exercise(n, l, 5)) for n in ('path', 'order', 'diagnose') for l in (1, 2, 3)]))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    here = [shown(exercise(n, level, 5)) for n in ("path", "order", "diagnose") for level in (1, 2, 3)]
    assert json.loads(out) == json.loads(json.dumps(here))


@pytest.mark.parametrize(
    "triple",
    [("nothing", 1, 0), ("path", 0, 0), ("path", 4, 0), ("path", 1, -1), ("path", 1, 2**31), ("path", True, 0),
     ("path", 1, 1.0), ("path", 1, "1"), (None, 1, 0), ([], 1, 0), ("path", None, None), ("x" * 10_000, 1, 0)],
)  # fmt: skip
def test_a_triple_that_is_none_is_refused_in_words(triple: Any) -> None:
    with pytest.raises(OptionError) as caught:
        exercise(*triple)
    assert caught.value.expected
    assert len(str(caught.value)) < 600


# The answer is the engine's: recomputed here in another way


@pytest.mark.parametrize("level", [1, 2])
def test_path_answers_are_difference_quotients(level: int) -> None:
    for seed in range(8):
        item = exercise("path", level, seed)
        graph = next(b for b in item.prompt if b["block"] == "graph")
        values = {n["name"]: float(n["value"].replace("−", "-")) for n in graph["nodes"]}
        asked = next(n["name"] for n in graph["nodes"] if n["asked"])
        text = "; ".join(_typed(n) for n in graph["nodes"] if n["formula"] is not None)
        expression = parse(text)

        def at(move: float, expression: Any = expression, values: Any = values, asked: Any = asked) -> float:
            return float(expression(*[values[n] + (move if n == asked else 0.0) for n in expression.names]))

        assert (at(1e-6) - at(-1e-6)) / 2e-6 == pytest.approx(item.answers["gradient"], rel=1e-4, abs=1e-6)


def _typed(node: Any) -> str:
    """A node of the drawn graph as a statement, from the text that the page shows."""
    text = node["formula"]["text"].replace("·", "*").replace("−", "-").replace("²", "**2").replace("³", "**3")
    return f"{node['name']} = {text}"


def test_shape_answers_are_the_arrays_own() -> None:
    for seed in range(10):
        item = exercise("shape", 1, seed)
        rows = next(b for b in item.prompt if b["block"] == "table")["rows"]
        shapes = {row[0][0]["text"]: row[1][0] for row in rows}
        asked = spoken(item.fields[0].label)
        wanted = next(name for name in ("W", "b", "x") if f"∂{name}" in asked)
        assert entered(item.fields[0], item.answers["shape"]) == shapes[wanted]


def test_softmax_components_add_up_to_zero() -> None:
    for level in (2, 3):
        for seed in range(10):
            assert sum(exercise("softmax", level, seed).answers.values()) == pytest.approx(0.0, abs=1e-12)


def test_an_order_is_graded_by_who_waits_not_by_one_list() -> None:
    several = 0
    for seed in range(30):
        item = exercise("order", 1 + seed % 2, seed)
        key = item.answers["order"]
        for i in range(len(key.example) - 1):
            swapped = list(key.example)
            swapped[i], swapped[i + 1] = swapped[i + 1], swapped[i]
            waits = key.example[i] in key.waits.get(key.example[i + 1], ())
            found = grade(item, {"order": swapped})["outcome"]
            assert found == ("wrong" if waits else "right")
            several += found == "right"
    assert several


def test_the_wrong_line_is_the_first_that_differs() -> None:
    """The lines before it hold; recomputing it from what it names gives another number."""
    for seed in range(15):
        item = exercise("wrong-line", 3, seed)
        options = {o.name: spoken(o.label) for o in item.fields[0].options}
        line = item.answers["line"]
        stated = options[line].rpartition(" = ")[2].replace("−", "-")
        assert abs(float(stated) - item.answers["value"]) > 1e-9
        assert item.hints[-2].words.startswith(f"Up to line {int(line)}")


def test_a_fault_in_the_forward_pass_is_carried_on_consistently() -> None:
    from chainrule.play.practice.networks import with_forward_fault

    program = Program("z = w*x + b; a = z**2; L = (a - y)**2", {"w": 1.0, "x": 2.0, "b": 1.0, "y": 4.0}, ["w"])
    lines = {(line.of, line.back): line.value for line in with_forward_fault(program, ("L", "a", "z", "w"), "z", 1.0)}
    assert (lines["z", False], lines["a", False], lines["L", False]) == (1.0, 1.0, 9.0)
    assert (lines["a", True], lines["z", True], lines["w", True]) == (-6.0, -12.0, -24.0)
    later = with_forward_fault(program, ("L", "a", "z", "w"), "a", 5.0)
    found = {(line.of, line.back): line.value for line in later}
    assert (found["z", False], found["a", False], found["L", False]) == (3.0, 5.0, 1.0)
    assert (found["a", True], found["z", True], found["w", True]) == (2.0, 12.0, 24.0)  # 2·(5-4), ·2·3, ·2


def test_what_is_kept_is_what_the_backward_pass_reads() -> None:
    from chainrule.play.practice.graphs import reads

    program = Program("z = w*x + b; a = sin(z); L = a*v", {"w": 1.5, "x": 2.0, "b": 0.5, "v": 3.0}, ["w", "b", "v"])
    assert reads(program, ["w", "b"]) == {"x", "z", "v"}
    assert reads(program, ["b"]) == {"z", "v"}
    assert reads(program, ["v"]) == {"a"}


def test_a_derivative_that_disagrees_is_drawn_again() -> None:
    with pytest.raises(DrawAgain):
        Program("y = relu(x)", {"x": 0.0})  # a kink where none was asked for
    assert Program("y = relu(x)", {"x": 0.0}, kinks=True).gradient("x") == 0.0


def test_parts_that_are_the_same_line_are_drawn_again() -> None:
    with pytest.raises(DrawAgain):
        Program("p = x**2; q = x**2; L = p*q", {"x": 2.0})


@pytest.mark.parametrize(
    "text",
    ["x**3", "3*x**2 - 5*x + 1", "sin(2*x + 1)", "exp(-x)*cos(x)", "1/x", "sqrt(x**2 + 1)", "log(x)/x", "tanh(x)**2",
     "(x**2 + 1)/(x + 3)", "sigmoid(3*x)", "x*sin(x)*exp(x)", "-x", "2*x", "cos(cos(x))", "(2*x - 1)**4", "5/x**2"],
)  # fmt: skip
def test_a_written_derivative_is_the_engines(text: str) -> None:
    program = Program(f"y = {text}", {"x": 0.7})
    typed = program.gradient_text("x")
    exact = grad(parse(text))
    for x in (0.3, 0.7, 1.9):
        assert parse(typed)(*[x] * len(parse(typed).names)) == pytest.approx(exact(x), rel=1e-12)


def test_an_op_without_a_written_form_is_refused() -> None:
    program = Program("y = abs(x)", {"x": 1.0})
    with pytest.raises(ValueError, match="abs is not written"):
        written(program.explanation.record.whole, program.explanation.record.cotangent[0], {0: "x"})


def test_draws_are_even_and_stable() -> None:
    draws = Draws("test", 1)
    found = [draws.below(6) for _ in range(6000)]
    assert min(np.bincount(found)) > 850
    again = Draws("test", 1)
    assert [again.below(6) for _ in range(6000)] == found
    assert [Draws("stable").below(1000) for _ in range(1)] == [157]
    assert sorted(Draws("s").shuffled(range(10))) == list(range(10))
    assert {Draws("sign", i).sign() for i in range(20)} == {-1, 1}
    assert all(0 <= Draws("unit", i).unit() < 1 for i in range(50))


def test_short_numbers() -> None:
    assert is_short(0.25)
    assert is_short(-12.5)
    assert is_short(np.array([1.0, 0.1 + 0.2]))
    assert not is_short(1 / 3)
    assert not is_short(1e4)
    assert not is_short(float("nan"))


def test_formulas_of_texts_have_values_and_slopes() -> None:
    found = of_text("x**2")
    at = {"x": np.array([1.0, 2.0])}
    assert found.compute(at).values.tolist() == [1.0, 4.0]
    assert found.slope is not None
    assert found.slope(at, "x").tolist() == [2.0, 4.0]


@pytest.mark.parametrize(
    ("latex", "parts"),
    [
        ("a", ["a"]), ("a = b", ["a = b"]), ("a = b = c = d", ["a = b", "= c", "= d"]),
        (r"a = \left\{x = 1\right\} = 2", [r"a = \left\{x = 1\right\}", "= 2"]),
        (r"\frac{a = b}{c} = d = e", [r"\frac{a = b}{c} = d", "= e"]),
        (r"a = \begin{cases} 1 & x = y \\ 2 \end{cases} = 3", [r"a = \begin{cases} 1 & x = y \\ 2 \end{cases}", "= 3"]),
    ],
)  # fmt: skip
def test_a_long_formula_is_cut_at_its_equals_signs(latex: str, parts: list[str]) -> None:
    assert records.pieces(latex) == parts
    assert [plain(part) for part in parts]


def test_every_hint_is_cut_into_pieces_that_read() -> None:
    for name, level in EVERY:
        for hint in exercise(name, level, 1).hints:
            for equation in records.formulas(hint.latex):
                assert all(piece["mathml"].startswith("<math>") for piece in equation)
