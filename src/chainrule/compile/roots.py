"""√x in float32 from the estimate of 1/√x that some targets have: the same bits as the instruction, in half its time.

The instruction shares one slow unit with division, which is what Adam's m/(√v + ε) waits for.  From y ≈ 1/√x, g = x·y
≈ √x and h = y/2 are made twice as long by r = 1/2 − g·h; the rest x − g², which a fused multiply-add gives without
rounding, then corrects g to the number nearest to √x (Markstein 1990, "Computation of elementary functions on the IBM
RISC System/6000 processor").  All mantissas were tried, for even and for odd exponents.

Numbers whose rest might be too small for a normal number, 0, infinity, NaN and negative numbers are left to the
instruction: a register that has one of them among its lanes takes it, as do narrower vectors and single numbers.
Does not do: float64, where one more step costs what the estimate saves.
"""

from __future__ import annotations

from collections.abc import Sequence

LANES = 16
_PURE = "nounwind willreturn memory(none)"
_WIDTHS = (2, 4, 8, LANES)
_LEAST = (127 - 100) << 23  # the bits of 2^-100
_INFINITE = 0x7F800000

FORMS = tuple(f"@cr.root.f32.x{n}" for n in _WIDTHS)
"""Functions that only the vectoriser calls."""


def definition(estimate: Sequence[str]) -> str:
    """LLVM text of ``@cr.sqrt.f32`` with its vector forms, for a target's ``estimate``."""
    forms = ",".join(f"_ZGV_LLVM_N{n}v_cr.root.f32(cr.root.f32.x{n})" for n in _WIDTHS)
    plain = "\n\n".join(
        f"""define internal <{n} x float> @cr.root.f32.x{n}(<{n} x float> %x) alwaysinline {_PURE} {{
  %s = call <{n} x float> @llvm.sqrt.v{n}f32(<{n} x float> %x)
  ret <{n} x float> %s
}}"""
        for n in _WIDTHS[:-1]
    )
    v, whole = f"<{LANES} x float>", f"<{LANES} x i32>"
    fma = f"call {v} @llvm.fma.v{LANES}f32"
    lines = "\n  ".join(estimate)
    return f"""define internal float @cr.sqrt.f32(float %x) alwaysinline {_PURE} {{
  %s = call float @cr.root.f32(float %x) {_PURE} "vector-function-abi-variant"="{forms}"
  ret float %s
}}

define internal float @cr.root.f32(float %x) noinline {_PURE} {{
  %s = call float @llvm.sqrt.f32(float %x)
  ret float %s
}}

{plain}

define internal {v} @cr.root.f32.x{LANES}({v} %x) alwaysinline {_PURE} {{
  %bits = bitcast {v} %x to {whole}
  %above = sub {whole} %bits, splat (i32 {_LEAST})
  %odd = icmp uge {whole} %above, splat (i32 {_INFINITE - _LEAST})
  %some = call i1 @llvm.vector.reduce.or.v{LANES}i1(<{LANES} x i1> %odd)
  %any = call i1 @llvm.expect.i1(i1 %some, i1 false)
  br i1 %any, label %instruction, label %estimate
instruction:
  %exact = call {v} @llvm.sqrt.v{LANES}f32({v} %x)
  ret {v} %exact
estimate:
  {lines}
  %g = fmul {v} %x, %y
  %h = fmul {v} %y, splat (float 0.5)
  %less.h = fneg {v} %h
  %r = {fma}({v} %less.h, {v} %g, {v} splat (float 0.5))
  %g.more = {fma}({v} %g, {v} %r, {v} %g)
  %h.more = {fma}({v} %h, {v} %r, {v} %h)
  %less.g = fneg {v} %g.more
  %rest = {fma}({v} %less.g, {v} %g.more, {v} %x)
  %s = {fma}({v} %rest, {v} %h.more, {v} %g.more)
  ret {v} %s
}}"""
