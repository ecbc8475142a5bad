"""``chainrule explain``: the worked example, formats and files, Python targets, and every kind of bad input."""

from __future__ import annotations

import json
import pickle
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from conftest import Command

NEURON = "(relu(w*x + b) - y)**2"
AT = ("--at", "x=2,w=0.5,b=0,y=0")


def test_without_arguments_the_worked_example(chainrule: Command) -> None:
    ran = chainrule("explain")
    assert ran.code == 0
    assert ran.err == ""
    assert "∂L/∂w = ∂L/∂a·∂a/∂z·∂z/∂w = 2·1·2 = 4" in ran.out
    assert "w ← w − α·∂L/∂w = 0.5 − 0.1·4 = 0.1" in ran.out


def test_the_worked_example_at_its_optimum(chainrule: Command) -> None:
    ran = chainrule("explain", "--at", "y=1")
    assert "∂L/∂w = ∂L/∂a·∂a/∂z·∂z/∂w = 0·1·2 = 0" in ran.out
    assert "zero because a − y is 0" in ran.out


def test_an_expression_with_all_options(chainrule: Command) -> None:
    ran = chainrule("explain", NEURON, *AT, "--wrt", "w,b", "--lr", "0.5", "--paths", "-k", 3)
    assert ran.code == 0
    assert "w ← w − α·∂L/∂w = 0.5 − 0.5·4 = −1.5" in ran.out
    assert "L ← a ← z ← b:  2·1·1 = 2" in ran.out
    assert "∂L/∂x" not in ran.out


def test_formats_to_stdout(chainrule: Command) -> None:
    assert chainrule("explain", NEURON, *AT, "--format", "html").out.startswith("<!doctype html>")
    assert chainrule("explain", NEURON, *AT, "--format", "latex").out.startswith("\\documentclass")
    data = json.loads(chainrule("explain", NEURON, *AT, "--format", "json").out)
    assert data["gradients"]["w"]["values"] == 4.0


@pytest.mark.parametrize(
    ("name", "start"), [("e.html", "<!doctype"), ("e.tex", "\\documentclass"), ("e.json", "{"), ("e.txt", "(relu")]
)
def test_the_suffix_of_the_file_chooses_the_format(chainrule: Command, name: str, start: str) -> None:
    ran = chainrule("explain", NEURON, *AT, "--out", name)
    assert ran.code == 0
    assert ran.out == ""
    assert ran.err == f"the explanation is in {name}\n"
    assert Path(name).read_text(encoding="utf-8").startswith(start)
    assert [p.name for p in Path().iterdir()] == [name]


