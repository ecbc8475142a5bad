"""What the documentation says is what happens.

Every ``python`` block of the README and of docs/ runs, block after block of a page in one namespace, each compiled as
a file called ``example.py``.  A comment ``# → text`` is a line the block prints: what is printed and what the comments
say must be equal, line for line, so nothing is printed that the page does not show.
"""

from __future__ import annotations

import contextlib
import doctest
import importlib
import io
import pkgutil
import re
import runpy
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import chainrule as cr
from chainrule.ops.expr import CATALOGUE

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted(p for p in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("docs/**/*.md")] if p.is_file())
TUTORIALS = {p: p.read_text(encoding="utf-8") for p in PAGES}

_BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_ARROW = "# →"
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def page_id(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def blocks(text: str) -> list[str]:
    """The ``python`` blocks of a page."""
    return _BLOCK.findall(text)


def shown(block: str) -> list[str]:
    """The lines a block says it prints."""
    found = [line.partition(_ARROW)[2] for line in block.splitlines() if _ARROW in line]
    return [text.removeprefix(" ").rstrip() for text in found]


def rewritten(block: str, printed: list[str]) -> str:
    """The block with what it prints in the lines of their own at its end; comments behind code stay as they are."""
    lines = block.splitlines()
    while lines and lines[-1].startswith(_ARROW):
        lines.pop()
    own = printed[sum(_ARROW in line for line in lines) :]
    return "\n".join([*lines, *(f"{_ARROW} {text}".rstrip() for text in own)]) + "\n"


def run_block(block: str, namespace: dict[str, Any]) -> list[str]:
    """The lines a block prints."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(block, "example.py", "exec", dont_inherit=True), namespace)
    return [line.rstrip() for line in out.getvalue().splitlines()]


@pytest.fixture
def _ops_put_back() -> Iterator[None]:
    """Ops that a page records for show are gone afterwards."""
    recorded = set(CATALOGUE)
    yield
    for name in set(CATALOGUE) - recorded:
        del CATALOGUE[name]


@pytest.mark.usefixtures("_ops_put_back")
@pytest.mark.parametrize("page", [p for p in PAGES if blocks(TUTORIALS[p])], ids=page_id)
def test_examples_print_what_they_say(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, Any] = {"__name__": "example"}
    for number, block in enumerate(blocks(TUTORIALS[page]), 1):
        printed = run_block(block, namespace)
        if request.config.getoption("--update-golden"):
            text = page.read_text(encoding="utf-8")
            page.write_text(text.replace(block, rewritten(block, printed)), encoding="utf-8")
        else:
            assert printed == shown(block), f"{page_id(page)}, block {number} (--update-golden rewrites it):\n{block}"


def test_a_wrong_value_in_a_page_is_noticed() -> None:
    assert run_block("print(1 + 1)  # → 3\n", {}) != shown("print(1 + 1)  # → 3\n")
    assert run_block("print(1 + 1)\n", {}) != shown("print(1 + 1)\n")
    assert run_block("print('a\\nb')\n# → a\n# → b\n", {}) == ["a", "b"] == shown("print('a\\nb')\n# → a\n# → b\n")


def test_a_block_is_rewritten_with_what_it_prints() -> None:
    block = "print(1)  # → 1\nfor i in range(3):\n    print(i or '')\n# → old\n"
    new = rewritten(block, run_block(block, {}))
    assert new == "print(1)  # → 1\nfor i in range(3):\n    print(i or '')\n# →\n# → 1\n# → 2\n"
    assert shown(new) == ["1", "", "1", "2"]


def _modules() -> list[str]:
    return ["chainrule", *(m.name for m in pkgutil.walk_packages(cr.__path__, "chainrule."))]


@pytest.mark.parametrize("name", _modules())
def test_docstring_examples(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    module = importlib.import_module(name)
    source = Path(str(module.__file__)).read_text(encoding="utf-8")
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    for found in doctest.DocTestFinder().find(module):
        # Methods that take over NumPy's docstrings take over its examples too; those are NumPy's to test.
        if all(example.source in source for example in found.examples):
            runner.run(found)
    assert runner.summarize().failed == 0


@pytest.mark.parametrize("example", sorted(ROOT.glob("examples/*.py")), ids=lambda p: p.name)
def test_examples_folder_runs(example: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [str(example)])
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        runpy.run_path(str(example), run_name="__main__")
    expected = shown(example.read_text(encoding="utf-8"))
    assert expected, f"{example.name} says nothing of what it prints"
    assert [line.rstrip() for line in out.getvalue().splitlines()] == expected


def _reference(*names: str) -> str:
    return "\n".join((ROOT / "docs" / name).read_text(encoding="utf-8") for name in names)


@pytest.mark.parametrize("name", sorted(cr.__all__))
def test_public_names_are_documented(name: str) -> None:
    text = "\n".join(text for page, text in TUTORIALS.items() if page.parent.name == "docs")
    assert re.search(rf"\bcr\.{name}\b", text), f"cr.{name} appears nowhere in docs/"


@pytest.mark.parametrize("folder", ["nn", "optim", "data", "train"])
def test_public_names_of_folders_are_documented(folder: str) -> None:
    text = _reference("networks.md", "training.md")
    names = importlib.import_module(f"chainrule.{folder}").__all__
    missing = [n for n in names if not re.search(rf"(?<![\w.])(?:\w+\.)*{n}\b", text)]
    assert not missing, f"chainrule.{folder}: not in docs/networks.md or docs/training.md: {', '.join(missing)}"


def test_optimizers_activations_and_options_are_listed() -> None:
    from chainrule import nn, optim
    from chainrule.optim import schedules

    text = _reference("networks.md", "training.md")
    for name in [*nn.activations, *optim.optimizers, *schedules.schedules, *nn.init.initializers]:
        assert f"`{name}`" in text, name


def test_command_line_options_are_documented() -> None:
    import typer

    from chainrule.cli.main import app

    text = _reference("training.md", "compiler.md", "explain.md", "why.md", "diagnose.md", "play.md")
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    for name, command in commands.items():
        assert f"chainrule {name}" in text
        for option in command.params:
            long = [o for o in (*option.opts, *option.secondary_opts) if o.startswith("--")]
            written = [o for o in long if f"`{o}" in text or f"{o} " in text]
            assert not long or written, f"chainrule {name} {long[0]}"


def test_numpy_coverage_is_listed() -> None:
    sys.path.insert(0, str(ROOT / "docs"))
    try:
        import numpy_coverage
    finally:
        sys.path.pop(0)
    page = (ROOT / "docs" / "numpy.md").read_text(encoding="utf-8")
    assert numpy_coverage.listing() in page, "run: python docs/numpy_coverage.py"


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_links_lead_somewhere(page: Path) -> None:
    for target in _LINK.findall(TUTORIALS[page]):
        if not target.startswith(("http://", "https://", "#")):
            assert (page.parent / target.partition("#")[0]).exists(), f"{page_id(page)}: {target}"


def test_readme_has_the_two_commands() -> None:
    readme = TUTORIALS[ROOT / "README.md"]
    for marker, ending in (("train", "chainrule train"), ("tests", "pytest")):
        (command,) = re.findall(rf"<!-- command: {marker} -->\n```sh\n(.*?)\n```", readme, re.DOTALL)
        assert "\n" not in command, f"the {marker} command is one line"
        assert ending in command
