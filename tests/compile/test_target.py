"""The target description, and LLVM behind ``engine``: text in, object code, functions out; damage is noticed."""

from __future__ import annotations

import ctypes
import dataclasses
import re
import threading
from pathlib import Path

import numpy as np
import pytest

from chainrule.base.errors import OptionError
from chainrule.compile import engine
from chainrule.compile.target import Caches, Target, _caches, host, neon

ADD = "define i64 @add(i64 %a, i64 %b) {\n  %c = add i64 %a, %b\n  ret i64 %c\n}\n"

SCALE = """
define void @scale(ptr noalias %o, ptr noalias %a, i64 %n) ATTRIBUTES {
entry:
  br label %loop
loop:
  %i = phi i64 [ 0, %entry ], [ %next, %loop ]
  %p = getelementptr float, ptr %a, i64 %i
  %x = load float, ptr %p
  %y = fmul float %x, 3.0
  %q = getelementptr float, ptr %o, i64 %i
  store float %y, ptr %q
  %next = add i64 %i, 1
  %done = icmp eq i64 %next, %n
  br i1 %done, label %out, label %loop
out:
  ret void
}
"""


def forced(monkeypatch: pytest.MonkeyPatch, name: str) -> Target:
    monkeypatch.setenv("CHAINRULE_TARGET", name)
    try:
        return host()
    except OptionError as error:
        pytest.skip(error.problem)


def test_host_is_described() -> None:
    target = host()
    assert target.vector_bits in (128, 256, 512)
    assert target.lanes("float32") * 32 == target.lanes("float64") * 64 == target.vector_bits
    # accumulators, one row of B and a broadcast fit the registers
    assert 4 << 10 <= target.caches.l1 < target.caches.l2 < target.caches.l3
    assert target.cores >= 1
    assert host() is target


@pytest.mark.parametrize(("name", "bits", "fma"), [("avx512", 512, True), ("avx2", 256, True), ("generic", 128, False)])
def test_environment_forces_a_target(monkeypatch: pytest.MonkeyPatch, name: str, bits: int, fma: bool) -> None:
    target = forced(monkeypatch, name)
    assert (target.vector_bits, target.fma) == (bits, fma)
    library = engine.load(engine.compile_object(SCALE.replace("ATTRIBUTES", target.attributes), target), target)
    scale = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)(library.address("scale"))
    x = np.arange(37, dtype=np.float32)
    out = np.empty_like(x)
    scale(out.ctypes.data, x.ctypes.data, 37)
    assert (out == 3 * x).all()


@pytest.mark.parametrize(("name", "register"), [("avx512", "zmm"), ("avx2", "ymm"), ("generic", "xmm")])
def test_loops_use_the_whole_vector(monkeypatch: pytest.MonkeyPatch, name: str, register: str) -> None:
    target = forced(monkeypatch, name)
    text = SCALE.replace("ATTRIBUTES", target.attributes)
    assert f"fmul <{target.lanes('float32')} x float>" in engine.optimise(text, target)
    assert re.search(rf"mulps.*%{register}", engine.assembly(text, target))


def test_unknown_target_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHAINRULE_TARGET", "sse9")
    with pytest.raises(OptionError) as caught:
        host()
    assert str(caught.value) == (
        "unknown value for CHAINRULE_TARGET\n  expected: one of: avx512, avx2, generic\n  got: 'sse9'\n"
        "  where: the environment\n  what to do: pass CHAINRULE_TARGET one of the values listed"
    )


def test_a_target_the_host_lacks_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from chainrule.compile import target as module

    module._host.cache_clear()
    monkeypatch.setattr(module, "_host_features", lambda: frozenset({"sse2"}))
    monkeypatch.setenv("CHAINRULE_TARGET", "avx512")
    try:
        with pytest.raises(OptionError, match="this machine can't run CHAINRULE_TARGET=avx512") as caught:
            host()
    finally:
        module._host.cache_clear()
    assert "unset CHAINRULE_TARGET" in str(caught.value)


def test_a_host_without_avx2_is_described(monkeypatch: pytest.MonkeyPatch) -> None:
    from chainrule.compile import target as module

    if host().name not in ("avx512", "avx2", "sse2"):
        pytest.skip("x86 only")
    module._host.cache_clear()
    monkeypatch.setattr(module, "_host_features", lambda: frozenset({"sse2", "avx"}))
    monkeypatch.delenv("CHAINRULE_TARGET", raising=False)
    try:
        assert (host().name, host().vector_bits, host().fma) == ("sse2", 128, False)
    finally:
        module._host.cache_clear()


def test_unknown_dtype_has_no_lanes() -> None:
    with pytest.raises(OptionError, match="unknown value for dtype"):
        host().lanes("complex64")


