"""The vector math: error in ulp over the whole range, special values, and that it really becomes vector code."""

from __future__ import annotations

import ctypes
import functools
import re
from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import pytest
from minimax import minimax, table
from reference import DTYPES, NUMPY, Array, exact, points, ulp_errors

from chainrule.base.errors import OptionError
from chainrule.compile import engine, vectormath
from chainrule.compile.coefficients import CONSTANTS, POLYNOMIALS, TWO_OVER_PI
from chainrule.compile.target import Target, host, neon

CASES = [(name, dtype) for name in vectormath.NAMES for dtype in DTYPES]
LIMITS = {"f32": 2.0, "f64": 4.0}
TYPES = {"f32": "float", "f64": "double"}
REMAINDERS = ("remainder", "mod", "floor_divide")


def loop(name: str, dtype: str, target: Target) -> str:
    """``kernel(out, a, b, n)``: the function over arrays."""
    t, used = TYPES[dtype], "ab"[: vectormath.arity(name)]
    loads = "\n".join(
        f"  %p{c} = getelementptr {t}, ptr %{c}, i64 %i\n  %v{c} = load {t}, ptr %p{c}" for c in used
    )  # fmt: skip
    mode = target.mode
    enter, leave = "\n  ".join(mode.enter), "\n  ".join(mode.leave)
    arrays = "ptr noalias %o, ptr noalias %a, ptr noalias %b, i64 %n"
    return f"""define internal void @loop({arrays}) noinline {target.attributes} {{
entry:
  br label %loop
loop:
  %i = phi i64 [ 0, %entry ], [ %next, %loop ]
{loads}
  %r = call {t} {vectormath.symbol(name, dtype)}({", ".join(f"{t} %v{c}" for c in used)})
  %p = getelementptr {t}, ptr %o, i64 %i
  store {t} %r, ptr %p
  %next = add i64 %i, 1
  %done = icmp eq i64 %next, %n
  br i1 %done, label %out, label %loop
out:
  ret void
}}
define void @kernel(ptr %o, ptr %a, ptr %b, i64 %n) {{
  {enter}
  call void @loop(ptr %o, ptr %a, ptr %b, i64 %n)
  {leave}
  ret void
}}
{vectormath.definition(name, dtype, fma=target.fma, root=target.root)}"""


def compiled(name: str, dtype: str) -> Callable[..., Array]:
    return _compiled(name, dtype, host())


@functools.cache
def _compiled(name: str, dtype: str, target: Target) -> Callable[..., Array]:
    library = engine.load(engine.compile_object(loop(name, dtype, target), target), target)
    pointer = ctypes.c_void_p
    native = ctypes.CFUNCTYPE(None, pointer, pointer, pointer, ctypes.c_int64)(library.address("kernel"))

    def call(*arguments: Array) -> Array:
        given = [np.ascontiguousarray(x, DTYPES[dtype]) for x in arguments]
        out = np.empty_like(given[0])
        if out.size:
            native(out.ctypes.data, given[0].ctypes.data, given[-1].ctypes.data, out.size)
        return out

    call.code = library  # type: ignore[attr-defined]  # the code lives as long as the function
    return call


def worst(name: str, arguments: list[Array], got: Array, want: Array) -> tuple[float, str]:
    error = ulp_errors(name, got, want, arguments)
    if name in REMAINDERS:  # documented: an fmod below the smallest normal number counts as 0
        with np.errstate(all="ignore"):
            error[np.abs(np.fmod(*arguments)) < np.finfo(got.dtype).tiny * 2] = 0
    at = int(np.argmax(error))
    where = ", ".join(repr(float(x[at])) for x in arguments)
    return float(error[at]), f"{name}({where}) = {float(got[at])!r}, not {float(want[at])!r}: {error[at]:.3f} ulp"


def against_mpmath(name: str, dtype: str, count: int, limit: float, seed: int = 0) -> None:
    arguments = points(name, vectormath.arity(name), DTYPES[dtype], count, seed)
    assert arguments[0].size > count // 8
    error, text = worst(name, arguments, compiled(name, dtype)(*arguments), exact(name, arguments))
    assert error <= limit, text


def limit_of(name: str, dtype: str) -> float:
    return 3.0 if name.startswith("logaddexp") and not host().fma else LIMITS[dtype]


