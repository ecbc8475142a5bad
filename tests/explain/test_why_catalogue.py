"""Every op of the catalogue, on its own samples and on unkind values: the answers agree with what ``grad`` gives.

Whether anything is not finite, which gradients are zero and in how many elements; and every zero has a cause.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import samples

import chainrule as cr
from chainrule.base.errors import ChainruleError
from chainrule.ops.expr import CATALOGUE
from chainrule.ops.record import Pointwise

for _file in sorted(Path(samples.__file__).parent.glob("samples_*.py")):
    importlib.import_module(_file.stem)

# phi's first argument is a whole number of steps: 1e200 of them would never end.
_LEFT_OUT = ("input", "constant", "item", "phi")
OPS = sorted(name for name in CATALOGUE if name not in _LEFT_OUT)


def rows(name: str) -> list[Any]:
    op = CATALOGUE[name]
    found = samples.TABLE.get(name) or (samples.pointwise_samples(op) if isinstance(op, Pointwise) else [])
    return [s for s in found if any(np.asarray(a).dtype.kind == "f" for a in s.args)]


def total(name: str, attrs: Any) -> Any:
    def f(*args: Any) -> Any:
        out = CATALOGUE[name](*args, **attrs)
        parts = out if isinstance(out, tuple) else (out,)
        real = [np.sum(p * 1.0) for p in parts if p.dtype.kind in "biuf"]
        return sum(real[1:], start=real[0]) if real else np.sum(np.real(parts[0]))

    return f


def unkind(args: Any, value: float) -> Any:
    """The float arguments with every other element set to ``value``."""
    changed = []
    for a in args:
        array = np.array(a)
        if array.dtype.kind == "f":
            array.reshape(-1)[::2] = value
        changed.append(array)
    return changed


@pytest.mark.parametrize("name", OPS)
def test_on_zeros(name: str) -> None:
    agree(name, 0.0, most=1)


@pytest.mark.slow
@pytest.mark.parametrize("value", [None, 0.0, 1.0, -800.0, 1e200, np.inf, np.nan])
@pytest.mark.parametrize("name", OPS)
def test_on_unkind_values(name: str, value: float | None) -> None:
    agree(name, value, most=3)


def agree(name: str, value: float | None, most: int) -> None:
    """The answers on the first ``most`` samples of an op, half of whose elements are set to ``value``."""
    for sample in rows(name)[:most]:
        args = sample.args if value is None else unkind(sample.args, value)
        wrt = tuple(i for i, a in enumerate(args) if np.asarray(a).dtype.kind == "f")
        f = total(name, sample.attrs)
        try:
            with np.errstate(all="ignore"):
                result, gradients = cr.value_and_grad(f, wrt)(*args)
        except (ChainruleError, ValueError, np.linalg.LinAlgError):  # not defined there, or has no reverse mode
            continue
        finite = bool(np.isfinite(result)) and all(np.all(np.isfinite(g)) for g in gradients)
        nonfinite = cr.find_nonfinite(f, *args, wrt=wrt)
        assert (nonfinite is None) == finite
        if nonfinite is not None:
            assert not np.isfinite(nonfinite.first.value)
            assert str(nonfinite)
        found = cr.why(f, *args, wrt=wrt)
        assert str(found)
        for finding, gradient in zip(found, gradients, strict=True):
            zeros = int(np.sum(np.asarray(gradient) == 0))
            if finding.status == "no path":
                assert zeros == np.size(gradient)
            elif not np.all(np.isfinite(gradient)):
                assert finding.status == "not finite"
            else:
                assert finding.zeros == zeros
                some = "zero" if zeros == np.size(gradient) else "partly zero"
                assert finding.status == (some if zeros else "nonzero")
            told = bool(zeros) and finding.status != "not finite"
            assert bool(finding.causes) == told or not np.size(gradient), finding
