"""Our own mathematical functions: scalar LLVM without branches, which the loop vectoriser turns into vector code.

``definitions([("exp", "f32"), …])`` gives the text of ``@cr.exp.f32`` … and of all they call; no libm is involved.
Error ≤ 2 ulp in float32 and ≤ 4 ulp in float64 against mpmath, over the whole range; results and arguments below the
smallest normal number count as zero, as compiled code flushes them.  C99's rules (Annex F) hold at 0, ±inf and NaN.

| function | algorithm | source |
|---|---|---|
| exp, exp2, expm1 | n = round(x/ln 2), polynomial of the rest, n added to the exponent | Cody & Waite 1980, 6 |
| log, log2, log10, log1p | m·2^k, m in [√½, √2); polynomial in m − 1, or atanh((m−1)/(m+1)) | Cody & Waite, 5 |
| pow | exp(y·log x), log x as a sum of two float64 (float32: log2, exp2 in float64) | Dekker 1971 |
| sin, cos, tan | three-part reduction by π/2, polynomials; huge: rare paths | Cody & Waite, 8; Payne & Hanek 1983 |
| arctan, arctan2, arcsin, arccos | reduction by arctan's sum rule and by half angles | Cody & Waite, 10, 11 |
| sinh, cosh, tanh, sigmoid | polynomial near 0, else from exp or expm1 | Cody & Waite, 12, 13 |
| arcsinh, arccosh, arctanh | log1p of an argument without cancellation | Kahan 1987 |
| erf, erfc | x·P(x²); 1 − exp(−Q(x)); exp(−x²)·P((x−4)/(x+4))/(1+2x) | Shepherd & Laframboise 1981 |
| cbrt | polynomial on [1, 8), Halley's iteration | Kahan & Bindel 2001 |
| hypot, logaddexp | scaled by a power of two; max + log1p(exp(−|a−b|)) | – |
| sqrt | the instruction; float32 with AVX-512: 1/√x by the estimate | see ``roots`` |
| fmod, remainder (mod), floor_divide | exact remainder by fma; far quotients: rare paths | – |

**Rare paths.** Where an argument needs much more work (sin 1e22, fmod(1e300, 3)), the work sits in a scalar function
that is called through ``@cr.rare.…``.  That function names vector forms of itself, which the vectoriser calls in its
place: they look whether any lane needs the work and return at once if none does.  See ``rare``.

float32 goes through float64 in pow, cbrt, hypot, erfc, arcsinh, arccosh and arctanh.  logaddexp's error is relative to
the largest of |a|, |b| and the result: where they cancel (e^a + e^b ≈ 1) the formula has no more to give.
Without a fused multiply-add, logaddexp and logaddexp2 reach 3 ulp in float32.  Where fmod is below the smallest normal
number, remainder and floor_divide take it for 0.
Does not do: exception flags, rounding modes other than to nearest, complex arguments, gamma functions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from chainrule.base.errors import choose
from chainrule.compile import rare, roots
from chainrule.compile.elementary import ELEMENTARY
from chainrule.compile.inverse import INVERSE
from chainrule.compile.ir import Body, Value
from chainrule.compile.quotients import FAR_QUOTIENTS, QUOTIENTS
from chainrule.compile.trigonometric import HUGE_ANGLES, TRIGONOMETRIC

# name -> (number of arguments, what writes the body)
FUNCTIONS: dict[str, tuple[int, Callable[..., Value]]] = {**ELEMENTARY, **TRIGONOMETRIC, **INVERSE, **QUOTIENTS}

_PATHS = {**HUGE_ANGLES, **FAR_QUOTIENTS}

NAMES: tuple[str, ...] = tuple(sorted(FUNCTIONS))

_DTYPES = {"f32": "float32", "f64": "float64", "float32": "float32", "float64": "float64"}
_ATTRIBUTES = "alwaysinline nounwind willreturn memory(none)"


def symbol(name: str, dtype: str) -> str:
    """The LLVM name of function ``name`` for ``dtype`` ("float32"/"f32", "float64"/"f64")."""
    _check(name, dtype)
    return f"@cr.{name}.{'f32' if _DTYPES[dtype] == 'float32' else 'f64'}"


def arity(name: str) -> int:
    """How many arguments function ``name`` takes."""
    _check(name, "f32")
    return FUNCTIONS[name][0]


def _check(name: str, dtype: str) -> None:
    if name not in FUNCTIONS:
        raise choose("function", name, NAMES, where="chainrule.compile.vectormath")
    if dtype not in _DTYPES:
        raise choose("dtype", dtype, _DTYPES, where="chainrule.compile.vectormath")


def definition(name: str, dtype: str, *, fma: bool = True, root: Sequence[str] = ()) -> str:
    """LLVM text of function ``name`` for ``dtype`` and of everything it calls.

    ``fma``: whether the target has a fused multiply-add; ``root``: its estimate of 1/√x.
    Raises :class:`OptionError` for an unknown name or dtype.
    """
    return definitions([(name, dtype)], fma=fma, root=root)


def definitions(wanted: Iterable[tuple[str, str]], *, fma: bool = True, root: Sequence[str] = ()) -> str:
    """LLVM text of several functions (name, dtype) and of everything they call, each once, in a fixed order."""
    for name, dtype in (wanted := list(wanted)):
        _check(name, dtype)
    waiting = sorted({(name, _DTYPES[dtype]) for name, dtype in wanted}, reverse=True)
    written: dict[tuple[str, str], str] = {}
    while waiting:
        key = waiting.pop()
        if key in written:
            continue
        name, dtype = key
        needs: set[tuple[str, str]] = set()
        if root and key == ("sqrt", "float32"):
            text = roots.definition(root)
        elif name in _PATHS:
            text, needs = rare.definition(name, dtype, _PATHS[name], fma=fma)
        elif name in rare.HELPERS:
            text = rare.HELPERS[name]
        else:
            body = Body(dtype, fma=fma)
            count, write = FUNCTIONS[name]
            body.result(write(body, *(body.argument(argument) for argument in "xy"[:count])))
            text, needs = body.definition(symbol(name, dtype), body.type, _ATTRIBUTES), body.needs
        written[key] = text
        waiting.extend(sorted(needs, reverse=True))
    texts = [written[key] for key in sorted(written)]
    kept = [form for name, dtype in sorted(written) if name in _PATHS for form in rare.vector_forms(name, dtype)]
    kept += roots.FORMS if root and ("sqrt", "float32") in written else ()
    if kept:  # only the vectoriser calls them, so nothing else keeps them alive until it runs
        listed = ", ".join(f"ptr {form}" for form in kept)
        texts.append(f'@llvm.compiler.used = appending global [{len(kept)} x ptr] [{listed}], section "llvm.metadata"')
    return "\n\n".join(texts) + "\n"