@pytest.mark.parametrize(("name", "dtype"), CASES)
def test_error_against_mpmath(name: str, dtype: str) -> None:
    against_mpmath(name, dtype, 300, limit_of(name, dtype))


@pytest.mark.slow
@pytest.mark.parametrize(("name", "dtype"), CASES)
def test_error_against_mpmath_at_many_points(name: str, dtype: str) -> None:
    against_mpmath(name, dtype, 20_000, limit_of(name, dtype), seed=1)


@pytest.mark.parametrize(("name", "dtype"), CASES)
def test_error_against_numpy_in_a_wider_format(name: str, dtype: str) -> None:
    wide = np.float64 if dtype == "f32" else np.longdouble
    if name not in NUMPY or np.finfo(wide).nmant <= np.finfo(DTYPES[dtype]).nmant:
        pytest.skip("NumPy has no reference for it on this machine")
    arguments = points(name, vectormath.arity(name), DTYPES[dtype], 20_000)
    with np.errstate(all="ignore"):
        want = NUMPY[name](*(x.astype(wide) for x in arguments))
    if name == "floor_divide":  # NumPy's definition is in terms of the rounded difference: same format
        with np.errstate(all="ignore"):
            want = np.floor_divide(*arguments).astype(wide)
    error, text = worst(name, arguments, compiled(name, dtype)(*arguments), want)
    assert error <= limit_of(name, dtype), text


def test_square_roots_are_the_nearest_numbers() -> None:
    """All mantissas, for an even and an odd exponent, and numbers of any size."""
    root = compiled("sqrt", "f32")
    two_octaves = np.arange(0x3F800000, 0x40800000, dtype=np.uint32).view(np.float32)
    np.testing.assert_array_equal(root(two_octaves), np.sqrt(two_octaves))
    rng = np.random.default_rng(0)
    normal = rng.integers(0x00800000, 0x7F800000, 1 << 20, dtype=np.uint32).view(np.float32)
    np.testing.assert_array_equal(root(normal), np.sqrt(normal))


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n in vectormath.NAMES if vectormath.arity(n) == 1 and n in NUMPY])
def test_every_997th_float(name: str) -> None:
    """4.3 million bit patterns over all of float32."""
    x = np.arange(0, 2**32, 997, dtype=np.uint64).astype(np.uint32).view(np.float32)
    x = x[np.isfinite(x) & ((np.abs(x) >= np.finfo(np.float32).tiny) | (x == 0))]
    with np.errstate(all="ignore"):
        want = NUMPY[name](x.astype(np.float64))
    x, want = x[~np.isnan(want)], want[~np.isnan(want)]
    error, text = worst(name, [x], compiled(name, "f32")(x), want)
    assert error <= limit_of(name, "f32"), text


def bits_of(x: Array) -> list[str]:
    return ["nan" if np.isnan(v) else repr(float(v)) for v in x]


@pytest.mark.parametrize(("name", "dtype"), CASES)
def test_special_values(name: str, dtype: str) -> None:
    """0, −0, ±1, ±inf, NaN and friends: NumPy's results, signs of zeros included, to the limit of error."""
    f = DTYPES[dtype]
    some = np.array([0.0, -0.0, 1, -1, 2, -2, 3, -3, 0.5, -0.5, np.inf, -np.inf, np.nan, 4, 1e4, -1e4], f)
    arguments = [some] if vectormath.arity(name) == 1 else [g.ravel() for g in np.meshgrid(some, some)]
    got = compiled(name, dtype)(*arguments)
    with np.errstate(all="ignore"):
        if name in NUMPY:
            want = NUMPY[name](*arguments)
        else:
            table = {"pow": np.power, "erf": np.vectorize(mpmath_erf), "erfc": np.vectorize(mpmath_erfc)}
            want = table[name](*arguments).astype(f)
    exactly = (np.isnan(want) | np.isinf(want) | (want == 0)) & ~((want == 0) & (np.abs(got) < 1e-30) & (got != 0))
    shown = [f"{name}{tuple(float(x[i]) for x in arguments)}" for i in np.flatnonzero(exactly)]
    assert dict(zip(shown, bits_of(got[exactly]), strict=True)) == dict(zip(shown, bits_of(want[exactly]), strict=True))
    assert np.isfinite(got[np.isfinite(want)]).all()
    with np.errstate(all="ignore"):
        np.testing.assert_allclose(got[~exactly], want[~exactly], rtol=8 * np.finfo(f).eps, atol=1e-300)