def test_matrices(chainrule: Command) -> None:
    ran = chainrule("explain", "sum((W@x)**2)", "--at", "W=[[1, 2],[3, -4]], x=[1, 0.5]", "--format", "json")
    gradient = json.loads(ran.out)["gradients"]["W"]["values"]
    assert gradient == [[4.0, 2.0], [2.0, 1.0]]


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module in the current folder with a function of a matrix, a vector and a number."""
    name = "explained_module"
    (tmp_path / f"{name}.py").write_text(
        "import numpy as np\n\n\ndef loss(W, x, scale=2.0):\n    hidden = np.tanh(W @ x)\n"
        "    return scale * np.sum(hidden**2)\n\n\ntable = 3\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, name, raising=False)
    return name


@pytest.mark.parametrize("suffix", ["npz", "json"])
def test_a_python_function_with_a_file_of_arguments(chainrule: Command, module: str, suffix: str) -> None:
    weight, x = np.array([[0.1, 0.2], [0.3, -0.4]]), np.array([1.0, -1.0])
    if suffix == "npz":
        np.savez("args.npz", W=weight, x=x)
    else:
        Path("args.json").write_text(json.dumps({"W": weight.tolist(), "x": x.tolist()}))
    ran = chainrule("explain", f"{module}:loss", "--args", f"args.{suffix}", "--at", "scale=1", "--wrt", "W",
                    "--format", "json")  # fmt: skip
    assert ran.code == 0, ran.err
    hidden = np.tanh(weight @ x)
    expected = np.outer(2 * hidden * (1 - hidden**2), x)
    assert np.allclose(json.loads(ran.out)["gradients"]["W"]["values"], expected)
    assert "hidden" in chainrule("explain", f"{module}:loss", "--args", f"args.{suffix}").out


BAD = [
    (("(foo(x) - y)**2", "--at", "x=1,y=2"), ["error: there is no function foo", "\n    (foo(x) - y)**2\n     ^^^\n"]),
    ((NEURON, "--at", "x=2,w=0.5,b=0"), ["error: y has no value", "                  ^\n", "what to do: add y=…"]),
    ((NEURON,), ["error: w has no value", "add w=…,x=…,b=…,y=…"]),
    ((NEURON, *AT, "--wrt", "q"), ["error: wrt names no argument", "one of w, x, b, y"]),
    (("x/0", "--at", "x=1"), ["error: division by zero", "\n    x/0\n    ^^^\n"]),
    (("x/y", "--at", "x=1,y=0"), ["error: division by zero", "inf from 1, 0"]),
    (("2*x", "--at", "x=[1,2]"), ["error: the result is not a single number", "shape (2,)", "sum(2*x)"]),
    (("x" * 1_000_000,), ["error: the expression is too long", "1,000,000 characters"]),
    (("x", "--at", "x" * 1_000_000), ["error: --at is too long"]),
    (("x", "--at", "x=1,x=2"), ["error: --at gives x twice", "--at, column 5"]),
    (("x", "--at", "x"), ["error: --at can't be read", "name=value"]),
    (("x", "--at", "x=y"), ["error: the value of x is not a number"]),
    (("x", "--at", "x=__import__('os')"), ["error: there is no function __import__"]),
    (("x", "--at", "x=1,y=2"), ["error: y is not in the expression"]),
    (("x", "--at", "x=1", "--format", "pdf"), ["error: unknown value for --format", "text, latex, html, json"]),
    (("x", "--at", "x=1", "--lr", "nan"), ["error: the learning rate is not a number"]),
    (("x", "--at", "x=1", "-k", "0"), ["error: k is not a number of paths"]),
    (("x", "--args", "nothing.npz"), ["error: there is no such file of arguments"]),
    (("nosuchmodule:f",), ["error: the module nosuchmodule can't be imported"]),
    (("math:nosuch",), ["error: math has no nosuch"]),
    (("math:pi",), ["error: pi is not a function"]),
    (("--at", "q=1"), ["error: q is not in the expression"]),
    (("relu(", "--at", "x=1"), ["error: the expression can't be read: '(' was never closed", "^"]),
]


@pytest.mark.parametrize(("words", "parts"), BAD, ids=[str(i) for i in range(len(BAD))])
def test_bad_input(chainrule: Command, words: tuple[str, ...], parts: list[str]) -> None:
    ran = chainrule("explain", *words)
    assert ran.code == 2
    assert ran.out == ""
    for part in parts:
        assert part in ran.err
    assert "what to do: " in ran.err
    assert len(ran.err) < 2000
    assert list(Path().iterdir()) == []


def test_functions_need_their_arguments(chainrule: Command, module: str) -> None:
    assert "error: x has no value" in chainrule("explain", f"{module}:loss", "--at", "W=[[1]]").err
    assert f"error: {module}:loss has no parameter z" in chainrule("explain", f"{module}:loss", "--at", "z=1").err
    assert "error: table is not a function" in chainrule("explain", f"{module}:table").err


class _Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (open, ("written_by_a_pickle", "w"))  # type: ignore[return-value]


def test_files_of_arguments_are_never_unpickled(chainrule: Command) -> None:
    np.savez("evil.npz", x=np.array([_Evil()], dtype=object))
    ran = chainrule("explain", "x", "--args", "evil.npz")
    assert ran.code == 2
    assert "error: the file of arguments can't be read" in ran.err
    Path("evil.json").write_bytes(pickle.dumps(_Evil()))
    assert "error: the file of arguments can't be read" in chainrule("explain", "x", "--args", "evil.json").err
    assert not Path("written_by_a_pickle").exists()


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.json", b"[1, 2]", "the JSON holds no names"),
        ("a.json", b'{"x": "one"}', "the argument x is not made of numbers"),
        ("a.json", b'{"x": [[1], [1, 2]]}', "can't be read"),
        ("a.json", b"[" * 100_000, "can't be read"),
        ("a.json", b"\xff\xfe", "can't be read"),
        ("a.npz", b"no archive", "can't be read"),
        ("a.csv", b"x\n1\n", "this is no file of arguments"),
    ],
)
def test_damaged_files_of_arguments(chainrule: Command, name: str, content: bytes, said: str) -> None:
    Path(name).write_bytes(content)
    ran = chainrule("explain", "x", "--args", name)
    assert ran.code == 2
    assert said in ran.err
    assert name in ran.err


def test_an_archive_that_swells_is_not_unpacked(chainrule: Command) -> None:
    with zipfile.ZipFile("bomb.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", bytes(250_000_000))
    ran = chainrule("explain", "x", "--args", "bomb.npz")
    assert ran.code == 2
    assert "the file of arguments is too large" in ran.err


def test_a_folder_that_is_not_there_loses_nothing(chainrule: Command) -> None:
    ran = chainrule("explain", NEURON, *AT, "--out", "no/such/folder/e.html")
    assert ran.code == 2
    assert "error: " in ran.err
