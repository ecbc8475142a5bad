"""The walkthrough's end points: any expression, a network of the playground, or a saved explanation, step by step.

Everything typed is parsed against the allow-list of :mod:`chainrule.explain.expression` and never evaluated as Python.
Each request stands for itself, with all values in it; of a few expressions the traced graph is kept, so that a
dragged value is one run of it per frame.  Values that are not finite are told step by step like others, with the place
where they begin.

Work is bounded before it is done: characters, elements of values, steps of the chain.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from chainrule.base.errors import ChainruleError, DataError, ExpressionError, OptionError
from chainrule.explain.explanation import DEFAULT_RATE, Explanation, explain
from chainrule.explain.expression import Expression, parse
from chainrule.explain.jsonform import as_data
from chainrule.explain.record import size
from chainrule.play import walk_network, walk_saved
from chainrule.play.walk_curves import local_curves, loss_after, rate_curve
from chainrule.play.walk_examples import EXAMPLES
from chainrule.play.walk_view import told, view

MOST_CHARACTERS = 4_000
MOST_ELEMENTS = 2_000
MOST_STEPS = 400
MOST_NAMES = 200
MOST_COMPUTED = 300_000  # elements of all lines of the graph together
# Of a walk that can't be changed.
_FIXED: dict[str, Any] = {
    "at": None, "wrt": None, "editable": False, "light": False, "curves": [], "many_curves": False, "rates": None,
}  # fmt: skip

_DEFAULTS: dict[str, tuple[float, ...]] = {
    "x": (2.0, -1.0, 0.5), "w": (0.5, -0.8, 1.2), "u": (0.5, -0.8, 1.2), "v": (0.5, -0.8, 1.2), "b": (0.0,),
    "y": (0.0,), "t": (1.0,),
}  # fmt: skip


def explain_answer(body: dict[str, Any]) -> dict[str, Any]:
    """``{expression, at?, wrt?, learning_rate?, focus?, light?, explanation?}`` → the walk, at these values.

    ``at``: numbers, nested lists, or expressions without variables, by name; a variable without one gets a plain
    number, and values of names that the expression has not are left aside.  ``wrt``: names; all by default.  ``focus``:
    [line, argument], whose curve is wanted of a graph with many.  ``light``: the step that is looked at while a value
    is dragged: only its formulas and the focus's curve are made.  ``explanation``: True also gives the explanation's
    own JSON, to be saved.
    """
    expression = _expression(body)
    given = values(expression, body.get("at"))
    found = _explained(expression, given, _wrt(expression, body.get("wrt")), _rate(body.get("learning_rate")))
    light = body.get("light")
    only = light if type(light) is int else None
    answer = {"walk": _walk(found, expression, given, _focus(body.get("focus")), only)}
    if body.get("explanation") is True:
        answer["explanation"] = as_data(found)
    return answer


def variables_answer(body: dict[str, Any]) -> dict[str, Any]:
    """``{expression, at?}`` → its variables, with values for all: what the page shows while it can't be computed."""
    expression = _expression(body)
    return {"names": list(expression.names), "at": values(expression, body.get("at"))}


def open_answer(body: dict[str, Any]) -> dict[str, Any]:
    """``{data}``: a saved explanation → the walk, replayed from its expression where it has one; else as it was.

    A state that the playground saved is opened as its network.
    """
    data = body.get("data")
    if isinstance(data, dict) and data.get("format") == walk_network.FORMAT:
        return network_answer({"state": data})
    data = walk_saved.check(data)
    source = walk_saved.given(data)
    if source is not None:
        return explain_answer(source)
    if len(data["chain"]) > MOST_STEPS:
        raise _too_long(len(data["chain"]))
    try:
        one = view(walk_saved.told(data), None)
    except (ValueError, OverflowError, TypeError) as error:
        if isinstance(error, ChainruleError):
            raise
        raise walk_saved.refused("a part of the explanation can't be read", str(error).partition("\n")[0]) from None
    return {"walk": {**one, "nonfinite": _nonfinite(one)} | _FIXED}


