"""Every NumPy function of the tracer's table, explained: gradients equal ``grad``'s, and every render stands."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ElementTree
from typing import Any

import numpy as np
import pytest
from rows import ROWS, Row

import chainrule as cr
from chainrule.base import trees
from chainrule.explain.explanation import explain
from chainrule.explain.mathml import mathml
from chainrule.explain.plain import plain

SMOOTH = [row for row in ROWS if row.smooth]


def _loss(row: Row) -> Any:
    def loss(*args: Any) -> Any:
        total: Any = 0.0
        for leaf in trees.leaves(row.call(*args)):
            if np.dtype(leaf.dtype).kind in "fc":
                total = total + np.sum(np.real(leaf) * np.real(leaf)) + np.sum(np.imag(leaf))
        return total

    return loss


@pytest.mark.parametrize("row", SMOOTH, ids=lambda row: row.id)
def test_numpy_functions(row: Row) -> None:
    loss = _loss(row)
    explanation = explain(loss, *row.args)
    count = len(explanation.gradients)
    assert count == len(row.args)
    expected = cr.grad(loss, argnums=tuple(range(count)))(*row.args)
    for found, wanted in zip(explanation.gradients.values(), expected, strict=True):
        assert np.array_equal(found, wanted, equal_nan=True)
    for step in (*explanation.chain, *explanation.steps):
        for latex in (step.symbol, step.formula, step.filled):
            if latex is not None:
                assert plain(latex)
                assert latex.count("{") == latex.count("}")
                assert not re.search(r"_\{[^{}]*\}_", latex), latex  # TeX refuses two subscripts
        ElementTree.fromstring(mathml(step.formula).replace("&#160;", " "))
    assert str(explanation)
    assert explanation.to_html()
    assert explanation.to_latex()
    json.loads(explanation.to_json())


WRAPPED = {
    "jit": lambda x: cr.jit(lambda v: np.sum(np.sin(v)))(x),
    "checkpoint": lambda x: cr.checkpoint(lambda v: np.sum(np.exp(v) * v))(x),
    "cond": lambda x: cr.cond(x[0] > 0, lambda v: np.sum(v**2), lambda v: np.sum(v), x),
    "scan": lambda x: cr.scan(lambda c, v: (np.tanh(c + v), c), np.float64(0.1), x)[0],
    "fori_loop": lambda x: np.sum(cr.fori_loop(0, 3, lambda i, v: np.cos(v), x)),
    "vmap": lambda x: np.sum(cr.vmap(lambda v: v * np.sin(v))(x)),
    "grad": lambda x: np.sum(cr.grad(lambda v: np.sum(v**3))(x)),
    "stop_gradient": lambda x: np.sum(x * cr.stop_gradient(x)),
}


@pytest.mark.parametrize("name", WRAPPED)
def test_other_transforms_inside(name: str) -> None:
    f, x = WRAPPED[name], np.array([0.5, -1.0, 2.0])
    explanation = explain(f, x)
    assert np.array_equal(explanation.gradients["x"], cr.grad(f)(x))
    assert name == "stop_gradient" or explanation.checks["x"].agrees
    for made in (str(explanation), explanation.to_html(), explanation.to_latex(), explanation.to_json()):
        assert made
