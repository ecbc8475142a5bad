"""``chainrule why``: what docs/why.md shows is what is printed; files, Python targets, and bad input."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

import numpy as np
import pytest

from chainrule.base.errors import TrainingError
from chainrule.cli.report_errors import in_words
from conftest import Command

PAGE = Path(__file__).parents[2] / "docs" / "why.md"
SHOWN = re.findall(r"^```console\n\$ chainrule (.*)\n((?:.*\n)*?)```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)


@pytest.mark.parametrize(("words", "expected"), SHOWN)
def test_the_page_shows_what_is_printed(words: str, expected: str, chainrule: Command) -> None:
    ran = chainrule(*shlex.split(words))
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == expected


def test_without_arguments(chainrule: Command) -> None:
    assert len(SHOWN) == 2
    assert chainrule("why").out == SHOWN[0][1]
    assert chainrule("why", "--at", "b=-0.5").out == (
        "the gradients of w, x, b and y are zero, though a path exists: square at its minimum\n"
        "  --> <expression>:3 in the expression\n"
        "   3 | L = (a - y)**2\n"
        "     |     ^^^^^^^^^^\n"
        "  cause:    the two sides of the difference are equal, and a square is flat at 0\n"
        "  evidence: 100 % of the elements of pow\n"
        "  remedy:   nothing is wrong: the result can't be made smaller here\n"
    )


def test_a_python_function_with_a_file(chainrule: Command, tmp_path: Path) -> None:
    (tmp_path / "mine_why.py").write_text(
        "import numpy as np\n\n\ndef loss(w, x):\n    return np.sum(np.tanh(x @ w))\n", encoding="utf-8"
    )
    np.savez(tmp_path / "values.npz", w=np.full(2, 1e3), x=np.ones((4, 2)))
    try:
        ran = chainrule("why", "mine_why:loss", "--args", "values.npz", "--wrt", "w")
    finally:
        sys.modules.pop("mine_why", None)
    assert ran.code == 0
    assert ran.out.startswith("the gradient of w is zero, though a path exists: saturation\n")
    assert "  --> mine_why.py:5 in loss\n" in ran.out
    assert "   5 |     return np.sum(np.tanh(x @ w))\n     |                   ^^^^^^^^^^^^^^\n" in ran.out
    assert "its input is 2000" in ran.out


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (("why", "w*q", "--at", "w=1"), "q has no value"),
        (("why", "w +", "--at", "w=1"), "error: "),
        (("why", "w*2", "--at", "w=1", "--wrt", "v"), "why: wrt names nothing"),
        (("why", "nowhere:f"), "the module nowhere can't be imported"),
    ],
)
def test_bad_input(words: tuple[str, ...], part: str, chainrule: Command) -> None:
    ran = chainrule(*words)
    assert ran.code == 2
    assert ran.out == ""
    assert part in ran.err
    assert "Traceback" not in ran.err


def test_notes_of_an_error_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    import typer

    @in_words
    def failing() -> None:
        error = TrainingError("training stopped", expected="a", got="b", fix="c")
        error.add_note("the result is nan: log of 0")
        raise error

    with pytest.raises(typer.Exit):
        failing()
    assert capsys.readouterr().err == (
        "error: training stopped\n  expected: a\n  got: b\n  what to do: c\n\nthe result is nan: log of 0\n"
    )


def test_colours_on_a_terminal() -> None:
    from rich.console import Console

    import chainrule as cr
    from chainrule.explain.why_text import to_rich

    found = cr.why(np.sqrt, 0.0)
    console = Console(force_terminal=True, width=200, color_system="standard")
    with console.capture() as capture:
        console.print(to_rich(found.messages()))
    assert "\x1b[1;31mthe gradient of argument0 is not finite: sqrt′(0)\x1b[0m" in capture.get()
    plain = re.sub("\x1b\\[[0-9;]*m", "", capture.get())
    assert [line.rstrip() for line in plain.splitlines() if line] == str(found).splitlines()