def network_answer(body: dict[str, Any]) -> dict[str, Any]:
    """``{state, x?, inputs?, label?}``: the playground's state → its network at one example, as an expression."""
    return explain_answer(walk_network.expression_of(body))


def examples_answer(body: dict[str, Any]) -> dict[str, Any]:
    """``{}`` → the examples, each with its reason."""
    return {"examples": [example.as_data() for example in EXAMPLES]}


ENDPOINTS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "explain": explain_answer,
    "variables": variables_answer,
    "open": open_answer,
    "examples": examples_answer,
    "network": network_answer,
}


# ------------------------------------------------------------------------------------------------------- what is asked


def _expression(body: Mapping[str, Any]) -> Expression:
    text = body.get("expression")
    if not isinstance(text, str):
        raise ExpressionError("there is no expression", expected="text such as (relu(w*x + b) - y)**2",
                              got=type(text).__name__, where="expression", fix="write a formula")  # fmt: skip
    if len(text) > MOST_CHARACTERS:
        raise ExpressionError(
            "the expression is too long to walk through", expected=f"at most {MOST_CHARACTERS:,} characters",
            got=f"{len(text):,} characters", where="expression", fix="walk through a part of it",
        )  # fmt: skip
    found = parse(" ".join(text.split("\n")))
    if not found.names:
        raise ExpressionError(
            "the expression has no variable", expected="something to differentiate by, such as x",
            got=found.text[:60], where=found.text[:60], fix="put a name in place of a number",
        )  # fmt: skip
    if len(found.names) > MOST_NAMES:
        raise ExpressionError("the expression has too many variables", expected=f"at most {MOST_NAMES}",
                              got=len(found.names), where="expression", fix="use vectors and matrices")  # fmt: skip
    return replace(found, finite=False)


def values(expression: Expression, at: Any) -> dict[str, Any]:
    """A value for each variable: what was given, else a plain number."""
    if at is None:
        at = {}
    if not isinstance(at, dict):
        raise _bad("the values are not given by name", at, "at")
    count: dict[str, int] = {}
    found = {}
    room = MOST_ELEMENTS
    for name in expression.names:
        letter = name[:1].lower()
        choices = _DEFAULTS.get(letter, (1.0, 0.5, 1.5))
        count[letter] = count.get(letter, -1) + 1
        value = _value(name, at[name]) if name in at else choices[count[letter] % len(choices)]
        room -= int(np.size(value))
        if room < 0:
            raise _bad(f"the values have too many elements, from {name} on", f"more than {MOST_ELEMENTS:,}", name)
        found[name] = value
    return found


def _bad(problem: str, got: Any, where: str) -> OptionError:
    shown = got if isinstance(got, str) else repr(got)
    return OptionError(problem, expected="numbers, or nested lists of numbers, by name", got=shown[:60], where=where,
                       fix="pass 0.5 or [1, 2] or [[1, 2], [3, 4]]")  # fmt: skip


def _value(name: str, given: Any) -> Any:
    """A float or nested lists of floats.  Text is read as an expression without variables."""
    if isinstance(given, str):
        literal = parse(given)
        if literal.names:
            raise ExpressionError(
                f"the value of {name} is no number", expected="a number, or lists of numbers",
                got=repr(given[:60]), where=f"the value of {name}", fix="write 0.5, 1/3, sqrt(2) or [1, 2]",
            )  # fmt: skip
        given = np.asarray(literal(), np.float64).tolist()
    flat = [(given, 0)]
    seen = 0
    while flat:
        item, depth = flat.pop()
        seen += 1
        if isinstance(item, list) and depth < 4 and seen <= MOST_ELEMENTS + 1:
            flat += [(i, depth + 1) for i in item]
        elif type(item) not in (int, float) or seen > MOST_ELEMENTS + 1 or abs(item) > 1e300:
            raise _bad(f"the value of {name} is not made of finite numbers, or too large", given, name)
    try:
        array = np.asarray(given, np.float64)
    except ValueError:
        raise _bad(f"the rows of {name} differ in length", given, name) from None
    if not array.size or not np.all(np.isfinite(array)):
        raise _bad(f"the value of {name} is empty or not finite", given, name)
    return array.tolist()


