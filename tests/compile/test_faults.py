"""Faults around the compiler: an old CPU, no llvmlite, a cache that is damaged, shared, full or forbidden."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("llvmlite")

from perturbation import bounds, difference
from random_programs import random_program
from test_programs import training_step

import chainrule as cr
from chainrule.base.errors import UnsupportedError
from chainrule.compile import cache, engine
from chainrule.compile.cache import CacheWarning
from chainrule.compile.target import host
from chainrule.graph.graph import Graph
from chainrule.run.program import compile_graph, program_text


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder for object code."""
    monkeypatch.setenv("CHAINRULE_CACHE", str(tmp_path / "objects"))
    return tmp_path / "objects"


def agree(graph: Graph, args: list[Any]) -> None:
    for found, bound in zip(compile_graph(graph)(args), bounds(graph, args), strict=True):
        assert not difference(found, bound), difference(found, bound)


# ------------------------------------------------------------------------------------------------------------- targets


@pytest.mark.parametrize("name", ["generic", "avx2"])
def test_a_cpu_without_wide_vectors(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    registers = {"generic": {"xmm"}, "avx2": {"xmm", "ymm"}, "avx512": {"xmm", "ymm", "zmm"}}
    if host().name not in registers or (name == "avx2" and host().name == "sse2"):
        pytest.skip(f"this machine is {host().name}")
    monkeypatch.setenv("CHAINRULE_TARGET", name)
    assert host().name == {"generic": "sse2", "avx2": "avx2"}[name]
    graph, args = training_step((20, 33, 7), 13)
    agree(graph, args)
    for seed in (3, 8):
        agree(*random_program(seed, 30)[:2])
    softmax = cr.trace(lambda x: np.exp(x) @ x.T)(np.ones((30, 40), np.float32))
    assembly = engine.assembly(program_text(compile_graph(softmax).plan), host())
    assert {r for r in ("xmm", "ymm", "zmm") if r in assembly} == registers[name]


# ------------------------------------------------------------------------------------------------------------ llvmlite


def python(program: str, *args: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a program in a process of its own, with the settings of ``environment`` alone."""
    settings = {k: v for k, v in os.environ.items() if not k.startswith("CHAINRULE_")}
    return subprocess.run([sys.executable, "-W", "always", "-c", program, *args], env={**settings, **environment},
                          capture_output=True, text=True, timeout=120)  # fmt: skip


BLOCK = """
import importlib.abc, sys
class Block(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "llvmlite":
            raise {error}
sys.meta_path.insert(0, Block())
import numpy as np, chainrule as cr
"""


ERRORS = ("ImportError('No module named llvmlite')", "OSError('libllvmlite.so: bad ELF')")


@pytest.mark.parametrize("error", ERRORS)
def test_without_llvmlite_the_evaluator_runs_and_says_so_once(error: str) -> None:
    block = BLOCK.format(error=error)
    done = python(block + """
x = np.arange(4.0)
f = lambda x: np.sum(np.sin(x) ** 2)
for _ in range(2):
    print(cr.jit(cr.grad(f))(x).tolist() == cr.jit(cr.grad(f), backend="numpy")(x).tolist() == cr.grad(f)(x).tolist())
""")
    assert (done.returncode, done.stdout) == (0, "True\nTrue\n"), done.stderr
    (warning,) = (line for line in done.stderr.splitlines() if "Warning: " in line)
    assert "RuntimeWarning: llvmlite can't be imported (" in warning
    assert "jit runs functions with NumPy, which is slower" in warning
    assert "set CHAINRULE_JIT=numpy if this is meant" in warning
    silent = python(block + "print(cr.jit(np.cos)(0.0))", CHAINRULE_JIT="numpy")
    assert (silent.stdout, silent.stderr) == ("1.0\n", "")


@pytest.mark.parametrize("error", ERRORS)
def test_native_asked_for_without_llvmlite_says_what_is_missing(error: str) -> None:
    done = python(BLOCK.format(error=error) + """
try:
    cr.jit(np.sin, backend="native")(np.arange(4.0))
except NotImplementedError as error:
    print(type(error).__name__)
    print(error)
""")
    assert done.returncode == 0, done.stderr
    name, problem, _, got, fix = done.stdout.splitlines()
    assert (name, problem) == (UnsupportedError.__name__, "native code needs llvmlite")
    assert "libllvmlite.so" in got or "No module named llvmlite" in got
    assert "pip install --force-reinstall llvmlite, or jit(f, backend='numpy')" in fix


# --------------------------------------------------------------------------------------------------------------- cache


def plus(n: int) -> Graph:
    return cr.trace(lambda x: x + n)(np.zeros(4))


def run(n: int) -> None:
    np.testing.assert_array_equal(compile_graph(plus(n))([np.arange(4.0)])[0], np.arange(4.0) + n)


@pytest.fixture
def compiles(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The texts that are really compiled."""
    seen: list[str] = []
    real = cache.compile_object

    def counted(text: str, *args: Any) -> bytes:
        seen.append(text)
        return real(text, *args)

    monkeypatch.setattr(cache, "compile_object", counted)
    return seen


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "truncated": lambda b: b[: len(b) // 2],
    "empty": lambda b: b"",
    "one bit": lambda b: b[:-9] + bytes([b[-9] ^ 1]) + b[-8:],
    "longer": lambda b: b + b"x",
    "foreign": lambda b: b"\x7fELF" + bytes(2000),
    "a byte lost": lambda b: b[:50] + b[51:],
    "zeros": lambda b: bytes(len(b)),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_entry_is_built_anew(damage: str, folder: Path, compiles: list[str]) -> None:
    run(1)
    (entry,) = folder.glob("*.o")
    whole = entry.read_bytes()
    run(1)
    assert len(compiles) == 1
    entry.write_bytes(DAMAGES[damage](whole))
    run(1)
    assert len(compiles) == 2
    assert entry.read_bytes() == whole  # mended
    run(1)
    assert len(compiles) == 2


def test_an_entry_under_anothers_name_is_not_used(folder: Path, compiles: list[str]) -> None:
    run(1)
    (first,) = folder.glob("*.o")
    run(2)
    (second,) = set(folder.glob("*.o")) - {first}
    shutil.copy(first, second)
    run(2)
    assert len(compiles) == 3


def test_a_folder_that_can_only_be_read_is_used(
    folder: Path, compiles: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run(1)

    def refused(*args: Any, **named: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(cache.os, "utime", refused)
    monkeypatch.setattr(cache.tempfile, "mkstemp", refused)
    run(1)
    assert len(compiles) == 1
    with pytest.warns(CacheWarning, match="Permission denied"):
        run(2)


def test_a_folder_that_cannot_be_written_is_mentioned_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("CHAINRULE_CACHE", str(tmp_path / "file" / "objects"))
    with pytest.warns(CacheWarning) as caught:
        run(1)
    assert str(caught[0].message) == (
        f"compiled code can't be kept in {tmp_path}/file/objects (Not a directory): every process compiles anew; set "
        "CHAINRULE_CACHE to a folder that can be written, or to off"
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run(1)
        run(2)


def test_a_full_disk_leaves_no_half_files(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        def __init__(self, handle: int, mode: str) -> None:
            self.handle = handle

        def __enter__(self) -> Full:
            return self

        def __exit__(self, *error: Any) -> None:
            os.close(self.handle)

        def write(self, code: bytes) -> None:
            os.write(self.handle, code[:100])
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache.os, "fdopen", Full)
    with pytest.warns(CacheWarning, match="No space left on device"):
        run(1)
    assert list(folder.iterdir()) == []


def test_the_folder_is_bounded_and_the_longest_unused_go_first(folder: Path) -> None:
    for n in range(1, 5):
        run(n)
        for entry in folder.glob("*.o"):  # as if all were an hour old
            os.utime(entry, (entry.stat().st_atime, entry.stat().st_mtime - 3600))
    entries = sorted(folder.glob("*.o"), key=lambda e: e.stat().st_mtime)
    run(1)  # the oldest is used
    cache._shrink(folder, entries[0].stat().st_size + entries[3].stat().st_size)
    assert set(folder.glob("*.o")) == {entries[0], entries[3]}
    old, new = folder / "a.tmp", folder / "b.tmp"
    for file in (old, new):
        file.write_bytes(b"half")
    os.utime(old, (0, time.time() - 7200))
    cache._shrink(folder)
    assert not old.exists()  # its writer was killed
    assert new.exists()  # its writer may be at work


def test_two_processes_fill_one_folder_at_once(folder: Path) -> None:
    program = """
import numpy as np, chainrule as cr, sys, time
from chainrule.run.program import compile_graph
while time.time() < float(sys.argv[1]):
    pass
for n in range(6):
    graph = cr.trace(lambda x: np.exp(x) + n)(np.zeros(4))
    assert np.allclose(compile_graph(graph)([np.arange(4.0)])[0], np.exp(np.arange(4.0)) + n, rtol=1e-14)
print("done")
"""
    settings = {**os.environ, "CHAINRULE_CACHE": str(folder)}
    together = str(time.time() + 1.5)
    both = [subprocess.Popen([sys.executable, "-c", program, together], env=settings, text=True, stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE) for _ in range(2)]  # fmt: skip
    for process in both:
        out, error = process.communicate(timeout=120)
        assert out == "done\n", error
    assert len(list(folder.glob("*.o"))) == 6
    assert not list(folder.glob("*.tmp"))


def test_no_cache_when_it_is_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compiles: list[str]) -> None:
    monkeypatch.setenv("CHAINRULE_CACHE", "off")
    run(1)
    run(1)
    assert len(compiles) == 2