def test_neon_is_built_and_checked_as_text() -> None:
    target = neon()
    text = SCALE.replace("ATTRIBUTES", target.attributes)
    assert "fmul <4 x float>" in engine.optimise(text, target)
    assert re.search(r"fmul\s+v\d+\.4s", engine.assembly(text, target))
    mode = "\n  ".join((*target.mode.enter, *target.pause, *target.mode.leave))
    assembly = engine.assembly(f"define void @f() {{\n  {mode}\n  ret void\n}}\n", target)
    assert assembly.count("FPCR") >= 3
    assert "yield" in assembly


def test_mode_flushes_and_comes_back() -> None:
    mode = host().mode
    text = (
        "define void @multiply(ptr %o, ptr %a) noinline {\n  %x = load float, ptr %a\n  %y = fmul float %x, 0.5\n"
        "  store float %y, ptr %o\n  ret void\n}\n"
        "define void @f(ptr %o, ptr %a) {\n  " + "\n  ".join(mode.enter) + "\n  call void @multiply(ptr %o, ptr %a)\n  "
        + "\n  ".join(mode.leave) + "\n  ret void\n}\n"
    )  # fmt: skip
    library = engine.load(engine.compile_object(text))
    tiny = np.array([np.finfo(np.float32).tiny], np.float32)
    out = np.array([1.0], np.float32)
    ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)(library.address("f"))(out.ctypes.data, tiny.ctypes.data)
    assert out[0] == 0
    ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)(library.address("multiply"))(
        out.ctypes.data, tiny.ctypes.data
    )
    assert out[0] > 0


def test_cache_sizes_are_read(tmp_path: Path) -> None:
    for number, (level, kind, size) in enumerate([(1, "Data", "48K"), (1, "Instruction", "32K"), (2, "Unified", "2M")]):
        folder = tmp_path / f"index{number}"
        folder.mkdir()
        for name, value in (("level", level), ("type", kind), ("size", size)):
            (folder / name).write_text(f"{value}\n")
    (tmp_path / "index9").mkdir()
    assert _caches(tmp_path) == Caches(48 << 10, 2 << 20, Caches().l3)
    (tmp_path / "index2" / "size").write_text("lots\n")
    assert _caches(tmp_path) == Caches(l1=48 << 10)
    assert _caches(tmp_path / "absent") == Caches()


def test_object_code_is_reproducible_and_loads() -> None:
    code = engine.compile_object(ADD)
    assert code == engine.compile_object(ADD)
    library = engine.load(code)
    addresses = library.addresses(["add"])
    assert ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64, ctypes.c_int64)(addresses["add"])(40, 2) == 42


def test_fingerprint_names_versions_and_target() -> None:
    text = engine.fingerprint()
    assert re.match(r"llvm \d+\.\d+\.\d+; llvmlite \d+\.", text)
    assert host().triple in text
    assert engine.fingerprint(neon()) != text
    assert engine.fingerprint(dataclasses.replace(host(), cpu="other")) != text


def test_threads_may_compile_at_once() -> None:
    found: list[int] = []

    def work(number: int) -> None:
        text = ADD.replace("add i64 %a, %b", f"add i64 %a, {number}")
        library = engine.load(engine.compile_object(text))
        function = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64, ctypes.c_int64)(library.address("add"))
        found.append(function(0, 0))

    threads = [threading.Thread(target=work, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == list(range(6))


def test_parse_errors_show_the_lines() -> None:
    with pytest.raises(engine.CompileError) as caught:
        engine.verify(ADD.replace("ret i64 %c", "ret i32 %c"))
    text = str(caught.value)
    assert text.startswith("LLVM does not accept the text written for it\n  expected: a well-formed module\n")
    assert ">     3 |   ret i32 %c" in text
    assert "      2 |   %c = add i64 %a, %b" in text


def test_verifier_errors_show_the_lines() -> None:
    with pytest.raises(engine.CompileError) as caught:
        engine.optimise(ADD.replace("add i64 %a, %b", "add i64 %d, 1\n  %d = add i64 %a, 2"))
    assert ">     2 |   %c = add i64 %d, 1" in str(caught.value)
    assert "does not dominate all uses" in str(caught.value)


@pytest.mark.parametrize(
    "damage", [lambda c: c[:-1], lambda c: c[:200] + b"?" + c[201:], lambda c: b"", lambda c: b"x" * 99]
)
def test_damaged_object_code_is_refused(damage: object) -> None:
    code = engine.compile_object(ADD)
    with pytest.raises(engine.CompileError, match="these bytes are not whole object code") as caught:
        engine.load(damage(code))  # type: ignore[operator]
    assert "what to do: compile anew" in str(caught.value)


def test_missing_function_is_named() -> None:
    with pytest.raises(engine.CompileError, match="no such function in the library") as caught:
        engine.load(engine.compile_object(ADD)).address("subtract")
    assert "got: subtract" in str(caught.value)


def test_unknown_level_is_refused() -> None:
    with pytest.raises(OptionError, match="expected: 0, 1, 2 or 3"):
        engine.compile_object(ADD, level=9)
