"""In-place writes and views: random programs on Symbols end in the same numbers as on arrays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.base.errors import TraceError

Step = Callable[[list[Any]], None]


def _axis(rng: np.random.Generator, x: Any) -> int:
    return int(rng.integers(-x.ndim, x.ndim))


def _basic(rng: np.random.Generator, shape: tuple[int, ...]) -> Any:
    """A random basic key that leaves at least one axis."""
    parts: list[Any] = []
    for n in shape:
        if rng.random() < 0.25 and len(shape) > 1 and len([p for p in parts if isinstance(p, int)]) < len(shape) - 1:
            parts.append(int(rng.integers(-n, n)))
        else:
            step = int(rng.choice([1, 1, -1, 2]))
            parts.append(slice(None, None, step) if rng.random() < 0.5 else slice(int(rng.integers(0, n)), None))
    return tuple(parts)


def _views(rng: np.random.Generator, x: Any) -> Callable[[Any], Any]:
    """A function that makes a view, as a choice fixed in advance."""
    kind = rng.integers(0, 7)
    if kind <= 2:
        key = _basic(rng, x.shape)
        return lambda a: a[key]
    if kind == 3:
        return lambda a: a.T
    if kind == 4:
        axis = _axis(rng, x)
        return lambda a: np.flip(a, axis)
    if kind == 5:
        return lambda a: np.expand_dims(a, 0)[..., ::1]
    first, second = _axis(rng, x), _axis(rng, x)
    return lambda a: np.swapaxes(a, first, second)


def _program(rng: np.random.Generator, x: Any, steps: int) -> list[Callable[[list[Any]], None]]:
    """Steps on a list of arrays that share memory as they do; chosen by running them on plain arrays."""
    arrays = [x.copy()]
    program: list[Step] = []
    for _ in range(steps):
        i = int(rng.integers(len(arrays)))
        kind = rng.integers(0, 8)
        value = float(rng.normal())
        target = arrays[i]
        if kind in (0, 1) and len(arrays) < 7:
            view = _views(rng, target)
            program.append(lambda a, i=i, view=view: a.append(view(a[i])))
        elif kind == 2:
            key = _basic(rng, target.shape)
            program.append(lambda a, i=i, key=key, v=value: a[i].__setitem__(key, v))
        elif kind == 3:
            program.append(lambda a, i=i, v=value: a.__setitem__(i, a[i].__iadd__(v * 0.5)))
        elif kind == 4:
            key = _basic(rng, target.shape)

            def scale(a: list[Any], i: int = i, key: Any = key) -> None:
                a[i][key] *= 1.5

            program.append(scale)
        elif kind == 5:
            j = int(rng.integers(len(arrays)))
            try:
                fits = np.broadcast_shapes(arrays[j].shape, target.shape) == target.shape
            except ValueError:
                fits = False
            if not fits:
                continue
            program.append(lambda a, i=i, j=j: np.add(a[i], a[j], out=a[i]) * 0)
        elif kind == 6:
            rows = rng.integers(-target.shape[0], target.shape[0], size=2)
            program.append(lambda a, i=i, rows=rows, v=value: a[i].__setitem__(rows, v))
        else:
            mask = rng.random(target.shape) < 0.4
            program.append(lambda a, i=i, m=mask: np.multiply(a[i], 3.0, out=a[i], where=m) * 0)
        program[-1](arrays)
    return program


@pytest.mark.parametrize("seed", range(150))
def test_random_programs_end_as_with_numpy(seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=tuple(int(n) for n in rng.integers(1, 4, size=rng.integers(1, 4))))
    program = _program(rng, x, 14)

    def run(x: Any) -> list[Any]:
        arrays = [x.copy()]
        for step in program:
            step(arrays)
        return arrays

    expected = run(x)
    found = cr.jit(run)(x)
    for f, e in zip(found, expected, strict=True):
        np.testing.assert_allclose(f, e, rtol=1e-12)
    cr.check_grads(run, (x,), order=1)
    if seed % 3 == 0:
        batch = np.stack([x, 2 * x + 1])
        for f, one, other in zip(cr.vmap(run)(batch), run(batch[0]), run(batch[1]), strict=True):
            np.testing.assert_allclose(f, np.stack([one, other]), rtol=1e-12)


def both(f: Callable[..., Any], *args: Any) -> None:
    """``f`` on Symbols gives what it gives on copies of the arrays."""
    expected = f(*[np.array(a) for a in args])
    found = cr.jit(f)(*args)
    for a, b in zip(np.atleast_1d(found) if not isinstance(found, tuple) else found,
                    np.atleast_1d(expected) if not isinstance(expected, tuple) else expected, strict=True):  # fmt: skip
        np.testing.assert_array_equal(a, b)


M = np.arange(12.0).reshape(3, 4)


def test_scalars_read_from_an_array_do_not_follow_it() -> None:
    def f(x: Any) -> Any:
        y = x[0, 0]
        x[0, 0] = 5.0
        z = x[0, 0]
        z += 1
        return x, y, z

    both(f, M)


def test_an_alias_is_the_same_array() -> None:
    def f(x: Any) -> Any:
        y = x
        y += 1
        z = np.conj(x)
        z += 1
        return x, y, z, +x

    both(f, M)


def test_views_of_views_write_through() -> None:
    def f(x: Any) -> Any:
        a = x[1:]
        b = a.T[::2]
        c = b[:, 0]
        c[...] = -1.0
        a *= 2
        return x, a, b, c

    both(f, M)


def test_reading_through_broadcasting_follows_and_is_read_only() -> None:
    def f(x: Any) -> Any:
        wide = np.broadcast_to(x, (2, 3, 4))
        x[0] = 9.0
        return wide

    both(f, M)

    def g(x: Any) -> Any:
        np.broadcast_to(x, (2, 3, 4))[0] = 1.0

    with pytest.raises(TraceError, match="the array written to is a read-only view"):
        cr.jit(g)(M)


def test_diagonals_and_windows_follow_and_are_read_only() -> None:
    makers: tuple[Callable[[Any], Any], ...] = (
        np.diagonal,
        np.diag,
        lambda x: np.lib.stride_tricks.sliding_window_view(x, (2, 2)),
        lambda x: np.linalg.diagonal(x, offset=1),
    )
    for make in makers:

        def f(x: Any, make: Any = make) -> Any:
            y = make(x)
            x[1] = 9.0
            return x, y

        both(f, M)

        def g(x: Any, make: Any = make) -> Any:
            make(x)[0] = 1.0

        with pytest.raises(TraceError, match="the array written to is a read-only view"):
            cr.jit(g)(M)


def test_what_numpy_does_not_copy_is_the_same_array() -> None:
    def f(x: Any) -> Any:
        a = np.asarray(x, like=x)
        a += 1
        b = x.astype(float, copy=False)
        b *= 2
        c = np.array(x, like=x)
        c += 100
        d = np.atleast_3d(np.atleast_2d(x[0]))
        d[0, 0] = 5.0
        e = x.astype(np.float32).astype(float)
        e[:] = 0
        return x, a, b, c, d, e

    both(f, M)


def test_writing_through_a_reshaped_view_is_refused() -> None:
    def f(x: Any) -> Any:
        flat = x.reshape(-1)
        flat[0] = 1.0
        return x

    with pytest.raises(TraceError) as error:
        cr.jit(f)(M)
    assert str(error.value).startswith("an array was changed through a reshaped view of it, and is used again\n")
    assert "x.copy().reshape" in str(error.value)

    def only_the_view(x: Any) -> Any:
        flat = x.reshape(-1)
        flat[0] = 1.0
        return flat

    both(only_the_view, M)


def test_reading_a_reshaped_array_after_a_write_is_refused() -> None:
    def f(x: Any) -> Any:
        flat = x.ravel()
        x[0] = 1.0
        return flat

    with pytest.raises(TraceError) as error:
        cr.jit(f)(M)
    assert str(error.value).startswith(
        "an array was changed after it was reshaped, and the reshaped one is used again\n"
    )


def test_out_keyword_and_position() -> None:
    def f(x: Any) -> Any:
        total, where, powers = np.zeros_like(x[0]), np.full_like(x, 7), np.empty_like(x)
        np.sum(x, 0, None, total)
        np.exp(x, out=where, where=x > 5)
        np.clip(x, 1, 3, powers)
        whole, part = np.empty_like(x), np.empty_like(x)
        np.divmod(x, 2.5, out=(whole, part))
        row = x[1]
        np.negative(row, row)
        return total, where, powers, whole, part, x

    both(f, M)


def test_functions_that_write() -> None:
    def f(x: Any) -> Any:
        a, b, c, d = x.copy(), x.copy(), x.copy(), x.copy()
        np.put(a, [0, -1, 5], [10.0, 20.0], mode="wrap")
        np.place(b, b > 4, [1.0, 2.0, 3.0])
        np.putmask(c, c > 4, [1.0, 2.0, 3.0])
        np.copyto(d, x * 2, where=x > 3)
        e, g, h, k = x.copy(), x.copy(), x.copy(), x.copy()
        np.put_along_axis(e, np.array([[1], [0], [3]]), 99.0, 1)
        np.fill_diagonal(g, [1.0, 2.0, 3.0])
        np.multiply.at(h, [0, 0, 2], 3.0)
        np.negative.at(k, (slice(None), [1, 1, 1]))
        return a, b, c, d, e, g, h, k

    both(f, M)


def test_methods_that_write() -> None:
    def f(x: Any) -> Any:
        a, b, c = x.copy(), -x, x.copy()
        a.fill(3.0)
        b.sort(axis=1)
        c.flat[3] = 8.0
        c.flat[5:7] = [1.0, 2.0]
        d = x.copy()
        d.flat = [1.0, 2.0]
        return a, b, c, d, c.flat[4], len(c.flat)

    both(f, M)


def test_fill_diagonal_wraps() -> None:
    def f(x: Any) -> Any:
        np.fill_diagonal(x, 5.0, wrap=True)
        return x

    both(f, np.zeros((7, 2)))


def test_real_and_imaginary_parts_are_views() -> None:
    def f(x: Any) -> Any:
        x.real[0] = 5.0
        x.imag = 2.0
        part = x.imag
        part *= 3
        return x, part

    both(f, M + 1j * M)


def test_float_written_into_integers_is_truncated_as_in_numpy() -> None:
    def f(x: Any) -> Any:
        counts = np.zeros(3, int, like=x)
        counts[0] = x[0, 0] + 1.7
        return counts

    np.testing.assert_array_equal(cr.jit(f)(M), [1, 0, 0])


def test_in_place_dtype_rule() -> None:
    def f(x: Any) -> Any:
        counts = np.zeros(4, int, like=x)
        counts += x[0]
        return counts

    with pytest.raises(TraceError) as error:
        cr.jit(f)(M)
    assert str(error.value).startswith(
        "an in-place result can't be stored in this dtype\n  expected: a result that casts to int64\n  got: float64\n"
    )
