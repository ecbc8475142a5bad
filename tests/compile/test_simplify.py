"""Simplification: each rewrite alone, before and after; whole graphs keep their values, types and origins."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import laws
import numpy as np
import pytest
from random_programs import random_program
from samples import TABLE as SAMPLES
from samples import pointwise_samples

import chainrule as cr
from chainrule.base import trees
from chainrule.base.arrays import Spec, long_dtype
from chainrule.compile import expansions, rewrites
from chainrule.compile import simplify as module
from chainrule.compile.simplify import ALL, simplify
from chainrule.graph.builder import Builder
from chainrule.graph.check import check
from chainrule.graph.evaluate import run_plan
from chainrule.graph.graph import Graph
from chainrule.ops import CATALOGUE
from chainrule.ops.record import Pointwise
from chainrule.ops.structure import is_plumbing

for _path in sorted((Path(__file__).parents[1] / "ops").glob("samples_*.py")):
    importlib.import_module(_path.stem)


def op(name: str, *args: Any, **attrs: Any) -> Any:
    return CATALOGUE[name](*args, **attrs)


def graph_of(inputs: str, f: Callable[..., Any]) -> Graph:
    """The graph of ``f`` on Exprs of these types, such as ``"f64[2,3] i64[3]"``, just as the ops record it."""
    builder = Builder()
    handles = []
    for text in inputs.split():
        short, sizes = text.rstrip("]").split("[")
        handles.append(builder.input(Spec(tuple(int(n) for n in sizes.split(",") if n), long_dtype(short))))
    out = f(*handles)
    return builder.finish(list(out) if isinstance(out, tuple) else [out])[0]


def rows(graph: Graph) -> list[str]:
    """The lines behind the inputs, as text without sources."""
    return [row.split("  #")[0].strip() for row in str(graph).splitlines()[1:]]


SPECIAL = (0.0, -0.0, 1.0, -1.0, 2.5, -7.0, np.inf, -np.inf, np.nan, 0.5, 1e-30, -3.0)


def sample(spec: Spec, seed: int) -> Any:
    """Numbers of this type, the special ones among them."""
    rng = np.random.default_rng(seed)
    if spec.dtype.kind == "b":
        return rng.random(spec.shape) < 0.5
    if spec.dtype.kind in "iu":
        return rng.integers(0 if spec.dtype.kind == "u" else -4, 5, spec.shape).astype(spec.dtype)
    size = int(np.prod(spec.shape))
    return rng.permutation(np.resize(SPECIAL, max(size, len(SPECIAL))))[:size].reshape(spec.shape).astype(spec.dtype)


class Case(NamedTuple):
    """A graph in which one rewrite finds something, and the lines after it."""

    inputs: str
    f: Callable[..., Any]
    after: list[str]
    exact: str = "bits"  # bits, zeros (their sign may differ), or order (of a sum)


def whole_numbers(x: Any) -> Any:
    """What is near a number, rounded: sums of their products are exact in any order."""
    return op("rint", op("where", op("isfinite", x), x, 0.0))


def whole(*sizes: int) -> tuple[Any, ...]:
    return tuple((0, n, 1) for n in sizes)


CASES: dict[str, list[Case]] = {
    "fold": [Case("f64[3]", lambda x: x * op("exp", x.builder.constant(0.5)), [
        "%2: f64[3] = mul %0 1.6487212707001282", "return %2"])],
    "constant_last": [Case("f64[3]", lambda x: op("add", 2.0, x), ["%2: f64[3] = add %0 2.0", "return %2"])],
    "before_broadcasting": [
        Case("f64[2,3] f64[3]", lambda x, b: op("add", x, op("broadcast_to", b, shape=(2, 3))), [
            "%2: f64[2,3] = add %0 %1", "return %2"]),
        Case("f64[3]", lambda b: op("exp", op("broadcast_to", b, shape=(2, 3))), [
            "%1: f64[3] = exp %0", "%2: f64[2,3] = broadcast_to %1 shape=(2, 3)", "return %2"]),
    ],
    "add_nothing": [
        Case("f64[3]", lambda x: op("add", x, -0.0), ["return %0"]),
        Case("f64[3]", lambda x: op("add", x, 0.0), ["%2: f64[3] = add %0 0.0", "return %2"]),
        Case("i64[3]", lambda x: op("add", x, 0), ["return %0"]),
    ],
    "subtract_nothing": [
        Case("f64[3]", lambda x: op("sub", x, 0.0), ["return %0"]),
        Case("f64[3]", lambda x: op("sub", x, -0.0), ["%2: f64[3] = sub %0 -0.0", "return %2"]),
    ],
    "add_negative": [
        Case("f64[3] f64[3]", lambda x, y: op("add", x, op("neg", y)), ["%2: f64[3] = sub %0 %1", "return %2"]),
        Case("f64[3] f64[3]", lambda x, y: op("add", op("neg", x), y), ["%2: f64[3] = sub %1 %0", "return %2"]),
    ],
    "subtract_negative": [
        Case("f64[3] f64[3]", lambda x, y: op("sub", x, op("neg", y)), ["%2: f64[3] = add %0 %1", "return %2"])],
    "multiply_by_one": [
        Case("f64[3]", lambda x: op("mul", x, 1.0), ["return %0"]),
        Case("f64[3]", lambda x: op("div", x, 1.0), ["return %0"]),
        Case("f64[3]", lambda x: op("mul", x, -1.0), ["%1: f64[3] = neg %0", "return %1"]),
        Case("f64[3]", lambda x: op("mul", x, 0.0), ["%2: f64[3] = mul %0 0.0", "return %2"]),
        Case("f64[]", lambda x: op("mul", x, op("broadcast_to", x.builder.constant(1.0), shape=(2,))), [
            "%1: f64[2] = broadcast_to %0 shape=(2,)", "return %1"]),
        Case("c128[3]", lambda x: op("mul", x, 1.0), ["%2: c128[3] = mul %0 (1.0+0.0j)", "return %2"]),
    ],
    "multiply_negatives": [
        Case("f64[3] f64[3]", lambda x, y: op("mul", op("neg", x), op("neg", y)), [
            "%2: f64[3] = mul %0 %1", "return %2"]),
        Case("f64[3]", lambda x: op("mul", op("neg", x), 2.0), [
            "%3: f64[3] = mul %0 %2", "return %3"]),
    ],
    "negative_out": [
        Case("f64[3] f64[3]", lambda x, y: op("mul", x, op("neg", y)), [
            "%2: f64[3] = mul %0 %1", "%3: f64[3] = neg %2", "return %3"]),
        Case("f64[3] f64[3]", lambda x, y: op("div", op("neg", x), y), [
            "%2: f64[3] = div %0 %1", "%3: f64[3] = neg %2", "return %3"]),
        Case("f64[3] f64[3]", lambda x, y: op("div", x, op("neg", y)), [
            "%2: f64[3] = div %0 %1", "%3: f64[3] = neg %2", "return %3"]),
    ],
    "sum_of_negative": [Case("f64[7]", lambda x: op("sum", op("neg", x), axes=(0,), keepdims=False), [
        "%1: f64[] = sum %0 axes=(0,) keepdims=False", "%2: f64[] = neg %1", "return %2"], "zeros")],
    "divide_by_power_of_two": [
        Case("f64[3]", lambda x: op("div", x, -8.0), ["%2: f64[3] = mul %0 -0.125", "return %2"]),
        Case("f64[3]", lambda x: op("div", x, 3.0), ["%2: f64[3] = div %0 3.0", "return %2"]),
        Case("f64[3]", lambda x: op("div", x, 2.0**1023), ["%2: f64[3] = div %0 8.98846567431158e+307", "return %2"]),
    ],
    "derivative_of_tanh": [
        Case("f64[3]", lambda x: op("div", 1.0, op("mul", op("cosh", x), op("cosh", x))), [
            "%2: f64[3] = abs %0", "%4: f64[3] = mul %2 -2.0", "%5: f64[3] = exp %4", "%6: f64[3] = add %5 1.0",
            "%7: f64[3] = div 1.0 %6", "%9: f64[3] = mul %5 4.0", "%10: f64[3] = mul %9 %7",
            "%11: f64[3] = mul %10 %7", "return %11"], "close"),
        Case("f64[3] f64[3]", lambda x, y: op("div", 1.0, op("mul", op("cosh", x), op("cosh", y))), [
            "%2: f64[3] = cosh %0", "%3: f64[3] = cosh %1", "%4: f64[3] = mul %2 %3", "%6: f64[3] = div 1.0 %4",
            "return %6"]),
    ],
    "negate_twice": [Case("f64[3]", lambda x: op("neg", op("neg", x)), ["return %0"])],
    "size_of_negative": [
        Case("f64[3]", lambda x: op("abs", op("neg", x)), ["%1: f64[3] = abs %0", "return %1"]),
        Case("f64[3]", lambda x: op("abs", op("abs", x)), ["%1: f64[3] = abs %0", "return %1"]),
    ],
    "small_power": [
        Case("f64[3]", lambda x: op("pow", x, 2.0), ["%1: f64[3] = mul %0 %0", "return %1"]),
        Case("f64[3]", lambda x: op("pow", x, 3.0), [
            "%1: f64[3] = mul %0 %0", "%2: f64[3] = mul %1 %0", "return %2"], "close"),
        Case("f64[3]", lambda x: op("pow", x, 4.0), [
            "%1: f64[3] = mul %0 %0", "%2: f64[3] = mul %1 %1", "return %2"], "close"),
        Case("f64[3]", lambda x: op("pow", x, 1.0), ["return %0"]),
        Case("f64[3]", lambda x: op("pow", x, 0.0), ["%2: f64[3] = broadcast_to 1.0 shape=(3,)", "return %2"]),
        Case("f64[3]", lambda x: op("pow", x, -1.0), ["%2: f64[3] = div 1.0 %0", "return %2"]),
        Case("f64[3]", lambda x: op("pow", x, 0.5), ["%1: f64[3] = sqrt %0", "return %1"]),
        Case("f64[3]", lambda x: op("pow", x, 5.0), ["%2: f64[3] = pow %0 5.0", "return %2"]),
        Case("i64[3]", lambda x: op("pow", x, 5), [
            "%1: i64[3] = mul %0 %0", "%2: i64[3] = mul %1 %1", "%3: i64[3] = mul %2 %0", "return %3"]),
    ],
    "same_extreme": [Case("f64[3]", lambda x: op("maximum", x, x), ["return %0"])],
    "chain_of_known": [
        Case("f64[3]", lambda x: op("chain_mul", 2.0, x), ["%2: f64[3] = mul %0 2.0", "return %2"]),
        Case("f64[3]", lambda x: op("chain_mul", 0.0, x), [
            "%2: f64[3] = broadcast_to 0.0 shape=(3,)", "return %2"], "zeros"),
        Case("f64[3]", lambda x: op("chain_mul", x, 3.0), ["%2: f64[3] = mul %0 3.0", "return %2"], "zeros"),
        Case("f64[3]", lambda x: op("chain_mul", x, np.inf), ["%2: f64[3] = chain_mul %0 inf", "return %2"]),
    ],
    "choose_known": [
        Case("f64[3] f64[3]", lambda x, y: op("where", True, x, y), ["return %0"]),
        Case("f64[3] f64[3]", lambda x, y: op("where", False, x, y), ["return %1"]),
        Case("bool[3] f64[3]", lambda c, x: op("where", c, x, x), ["return %1"]),
        Case("bool[3] f64[3]", lambda c, x: op("where", op("logical_not", c), x, 2.0), [
            "%3: f64[3] = where %0 2.0 %1", "return %3"]),
    ],
    "not_of_logic": [
        Case("f64[3] f64[3]", lambda x, y: op("logical_not", op("equal", x, y)), [
            "%2: bool[3] = not_equal %0 %1", "return %2"]),
        Case("f64[3] f64[3]", lambda x, y: op("logical_not", op("not_equal", x, y)), [
            "%2: bool[3] = equal %0 %1", "return %2"]),
        Case("bool[3]", lambda x: op("logical_not", op("logical_not", x)), ["return %0"]),
        Case("f64[3] f64[3]", lambda x, y: op("logical_not", op("less", x, y)), [
            "%2: bool[3] = less %0 %1", "%3: bool[3] = logical_not %2", "return %3"]),
    ],
    "cast_to_same": [Case("f64[3]", lambda x: op("cast", x, dtype=np.dtype("f8")), ["return %0"])],
    "cast_twice": [
        Case("f32[3]", lambda x: op("cast", op("cast", x, dtype=np.dtype("f8")), dtype=np.dtype("f2")), [
            "%1: f16[3] = cast %0 dtype=f16", "return %1"]),
        Case("f64[3]", lambda x: op("cast", op("cast", x, dtype=np.dtype("f4")), dtype=np.dtype("f8")), [
            "%1: f32[3] = cast %0 dtype=f32", "%2: f64[3] = cast %1 dtype=f64", "return %2"]),
        Case("i64[3]", lambda x: op("cast", op("cast", x, dtype=np.dtype("f8")), dtype=np.dtype("f4")), [
            "%1: f64[3] = cast %0 dtype=f64", "%2: f32[3] = cast %1 dtype=f32", "return %2"]),
    ],
    "cast_before_broadcasting": [
        Case("f32[3]", lambda x: op("cast", op("broadcast_to", x, shape=(2, 3)), dtype=np.dtype("f8")), [
            "%1: f64[3] = cast %0 dtype=f64", "%2: f64[2,3] = broadcast_to %1 shape=(2, 3)", "return %2"])],
    "pass_on": [Case("f64[3]", lambda x: op("stop_gradient", x), ["return %0"])],
    "shape_it_has": [Case("f64[3]", lambda x: op("broadcast_to", op("reshape", x, shape=(3,)), shape=(3,)), [
        "return %0"])],
    "one_value": [
        Case("f64[]", lambda x: op("reshape", op("broadcast_to", x, shape=(2, 3)), shape=(6,)), [
            "%1: f64[6] = broadcast_to %0 shape=(6,)", "return %1"]),
        Case("f64[]", lambda x: op("index", op("broadcast_to", x, shape=(2, 3)), key=(1, (0, 2, 1))), [
            "%1: f64[2] = broadcast_to %0 shape=(2,)", "return %1"]),
    ],
    "reshape_twice": [Case("f64[2,3]", lambda x: op("reshape", op("reshape", x, shape=(6,)), shape=(3, 2)), [
        "%1: f64[3,2] = reshape %0 shape=(3, 2)", "return %1"])],
    "transpose_twice": [
        Case("f64[2,3,4]", lambda x: op("transpose", op("transpose", x, axes=(1, 2, 0)), axes=(1, 0, 2)), [
            "%1: f64[4,3,2] = transpose %0 axes=(2, 1, 0)", "return %1"]),
        Case("f64[2,3]", lambda x: op("transpose", op("transpose", x, axes=(1, 0)), axes=(1, 0)), ["return %0"]),
    ],
    "transpose_of_ones": [Case("f64[2,1,3]", lambda x: op("transpose", x, axes=(1, 0, 2)), [
        "%1: f64[1,2,3] = reshape %0 shape=(1, 2, 3)", "return %1"])],
    "broadcast_twice": [
        Case("f64[3]", lambda x: op("broadcast_to", op("broadcast_to", x, shape=(2, 3)), shape=(4, 2, 3)), [
            "%1: f64[4,2,3] = broadcast_to %0 shape=(4, 2, 3)", "return %1"])],
    "broadcast_of_ones": [
        Case("f64[3]", lambda x: op("broadcast_to", op("reshape", x, shape=(1, 3)), shape=(2, 3)), [
            "%1: f64[2,3] = broadcast_to %0 shape=(2, 3)", "return %1"]),
        Case("f64[3]", lambda x: op("broadcast_to", op("reshape", x, shape=(3, 1)), shape=(3, 2)), [
            "%1: f64[3,1] = reshape %0 shape=(3, 1)", "%2: f64[3,2] = broadcast_to %1 shape=(3, 2)", "return %2"]),
    ],
    "read_all": [
        Case("f64[2,3]", lambda x: op("index", x, key=whole(2, 3)), ["return %0"]),
        Case("f64[2,1]", lambda x: op("index", x, key=(*whole(2), 0, None)), ["return %0"]),
        Case("f64[3]", lambda x: op("index", x, key=((2, None, -1),)), [
            "%1: f64[3] = index %0 key=((2, None, -1),)", "return %1"]),
    ],
    "write_all": [
        Case("f64[2]", lambda x: op("unindex", x, shape=(2, 1), key=(*whole(2), 0)), [
            "%1: f64[2,1] = reshape %0 shape=(2, 1)", "return %1"]),
        Case("f64[2,3] f64[3]", lambda x, part: op("update", x, part, key=whole(2, 3)), [
            "%2: f64[2,3] = broadcast_to %1 shape=(2, 3)", "return %2"]),
    ],
    "join_one": [
        Case("f64[3]", lambda x: op("concatenate", x, axis=0), ["return %0"]),
        Case("f64[3] f64[0] f64[1]", lambda x, y, z: op("concatenate", x, y, z, axis=0), [
            "%3: f64[4] = concatenate %0 %2 axis=0", "return %3"]),
    ],
    "drop_axes": [Case("f64[2,3]", lambda x: op("max", x, axes=(1,), keepdims=True), [
        "%1: f64[2] = max %0 axes=(1,) keepdims=False", "%2: f64[2,1] = reshape %1 shape=(2, 1)", "return %2"])],
    "reduce_one": [Case("f64[2,1,3]", lambda x: op("sum", x, axes=(1,), keepdims=False), [
        "%1: f64[2,3] = reshape %0 shape=(2, 3)", "return %1"], "zeros")],
    "reduce_ends": [
        Case("f64[2,3,4]", lambda x: op("max", x, axes=(0, 2), keepdims=False), [
            "%1: f64[3,2,4] = transpose %0 axes=(1, 0, 2)", "%2: f64[3] = max %1 axes=(1, 2) keepdims=False",
            "return %2"]),
        Case("f64[2,3,4]", lambda x: op("sum", x, axes=(1,), keepdims=False), [
            "%1: f64[3,2,4] = transpose %0 axes=(1, 0, 2)", "%2: f64[2,4] = sum %1 axes=(0,) keepdims=False",
            "return %2"], "close"),
    ],
    "reduce_rows_first": [
        Case("i64[2,8,32768]", lambda x: op("sum", x, axes=(0, 1, 2), keepdims=False), [
            "%1: i64[2,8] = sum %0 axes=(2,) keepdims=False", "%2: i64[] = sum %1 axes=(0, 1) keepdims=False",
            "return %2"]),
        Case("f32[2048,256]", lambda x: op("max", x, axes=(0, 1), keepdims=False), [
            "%1: f32[2048] = max %0 axes=(1,) keepdims=False", "%2: f32[] = max %1 axes=(0,) keepdims=False",
            "return %2"], "zeros"),
    ],
    "widen_first": [Case("bool[4]", lambda x: op("sum", x, axes=(0,), keepdims=False), [
        "%1: i64[4] = cast %0 dtype=i64", "%2: i64[] = sum %1 axes=(0,) keepdims=False", "return %2"])],
    "length": [Case("f64[4]", lambda x: op("norm", x, axes=(0,), keepdims=False), [
        "%1: f64[4] = mul %0 %0", "%2: f64[] = sum %1 axes=(0,) keepdims=False", "%3: f64[] = sqrt %2", "return %3"])],
    "extreme_of_bools": [Case("bool[4]", lambda x: op("max", x, axes=(0,), keepdims=False), [
        "%1: bool[] = any %0 axes=(0,) keepdims=False", "return %1"])],
    "first_extreme": [
        Case("f64[2,3]", lambda x: op("argmax", x, axis=1), [
            "%1: f64[2,1] = max %0 axes=(1,) keepdims=True", "%2: bool[2,3] = equal %0 %1",
            "%3: bool[2,3] = isnan %0", "%4: bool[2,3] = logical_or %2 %3", "%6: i32[3] = constant [0, 1, 2]",
            "%7: i32[2,3] = where %4 %6 3", "%8: i32[2] = min %7 axes=(1,) keepdims=False",
            "%9: i64[2] = cast %8 dtype=i64", "return %9"]),
        Case("i64[2,3]", lambda x: op("argmin", x, axis=0), []),
        Case("f64[9,2]", lambda x: op("argmax", x, axis=0), []),
        Case("f64[13]", lambda x: op("argmin", x, axis=0), []),
    ],
    "order_of_few": [
        Case("f64[2,5]", lambda x: op("argsort", x, axis=1), []),
        Case("i64[5,2]", lambda x: op("argsort", x, axis=0), []),
        Case("bool[7]", lambda x: op("argsort", x, axis=0), []),
        Case("f64[65]", lambda x: op("argsort", x, axis=0), ["%1: i64[65] = argsort %0 axis=0", "return %1"]),
    ],
    "gather_from_rows": [Case("f64[3,4]", lambda x: op(
        "gather", op("exp", x), x.builder.constant(np.arange(3)[:, None]), x.builder.constant(
            np.array([[1], [-1], [0]]))), [])],
    "scatter_to_rows": [Case("f64[3,1] i64[3,1]", lambda y, j: op(
        "scatter_add", op("broadcast_to", y.builder.constant(0.0), shape=(3, 5)), y,
        y.builder.constant(np.arange(3)[:, None]), j), [
            "%3: i32[1,5] = constant [0, 1, 2, 3, 4]", "%5: bool[3,1] = less %1 0", "%7: i64[3,1] = add %1 5",
            "%8: i64[3,1] = where %5 %7 %1", "%9: i32[3,1] = cast %8 dtype=i32", "%10: bool[3,5] = equal %9 %3",
            "%11: f64[3,5] = where %10 %0 0.0", "return %11"], "zeros")],
    "wide_indices": [Case("f64[3] i8[2]", lambda x, i: op("gather", x, op("abs", op("sign", i))), [
        "%4: i64[2] = cast %3 dtype=i64", "%5: f64[2] = gather %0 %4", "return %5"])],
    "outer_product": [Case("f64[3,1] f64[1,2]", lambda x, y: op("matmul", x, y), [
        "%2: f64[3,2] = mul %0 %1", "return %2"], "zeros")],
    "whole_number_product": [
        Case("i64[2,3] i64[3,4]", lambda x, y: op("matmul", x, y), [
            "%2: i64[2,1,3] = reshape %0 shape=(2, 1, 3)", "%3: i64[4,3] = transpose %1 axes=(1, 0)",
            "%4: i64[1,4,3] = reshape %3 shape=(1, 4, 3)", "%5: i64[2,4,3] = mul %2 %4",
            "%6: i64[2,4] = sum %5 axes=(2,) keepdims=False", "return %6"]),
        Case("i64[2,3] i64[3,9]", lambda x, y: op("matmul", x, y), [
            "%2: i64[3,2] = transpose %0 axes=(1, 0)", "%3: i64[3,2,1] = reshape %2 shape=(3, 2, 1)",
            "%4: i64[3,1,9] = reshape %1 shape=(3, 1, 9)", "%5: i64[3,2,9] = mul %3 %4",
            "%6: i64[2,9] = sum %5 axes=(0,) keepdims=False", "return %6"]),
        Case("i8[5,2,3] i8[3,4]", lambda x, y: op("matmul", x, y), []),
        Case("bool[2,3] bool[3,4]", lambda x, y: op("matmul", x, y), []),
    ],
    "halves_of_product": [
        Case("f64[8,1024] f64[1024,16]", lambda x, w: op("matmul", whole_numbers(x), whole_numbers(w)), [
            "%9: f64[8,2,512] = reshape %5 shape=(8, 2, 512)", "%10: f64[2,8,512] = transpose %9 axes=(1, 0, 2)",
            "%11: f64[2,512,16] = reshape %8 shape=(2, 512, 16)", "%12: f64[2,8,16] = matmul %10 %11",
            "%13: f64[8,16] = index %12 key=(0, (0, 8, 1), (0, 16, 1))",
            "%14: f64[8,16] = index %12 key=(1, (0, 8, 1), (0, 16, 1))", "%15: f64[8,16] = add %13 %14",
            "return %15"], "zeros"),
    ],
    "times_logarithm": [
        Case("f64[9] f64[9]", lambda x, y: op("xlogy", x, y), []),
        Case("f64[9] f64[9]", lambda x, y: op("xlog1py", x, y), []),
    ],
    "log_odds": [Case("f64[12]", lambda x: op("logit", x), [])],
    "sign_bit": [Case("f64[12]", lambda x: op("signbit", x), [])],
}  # fmt: skip

RULES = {
    rule.__name__: rule
    for rule in (
        *(r for rules in (*rewrites.TABLE.values(), *expansions.EXPANSIONS.values()) for r in rules),
        rewrites.constant_last, rewrites.before_broadcasting,
    )
}  # fmt: skip


def test_every_rewrite_has_a_case() -> None:
    assert sorted(CASES) == sorted(RULES)
    for name, rule in RULES.items():
        assert "→" in (rule.__doc__ or ""), name


def product_of(x: Any, w: Any) -> Any:
    return op("matmul", x, w)


@pytest.mark.parametrize(("shapes", "f"), [
    ("f64[8,1022] f64[1022,16]", product_of),  # a W that is quick to fetch
    ("f64[8,1025] f64[1025,16]", product_of),  # no halves
    ("f64[7,1024] f64[1024,16]", product_of),  # few rows
    ("f64[300,256] f64[256,300]", product_of),  # more rows of x than of W
    ("f64[1024,8] f64[1024,16]", lambda x, d: op("matmul", op("transpose", x, axes=(1, 0)), d)),  # the gradient of W
    ("f64[8,1024] f64[16,1024]", lambda d, w: op("matmul", d, op("transpose", w, axes=(1, 0)))),  # the gradient of x
    ("f64[2,8,1024] f64[2,1024,16]", product_of),
    ("c128[8,1024] c128[1024,16]", product_of),
])  # fmt: skip
def test_other_products_stay_whole(shapes: str, f: Callable[..., Any]) -> None:
    graph = graph_of(shapes, f)
    assert simplify(graph, {"matmul": (expansions.halves_of_product,)}) == graph


def same(found: Any, wanted: Any, exact: str = "bits") -> None:
    """Equal arrays: to the bit (NaN is NaN), to the bit but for the sign of zeros, or closely."""
    found, wanted = np.asarray(found), np.asarray(wanted)
    assert found.dtype == wanted.dtype
    assert found.shape == wanted.shape
    if exact == "close":
        np.testing.assert_allclose(found, wanted, rtol=1e-15)
        return
    np.testing.assert_array_equal(found, wanted)
    if wanted.dtype.kind == "f" and exact == "bits":
        known = ~np.isnan(wanted)
        np.testing.assert_array_equal(np.signbit(found)[known], np.signbit(wanted)[known])


@pytest.mark.parametrize(("name", "number"), [(name, i) for name, cases in CASES.items() for i in range(len(cases))])
def test_each_rewrite_alone(name: str, number: int) -> None:
    case = CASES[name][number]
    graph = graph_of(case.inputs, case.f)
    table = {n: tuple(r for r in rules if r.__name__ == name) for n, rules in ALL.items()}
    found = simplify(graph, table)
    check(found)
    if case.after:
        shown = rows(found)
        assert all(row in shown for row in case.after), shown
        assert shown[-1] == case.after[-1] or not case.after[-1].startswith("return"), shown
    else:
        assert found != graph
    for seed in range(20):
        args = [sample(spec, seed * 10 + i) for i, spec in enumerate(graph.input_specs)]
        for a, b in zip(run_plan(found, list(args)), run_plan(graph, list(args)), strict=True):
            same(a, b, case.exact)


def agree(graph: Graph, args: list[Any], tolerance: float = 0.0) -> Graph:
    """Simplify and evaluate: the same types, names and values; what is simple stays as it is."""
    found = simplify(graph)
    check(found)
    assert found.input_specs == graph.input_specs
    assert found.output_specs == graph.output_specs
    assert [found.input_name(i) for i in range(graph.inputs)] == [graph.input_name(i) for i in range(graph.inputs)]
    assert simplify(found) == found
    for a, b in zip(run_plan(found, list(args)), run_plan(graph, list(args)), strict=True):
        wanted = np.asarray(b)
        assert np.asarray(a).dtype == wanted.dtype
        assert np.shape(a) == wanted.shape
        if wanted.dtype.kind not in "fc":
            np.testing.assert_array_equal(a, wanted)
            continue
        rel = tolerance or (1e-15 if wanted.dtype.itemsize == 8 else 1e-6)
        largest = float(np.abs(wanted[np.isfinite(wanted)]).max(initial=1e-30))
        np.testing.assert_allclose(a, wanted, rtol=rel, atol=rel * largest)
    return found


@pytest.mark.parametrize("name", [n for n in sorted(CATALOGUE) if not is_plumbing(n)])
def test_every_op_keeps_its_values(name: str) -> None:
    recorded = CATALOGUE[name]
    samples = [*SAMPLES.get(name, []), *(pointwise_samples(recorded) if isinstance(recorded, Pointwise) else [])]
    for row in samples:
        args = [np.asarray(a) for a in row.args]
        agree(laws.graph_of(recorded, args, row.attrs), args, 1e-12)


@pytest.mark.parametrize("seed", range(25))
def test_random_programs_keep_their_values(seed: int) -> None:
    program = random_program(seed)
    agree(program.graph, program.args, 2e-3 if any(a.dtype == np.float32 for a in program.args) else 1e-9)


def training_step() -> tuple[Graph, list[Any]]:
    rng = np.random.default_rng(0)
    model = cr.nn.MLP.init((6, 9, 4), rng=rng)
    optimizer = cr.optim.chain(cr.optim.clip_by_global_norm(1.0), cr.optim.adam(1e-3))
    x, y = rng.normal(size=(5, 6)).astype(np.float32), rng.integers(0, 4, 5)

    def step(model: Any, state: Any, x: Any, y: Any) -> Any:
        value, gradient = cr.value_and_grad(lambda model: cr.nn.cross_entropy(model(x), y))(model)
        updates, state = optimizer.update(gradient, state, model)
        return cr.optim.apply_updates(model, updates), state, value, cr.nn.accuracy(model(x), y)

    flat, structure = trees.flatten((model, optimizer.init(model), x, y))
    flat = [np.asarray(a) for a in flat]
    return cr.trace(lambda *leaves: step(*trees.unflatten(structure, leaves)))(*flat), flat


def test_a_training_step() -> None:
    graph, args = training_step()
    found = agree(graph, args, 1e-5)
    names = {line.op.name for line in found.lines}
    assert not names & {"argmax", "gather", "scatter_add", "unindex", "norm", "stop_gradient"}
    backward = [line for line in found.lines if line.of is not None]
    assert len(backward) > 10
    assert all(line.source is not None for line in backward if line.op.name != "constant")


def test_indices_counted_from_the_front_already() -> None:
    graph = cr.trace(lambda x, y: cr.grad(cr.nn.cross_entropy)(x, y))(np.ones((3, 5)), np.arange(3))
    assert sum(line.op.name == "less" for line in agree(graph, [np.eye(3, 5), np.array([4, -1, 0])]).lines) == 1


def test_an_error_of_constants_is_left_to_the_run() -> None:
    graph = graph_of("i64[2]", lambda x: op("add", x, op("pow", x.builder.constant(2), x.builder.constant(-1))))
    assert "pow" in {line.op.name for line in simplify(graph).lines}


def test_walls_around_inner_graphs() -> None:
    @cr.custom_vjp
    def square(x: Any) -> Any:
        return x * x

    square.defvjp(lambda x: (square(x), x), lambda x, ct: (2 * x * ct,))
    x = np.arange(3.0)

    def f(x: Any) -> Any:
        inner = cr.checkpoint(lambda x: np.tanh(x) + 1)(x)
        chosen = cr.cond(np.bool_(True), lambda x: x + 2, lambda x: x * 0, x)
        return square(inner) + chosen

    graph = cr.trace(f)(x)
    assert {"call", "custom_vjp"} <= {line.op.name for line in graph.lines}
    assert {line.op.name for line in agree(graph, [x]).lines} == {"input", "constant", "tanh", "add", "mul"}


def test_a_checkpoint_still_computes_again() -> None:
    gradient = cr.grad(lambda x: np.sum(cr.checkpoint(lambda x: np.tanh(x) ** 2)(x) ** 2))
    x = np.arange(3.0)
    found = agree(cr.trace(gradient)(x), [x], 1e-14)
    assert [line.op.name for line in found.lines if line.op.name in ("tanh", "call")] == ["tanh", "call"]
    (inner,) = [dict(line.attrs)["graph"] for line in found.lines if line.op.name == "call"]
    assert "tanh" in {line.op.name for line in inner.lines}


def test_the_graphs_of_loops_and_branches() -> None:
    def f(x: Any) -> Any:
        out, _ = cr.scan(lambda c, x: (c * 1.0 + x**2, None), x[0] * 0.5, x)
        out = cr.while_loop(lambda v: v[0] ** 2 < 100, lambda v: v / 0.5, out)
        return cr.cond(out[0] > 3, lambda v: np.negative(-v), lambda v: v**1, out)

    x = np.ones((3, 2))
    found = agree(cr.trace(f)(x), [x])
    for name, inner in (("scan", "body"), ("while_loop", "test"), ("while_loop", "body")):
        (line,) = [line for line in found.lines if line.op.name == name]
        ops = {line.op.name for line in dict(line.attrs)[inner].lines}
        assert not ops & {"pow", "div"}, ops
    (line,) = [line for line in found.lines if line.op.name == "cond"]
    assert all(len(dict(line.attrs)[branch]) == 1 for branch in ("if_true", "if_false"))


def test_what_is_not_simplified() -> None:
    """NaN and infinity decide these, or the sign of a zero."""
    for f in (lambda x: op("mul", x, 0.0), lambda x: op("sub", x, x), lambda x: op("div", x, x),
              lambda x: op("add", x, 0.0), lambda x: op("sub", 0.0, x), lambda x: op("less", x, x)):  # fmt: skip
        graph = graph_of("f64[12]", f)
        assert simplify(graph) == graph


def test_equal_graphs_are_simplified_once(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Graph] = []
    real = module._Pass._written

    def counted(self: Any, graph: Graph) -> Graph:
        seen.append(graph)
        return real(self, graph)

    monkeypatch.setattr(module._Pass, "_written", counted)
    x = np.ones((3, 2))
    simplify(cr.trace(lambda x: [cr.scan(lambda c, v: (c + v, None), x[i], x)[0] for i in range(3)])(x))
    assert len(seen) == 2


def test_what_is_known_in_every_step_of_a_loop_is_a_constant_of_its_body() -> None:
    table, rows = np.arange(12.0).reshape(4, 3), np.arange(4)[:, None]

    def f(x: Any) -> Any:
        out, ys = cr.scan(lambda c, v: (c + v * table, c[rows, rows % 3].sum() + x[0, 0]), x, np.arange(2.0))
        return cr.while_loop(lambda v: (v * table).sum() < 1e4, lambda v: v + table + x, out), ys

    x = np.full((4, 3), 0.5)
    graph = cr.trace(f)(x)
    found = simplify(graph)
    for name, count in (("scan", "consts"), ("while_loop", "test_consts"), ("while_loop", "body_consts")):
        before, after = (next(dict(li.attrs) for li in g.lines if li.op.name == name)[count] for g in (graph, found))
        assert after < before
        assert after == (0 if count == "test_consts" else 1)  # x is not known
    for a, b in zip(run_plan(found, [x]), run_plan(graph, [x]), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_long_chain() -> None:
    def chain(x: Any) -> Any:
        for _ in range(3000):
            x = op("add", op("mul", x, 1.0), x)
        return x

    graph = graph_of("f64[]", chain)
    assert len(simplify(graph)) == 3001