def mpmath_erf(x: Any) -> float:
    return float(x) if x == 0 or np.isnan(x) else float(mpmath.erf(float(x)))


def mpmath_erfc(x: Any) -> float:
    return float(x) if np.isnan(x) else float(mpmath.erfc(float(x)))


@pytest.mark.parametrize(("name", "dtype"), CASES)
def test_denormals_count_as_zero_or_as_themselves(name: str, dtype: str) -> None:
    f = DTYPES[dtype]
    tiny = np.finfo(f).tiny
    if vectormath.arity(name) == 2:
        pytest.skip("the rules of quotients and powers near 0 are in the other tests")
    x = np.array([tiny / 4, -tiny / 4, np.finfo(f).smallest_subnormal] * 6, f)
    zero = compiled(name, dtype)(np.copysign(f(0), x))
    got = compiled(name, dtype)(x)
    with np.errstate(all="ignore"):
        itself = NUMPY[name](x.astype(np.float64)) if name in NUMPY else zero
    either = (bits_equal(got, zero)) | (np.abs(got - itself) <= 1e-5 * np.abs(itself))
    assert either.all(), (x[~either], got[~either])


def bits_equal(a: Array, b: Array) -> Array:
    return np.asarray((a == b) | (np.isnan(a) & np.isnan(b)))


