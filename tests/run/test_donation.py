"""Donated arguments: results take their memory where that is safe, and using them again is an error."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.base.errors import DonatedError, OutOfMemoryError, ShapeError
from chainrule.run import program as module
from chainrule.run.program import compile_graph


def step(w: Any, m: Any, x: Any) -> Any:
    return w - 0.1 * m, 0.9 * m + x.sum(), (w * w).sum()


def arrays() -> tuple[Any, Any, Any]:
    return np.full((3, 4), 2.0), np.ones((3, 4)), np.arange(5.0)


def test_results_lie_in_the_memory_of_what_was_donated() -> None:
    w, m, x = arrays()
    wanted = step(w.copy(), m.copy(), x)
    new_w, new_m, loss = cr.jit(step, donate_argnums=(0, 1))(w, m, x)
    assert np.shares_memory(w, new_w)
    assert np.shares_memory(m, new_m)
    for found, value in zip((new_w, new_m, loss), wanted, strict=True):
        np.testing.assert_allclose(found, value, rtol=1e-15)
    assert new_w.flags.writeable
    assert not w.flags.writeable


def test_a_donated_array_is_refused_when_it_comes_again() -> None:
    w, m, x = arrays()
    f = cr.jit(step, donate_argnums=(0, 1))
    f(w, m, x)
    for call in (lambda: f(w, m, x), lambda: cr.jit(lambda a: a + 1)(w)):
        with pytest.raises(DonatedError) as caught:
            call()
        assert str(caught.value).split("\n")[1:] == [
            "  expected: an array that nobody else writes to",
            "  got: an array of shape (3, 4) whose memory the result of that call has taken",
            "  what to do: go on with the result of that call, pass a copy to it, or leave donate_argnums out",
        ]
    with pytest.raises(ValueError, match="read-only"):
        w += 1


def test_the_results_may_be_donated_again() -> None:
    w, m, x = arrays()
    f = cr.jit(step, donate_argnums=(0, 1))
    a, b = w.copy(), m.copy()
    for _ in range(5):
        w, m, _loss = f(w, m, x)
        a, b, _loss = step(a, b, x)
    np.testing.assert_allclose(w, a, rtol=1e-14)


def test_a_result_of_another_order_is_not_written_in_place() -> None:
    x = np.arange(9.0).reshape(3, 3)
    (found,) = [cr.jit(lambda a: a.T + a, donate_argnums=0)(x.copy())]
    np.testing.assert_array_equal(found, x.T + x)
    (found,) = [cr.jit(lambda a: a @ a, donate_argnums=0)(x.copy())]
    np.testing.assert_array_equal(found, x @ x)
    first, second = cr.jit(lambda a: (a * 2, a.sum(0) + a), donate_argnums=0)(x.copy())
    np.testing.assert_array_equal(first, x * 2)
    np.testing.assert_array_equal(second, x.sum(0) + x)


@pytest.mark.parametrize("how", ["same array twice", "a view of another", "read-only", "not contiguous", "scalar"])
def test_what_cannot_be_lent_is_copied(how: str) -> None:
    w, m, x = arrays()
    if how == "same array twice":
        m = w
    elif how == "a view of another":
        x = w[1]
    elif how == "read-only":
        w.flags.writeable = False
    elif how == "not contiguous":
        w = np.full((4, 3), 2.0).T
    kept, kept_m = np.array(w), np.array(m)
    wanted = step(kept, kept_m, np.array(x))
    found = cr.jit(step, donate_argnums=(0, 1))(w, m, np.float64(3.0) if how == "scalar" else x)
    if how != "scalar":
        for got, value in zip(found, wanted, strict=True):
            np.testing.assert_allclose(got, value, rtol=1e-15)
    if how not in ("scalar", "not contiguous"):
        np.testing.assert_array_equal(w, kept)


def test_an_argument_that_is_a_result_stays_where_it_is() -> None:
    w, m, _ = arrays()
    same, other = cr.jit(lambda a, b: (a, b + 1), donate_argnums=(0, 1))(w, m)
    assert np.shares_memory(same, w)
    np.testing.assert_array_equal(other, np.full((3, 4), 2.0))


def test_a_state_carried_by_a_loop_stays_in_its_memory() -> None:
    w, m, _ = arrays()
    loop = cr.jit(lambda *s: cr.fori_loop(0, 3, lambda i, c: (c[0] - c[1], c[1] * 0.5), s), donate_argnums=(0, 1))
    a, b = loop(w, m)
    assert np.shares_memory(a, w)
    assert np.shares_memory(b, m)
    np.testing.assert_array_equal(a, np.full((3, 4), 2 - 1.75))


def test_a_plain_python_looks_at_each_array(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where array objects can't be looked into, the same happens more slowly."""
    monkeypatch.setattr(module, "OFFSET", None)
    w, m, x = arrays()
    program = compile_graph(cr.trace(step)(w, m, x), (0, 1))
    found = program([w, m, x])
    assert np.shares_memory(found[0], w)
    with pytest.raises(DonatedError):
        program([w, m, x])
    z = np.ones((3, 4))
    a, b, _ = program([z, z, x[:]])
    assert not np.shares_memory(a, b)


def test_a_call_that_fails_gives_nothing_away() -> None:
    f = cr.jit(lambda w, a: (w + 1, np.linalg.solve(a, w)), donate_argnums=0)
    w, other = np.ones(2), np.ones(2)
    other.flags.writeable = False
    with pytest.raises(np.linalg.LinAlgError):
        f(w, np.zeros((2, 2)))
    assert w.flags.writeable
    w[:] = 1.0
    cr.jit(lambda a, b: a + b)(w, other)  # the read-only one makes programs ask who was donated
    new, solved = f(w, np.eye(2) * 2)
    np.testing.assert_array_equal(new, [2.0, 2.0])
    np.testing.assert_array_equal(solved, [0.5, 0.5])


def test_not_enough_memory_says_what_was_planned() -> None:
    big = np.broadcast_to(np.float64(1), (1 << 22, 1 << 22))
    graph = cr.trace(lambda a: np.sin(a + 1) + 2)(big[:1, :1])
    program = compile_graph(graph)
    program.recipe = [(None, (1 << 31, 1 << 31), np.dtype(float))]
    with pytest.raises(OutOfMemoryError) as caught:
        program([np.ones((1, 1))])
    assert "not enough memory for a compiled program" in str(caught.value)
    assert "bytes of temporaries and 8 bytes of results" in str(caught.value)
    assert "use smaller arrays or batches, or cr.checkpoint" in str(caught.value)


def test_the_number_of_arguments_is_looked_at() -> None:
    program = compile_graph(cr.trace(lambda a, b: a + b)(1.0, 2.0))
    with pytest.raises(ShapeError, match="wrong number of inputs"):
        program([np.ones(())])
