"""A folder imports only from folders above it; llvmlite stays in compile and run; importing chainrule is light."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import chainrule

ROOT = Path(chainrule.__file__).parent

ORDER: list[tuple[str, ...]] = [
    ("base",), ("ops",), ("graph",), ("trace",), ("transforms",), ("compile",), ("run",), ("jitted",), ("inspection",),
    ("api",), ("random",), ("nn",), ("optim",), ("data",), ("train",), ("explain",), ("diagnose",), ("play",), ("cli",),
]  # fmt: skip
RANK = {name: rank for rank, names in enumerate(ORDER) for name in names}

HEAVY = {
    "scipy", "sklearn", "matplotlib", "rich", "typer", "click", "torch", "jax", "pandas", "safetensors", "llvmlite",
    "tomli_w", "hypothesis", "pytest", "http", "ssl", "urllib.request", "starlette", "uvicorn", "websockets",
    "jsonschema",
}  # fmt: skip

FILES = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*.py"))


def imports(source: str, module: str) -> Iterator[tuple[int, str]]:
    """(line, dotted name) of every import in ``source``, wherever it stands, those in functions included."""
    package = module.split(".")
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level] + ([node.module] if node.module else []))
            name = base if node.level else node.module or ""
            for alias in node.names:
                yield node.lineno, f"{name}.{alias.name}"
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("importlib.import_module", "__import__"):
            first = node.args[0] if node.args else None
            yield node.lineno, first.value if isinstance(first, ast.Constant) else "?"


def part_of(name: str) -> str:
    """The folder or file directly under chainrule that a dotted name belongs to; "" for chainrule itself."""
    pieces = name.split(".")
    return pieces[1] if len(pieces) > 1 else ""


def complaints(file: str, source: str) -> list[str]:
    """What is wrong with the imports of ``file``, a path below the package."""
    here = file.split("/")[0].removesuffix(".py")
    if here in ("__init__", "__main__"):
        return []
    if here not in RANK:
        return [f"{file}: {here} has no place in the import order: add it to ORDER"]
    found = []
    module = "chainrule." + file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    if file.endswith("__init__.py"):
        module += ".__init__"
    for line, name in imports(source, module):
        top = name.split(".")[0]
        if top == "llvmlite" and here not in ("compile", "run"):
            found.append(f"{file}:{line}: only compile and run may import llvmlite")
        if top != "chainrule":
            continue
        part = part_of(name)
        if part not in RANK:
            if part != "__version__":
                found.append(f"{file}:{line}: {name}: import from the file it is in, not from the package")
        elif RANK[part] > RANK[here]:
            found.append(f"{file}:{line}: {here} imports {part}, which comes after it")
    return found


def test_every_folder_is_in_the_order() -> None:
    parts = {file.split("/")[0].removesuffix(".py") for file in FILES} - {"__init__", "__main__"}
    assert parts <= set(RANK), parts - set(RANK)


@pytest.mark.parametrize("file", FILES)
def test_imports_point_up(file: str) -> None:
    assert complaints(file, (ROOT / file).read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("file", "source", "words"),
    [
        ("base/trees.py", "import chainrule.ops.record", "base imports ops"),
        ("ops/record.py", "def f():\n    from chainrule.graph import text", "record.py:2: ops imports graph"),
        ("trace/symbol.py", "if TYPE_CHECKING:\n    from chainrule import api", "trace imports api"),
        ("trace/symbol.py", "from ..transforms import reverse", "trace imports transforms"),
        ("graph/__init__.py", "from ..transforms import reverse", "graph imports transforms"),
        ("nn/layers.py", "import importlib\nimportlib.import_module('chainrule.train')", "nn imports train"),
        ("nn/layers.py", "import chainrule as cr", "not from the package"),
        ("nn/layers.py", "from chainrule import grad", "not from the package"),
        ("nn/layers.py", "from llvmlite import ir", "only compile and run"),
        ("misc/new.py", "import os", "no place in the import order"),
    ],
)
def test_the_rule_catches(file: str, source: str, words: str) -> None:
    (found,) = complaints(file, source)
    assert words in found


@pytest.mark.parametrize(
    ("file", "source"),
    [
        ("ops/record.py", "from chainrule.base.errors import ShapeError"),
        ("ops/record.py", "from chainrule.ops import expr"),
        ("run/program.py", "from chainrule.compile.loops import Loop\nimport llvmlite"),
        ("nn/layers.py", "from chainrule import random"),
        ("nn/layers.py", "from .init import he_normal"),
        ("cli/main.py", "from chainrule.train import run\nimport rich"),
    ],
)
def test_the_rule_lets_through(file: str, source: str) -> None:
    assert complaints(file, source) == []


def test_importing_chainrule_is_light() -> None:
    code = "import sys; before = set(sys.modules); import chainrule; print(*sorted(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    loaded = set(done.stdout.split())
    assert "chainrule.api" in loaded
    assert not (loaded & HEAVY), loaded & HEAVY