@pytest.mark.parametrize("name", ["sin", "cos", "tan", "fmod", "remainder", "floor_divide"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_rare_paths_do_not_depend_on_their_neighbours(name: str, dtype: str) -> None:
    """Ordinary and extreme arguments in one vector, in the tail, and alone give the same bits."""
    rng = np.random.default_rng(3)
    f = DTYPES[dtype]
    x = np.where(rng.random(137) < 0.2, 10.0 ** rng.uniform(9, 37, 137), rng.standard_normal(137)).astype(f)
    rest = [rng.uniform(0.1, 3, 137).astype(f)] * (vectormath.arity(name) - 1)
    function = compiled(name, dtype)
    together = function(x, *rest)
    alone = [function(x[i : i + 1], *(r[i : i + 1] for r in rest))[0] for i in range(137)]
    assert together.tobytes() == np.array(alone, f).tobytes()


@pytest.mark.parametrize(("name", "dtype"), CASES)
def test_loops_become_vectors(name: str, dtype: str) -> None:
    """In the body of the vector loop there are vectors of full width and no scalar arithmetic at all."""
    target = host()
    text = engine.optimise(loop(name, dtype, target), target)
    body = text[text.index("define internal fastcc void @loop") :]
    body = body[: body.index("\n}")]
    assert "vector.body:" in body
    hot = re.search(r"^vector\.body:.*?^middle\.block:", body, re.MULTILINE | re.DOTALL)
    assert hot is not None
    lanes = {target.lanes("float32"), target.lanes("float64")}
    widths = {int(n) for n in re.findall(r"<(\d+) x (?:float|double)>", hot.group())}
    assert widths & lanes, f"widths {sorted(widths)}"
    scalar = re.findall(r"= (?:fmul|fadd|fsub|fdiv) (?:float|double) .*|call (?:float|double) .*", hot.group())
    assert not scalar


def test_nothing_calls_a_library() -> None:
    """All functions together leave no symbol undefined."""
    everything = vectormath.definitions(CASES, fma=host().fma)
    shells = "".join(
        f"define {t} @use.{n}.{d}({', '.join(f'{t} %{c}' for c in 'xy'[: vectormath.arity(n)])}) {{\n"
        f"  %r = call {t} {vectormath.symbol(n, d)}({', '.join(f'{t} %{c}' for c in 'xy'[: vectormath.arity(n)])})\n"
        f"  ret {t} %r\n}}\n"
        for n, d in CASES
        for t in [TYPES[d]]
    )
    text = engine.optimise(everything + shells, level=1)
    declared = re.findall(r"^declare .*?@([\w.]+)\(", text, re.MULTILINE)
    assert declared
    assert all(name.startswith("llvm.") for name in declared), declared
    allowed = ("fma", "fabs", "copysign", "sqrt", "trunc", "floor", "ctlz", "abs", "expect", "is.fpclass")
    assert [name for name in declared if not name.removeprefix("llvm.").startswith((*allowed, "vector.reduce"))] == []


@pytest.mark.parametrize("name", ["exp", "sin", "pow", "tanh"])
def test_other_targets_get_text(name: str) -> None:
    text = engine.assembly(loop(name, "f32", neon()), neon())
    assert re.search(r"fm(la|ul)\s+v\d+\.[24][sd]", text)
    assert not re.search(r"\bbl\s+(?!\"?cr\.|loop)", text), "calls into a library"


def test_without_fma(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without fused multiply-add is slower, not wrong."""
    if host().name not in ("avx512", "avx2", "sse2"):
        pytest.skip("CHAINRULE_TARGET=generic is for x86")
    monkeypatch.setenv("CHAINRULE_TARGET", "generic")
    assert not host().fma
    for name in ("exp", "log1p", "sin", "tan", "pow", "erfc", "fmod", "logaddexp", "tanh"):
        for dtype in DTYPES:
            against_mpmath(name, dtype, 60, limit_of(name, dtype))


def test_definitions_name_everything_once_in_a_fixed_order() -> None:
    text = vectormath.definitions([("sin", "f32"), ("cos", "float32"), ("sin", "float32")])
    assert text == vectormath.definitions([("cos", "f32"), ("sin", "f32")])
    names = re.findall(r"^define .*?(@[\w.]+)\(", text, re.MULTILINE)
    assert len(names) == len(set(names))
    assert {"@cr.sin.f32", "@cr.cos.f32", "@cr.reduce.angle"} <= set(names)
    assert vectormath.definitions([]).strip() == ""


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: vectormath.definition("sine", "f32"), "unknown value for function\n  expected: one of: arccos, "),
        (lambda: vectormath.symbol("sin", "int32"), "unknown value for dtype\n  expected: one of: f32, f64, "),
        (lambda: vectormath.arity("gamma"), "  got: 'gamma'\n  where: chainrule.compile.vectormath"),
    ],
)
def test_unknown_names_are_refused(call: Callable[[], object], text: str) -> None:
    with pytest.raises(OptionError) as caught:
        call()
    assert text in str(caught.value)


def test_constants_are_those_of_mathematics() -> None:
    with mpmath.workdps(500):
        values = {
            "ln2": mpmath.log(2), "log2_e": 1 / mpmath.log(2), "log10_e": 1 / mpmath.log(10),
            "log10_2": mpmath.log10(2), "half_pi": mpmath.pi / 2,
        }  # fmt: skip
        for (name, dtype), parts in CONSTANTS.items():
            left = abs(mpmath.fsum(parts) - values[name]) / values[name]
            bits = 36 if dtype == "float32" else 92
            assert left < mpmath.mpf(2) ** -bits, (name, dtype)
            assert all(float(np.dtype(dtype).type(p)) == p for p in parts)
        assert int(mpmath.floor(2 / mpmath.pi * mpmath.mpf(2) ** 1280)) == TWO_OVER_PI


@pytest.mark.parametrize("key", list(table()), ids="-".join)
def test_polynomials_are_as_good_as_they_can_be(key: tuple[str, str]) -> None:
    """At each end and in between, the stored polynomial is within its claimed error of the function."""
    wanted = table()[key]
    claimed = {"float32": 2.0**-25.9, "float64": 2.0**-53.9}[key[1]]
    loose = {"cbrt": 2.0**-9, "log2_narrow": 2.0**-43, "exp2_narrow": 2.0**-34}
    for x in np.linspace(wanted.low, wanted.high, 24)[1:-1]:
        p = mpmath.polyval([mpmath.mpf(c) for c in reversed(POLYNOMIALS[key])], mpmath.mpf(x))
        error = abs(wanted.weight(mpmath.mpf(x)) * (p - wanted.g(mpmath.mpf(x))))
        assert error < loose.get(key[0], claimed), (key, x)


def test_every_polynomial_is_derived() -> None:
    assert set(POLYNOMIALS) == set(table())


@pytest.mark.slow
@pytest.mark.parametrize("key", list(table()), ids="-".join)
def test_polynomials_come_from_the_derivation(key: tuple[str, str]) -> None:
    assert tuple(minimax(table()[key])[0]) == POLYNOMIALS[key]
