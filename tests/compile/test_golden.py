"""Loops and LLVM text of ten small graphs, word for word, and assembly for NEON, which no test can run here.

After a change that is meant to change them: ``pytest tests/compile/test_golden.py --update-golden``, then read the
difference before it is committed.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytest.importorskip("llvmlite")

from golden_graphs import GOLDEN

from chainrule.compile import engine
from chainrule.compile.compiler import make_plan
from chainrule.compile.stages import linked, stage_text
from chainrule.compile.target import named

FOLDER = Path(__file__).parent / "golden"
TARGET = "avx2"  # named, as the host's text differs from machine to machine
KINDS = {"loops.txt": "loops", "ll": "llvm"}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", GOLDEN)
def test_text_is_as_it_was(name: str, kind: str, request: pytest.FixtureRequest) -> None:
    path = FOLDER / f"{name}.{kind}"
    text = stage_text(GOLDEN[name].graph(), KINDS[kind], named(TARGET), full=True) + "\n"
    if request.config.getoption("--update-golden"):
        FOLDER.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8"), f"{path.name} changed: if it should, --update-golden"


def test_every_golden_file_is_one_of_these() -> None:
    assert {p.name for p in FOLDER.iterdir()} == {f"{name}.{kind}" for name in GOLDEN for kind in KINDS}


@pytest.mark.parametrize("name", GOLDEN)
@pytest.mark.parametrize("target", ["avx512", "avx2", "generic", "neon"])
def test_llvm_accepts_the_text_for_every_target(name: str, target: str) -> None:
    plan = make_plan(GOLDEN[name].graph(), named(target))
    engine.verify(linked(plan), named(target))


# ---------------------------------------------------------------------------------------------------------------- NEON


def neon(name: str) -> str:
    return stage_text(GOLDEN[name].graph(), "asm", named("neon"))


@pytest.mark.parametrize("name", ["softmax", "layer_norm", "dense", "adam", "column_sums", "running"])
def test_neon_computes_on_vectors_of_128_bits(name: str) -> None:
    text = neon(name)
    assert re.search(r"\bv\d+\.4s\b", text)
    assert "on 128-bit vectors" in text
    assert not re.search(r"%[xyz]mm", text)


def test_neon_products_are_fused_multiply_adds() -> None:
    text = neon("dense")
    assert re.search(r"\bfmla v\d+\.4s, v\d+\.4s, v\d+\.", text)


def test_neon_functions_are_inlined_vector_code() -> None:
    text = stage_text(GOLDEN["softmax"].graph(), "asm", named("neon"), kernel="0")
    assert not re.search(r"\bbl cr\.exp", text)
    assert re.search(r"\bfmla v\d+\.4s", text)


def test_neon_immediates_are_no_comments() -> None:
    # On x86 # begins a comment, on AArch64 a number.
    assert re.search(r"ldp\s.*, #\d+\]", neon("dense")) or re.search(r"str\s.*, #-?\d+\]!", neon("dense"))
    assert "//" not in neon("dense")


def test_neon_flushes_denormals_and_puts_the_mode_back() -> None:
    text = stage_text(GOLDEN["softmax"].graph(), "asm", named("neon"), full=True)
    assert re.search(r"mrs\s+x\d+, FPCR", text)
    assert len(re.findall(r"msr\s+FPCR, x\d+", text)) >= 2