def _wrt(expression: Expression, wrt: Any) -> list[str]:
    if wrt is None:
        return list(expression.names)
    if not isinstance(wrt, list) or not all(isinstance(name, str) for name in wrt):
        raise OptionError("wrt is not a list of names", expected="names of variables", got=repr(wrt)[:60],
                          where="wrt", fix=f"pass some of {', '.join(expression.names)}"[:200])  # fmt: skip
    return [name for name in expression.names if name in wrt] or list(expression.names)


def _rate(rate: Any) -> float:
    if rate is None:
        return DEFAULT_RATE
    if type(rate) not in (int, float) or not abs(rate) <= 1e6:
        raise OptionError("the learning rate is not a number", expected="a number up to a million",
                          got=repr(rate)[:60], where="learning_rate", fix="pass 0.1")  # fmt: skip
    return float(rate)


def _focus(focus: Any) -> tuple[int, int] | None:
    if isinstance(focus, list) and len(focus) == 2 and all(type(i) is int for i in focus):
        return focus[0], focus[1]
    return None


# ----------------------------------------------------------------------------------------------------- what is answered


@functools.lru_cache(maxsize=64)
def _traced(text: str, shapes: tuple[tuple[int, ...], ...], wrt: tuple[str, ...]) -> Explanation:
    """An explanation of the expression: its graph is the same at all values of these shapes."""
    expression = replace(parse(text), finite=False)
    return explain(expression, *[np.full(shape, 0.5)[()] for shape in shapes], wrt=wrt)


def _explained(expression: Expression, given: dict[str, Any], wrt: list[str], rate: float) -> Explanation:
    inputs = dict(zip(expression.names, expression.bound(given), strict=True))
    traced = _traced(expression.text, tuple(np.shape(x) for x in inputs.values()), tuple(wrt))
    computed = sum(size(line.spec) for line in traced.record.whole.lines)
    if computed > MOST_COMPUTED:
        raise DataError("this is too much to walk through", expected=f"at most {MOST_COMPUTED:,} numbers in all steps",
                        got=f"{computed:,}", where="the expression's arrays", fix="take smaller arrays")  # fmt: skip
    found = traced.with_rate(rate).again(**inputs)
    if len(found.chain) > MOST_STEPS:
        raise _too_long(len(found.chain))
    return found


def _too_long(steps: int) -> DataError:
    return DataError("this is too long to walk through", expected=f"at most {MOST_STEPS} steps", got=f"{steps} steps",
                     where="the chain of steps", fix="differentiate by fewer values, or take a part of it")  # fmt: skip


def _walk(
    found: Explanation, expression: Expression, given: dict[str, Any], focus: tuple[int, int] | None, only: int | None
) -> dict[str, Any]:
    one = view(told(found, only is None), loss_after(found), only)
    stopped = _nonfinite(one)
    curves, many = local_curves(found, focus, only is not None)
    return {
        **one,
        "at": given,
        "wrt": list(found.gradients),
        "editable": True,
        "light": only is not None,
        "curves": curves,
        "many_curves": many,
        "rates": rate_curve(found),
        "nonfinite": None if stopped is None else {**stopped, "words": _why_not_finite(expression, given)},
    }


def _nonfinite(one: dict[str, Any]) -> dict[str, Any] | None:
    """The first step whose value is not a finite number."""
    for position, step in enumerate(one["steps"]):
        if step["value"] is not None and _has_nonfinite(step["value"]):
            return {"step": position, "line": step["line"], "name": step["name"], "words": None}
    return None


def _has_nonfinite(value: dict[str, Any]) -> bool:
    if value["summary"] is not None:
        return bool(value["summary"]["nonfinite"])
    return isinstance(value["values"], str)


def _why_not_finite(expression: Expression, given: dict[str, Any]) -> dict[str, str] | None:
    """The engine's words for the first part of the expression that is not finite; None where only a gradient is not."""
    try:
        with np.errstate(all="ignore"):
            replace(expression, finite=True)(*expression.bound(given))
    except ExpressionError as error:
        return {"what": error.problem, "where": str(error.where or "")}
    return None
