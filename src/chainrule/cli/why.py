"""``chainrule why``: why a gradient is zero, missing or not finite, told like a compiler's error.

The target, its values and their files are those of ``chainrule explain``.  Exit code 0 whatever is found.
"""

from __future__ import annotations

import linecache
import sys
from collections.abc import Callable, Mapping
from typing import Annotated, Any

import typer

from chainrule.api import jit
from chainrule.cli.explain import TARGET, ArgsOption, AtOption, arguments_of, from_file, function_at, values_given
from chainrule.cli.report_errors import in_words
from chainrule.explain.expression import FILE, Expression, parse
from chainrule.explain.why import Why, why
from chainrule.explain.why_text import to_rich

EXAMPLE = "z = w*x + b; a = relu(z); L = (a - y)**2"
EXAMPLE_VALUES = {"x": 2.0, "w": 0.5, "b": -3.0, "y": 0.5}


@in_words
def why_command(
    target: Annotated[
        str | None,
        typer.Argument(
            metavar="EXPR",
            show_default=False,
            help='An expression such as "log(softmax(z)) @ y", or module:function. Without it, a neuron that is off.',
        ),
    ] = None,
    at: AtOption = None,
    args: ArgsOption = None,
    wrt: Annotated[
        str | None, typer.Option("--wrt", metavar="NAMES", help="Ask about these only, such as w,b.")
    ] = None,
) -> None:
    """Say why a gradient is zero, missing or not finite: the op, the line, the cause and what to write instead.

    chainrule why "sqrt(x**2 + y**2)" --at x=0,y=0
    """
    given = {**(from_file(args) if args is not None else {}), **(values_given(at) if at is not None else {})}
    if target is not None and TARGET.match(target):
        function = function_at(target)
        _show(_found(function, arguments_of(function, target, given), wrt))
        return
    _show(findings(EXAMPLE, {**EXAMPLE_VALUES, **given}, wrt) if target is None else findings(target, given, wrt))


def findings(text: str, given: Mapping[str, Any], wrt: str | None = None) -> Why:
    """What is found for the expression ``text`` with its variables as ``given``."""
    expression = parse(text)
    return _found(_quiet(expression), expression.bound(dict(given)), wrt)


def _found(function: Callable[..., Any], values: list[Any], wrt: str | None) -> Why:
    return why(function, *values, wrt=None if wrt is None else [name.strip() for name in wrt.split(",")])


def _quiet(expression: Expression) -> Callable[..., Any]:
    """The expression as a function that computes on, where a number is not finite: that is what is asked about."""
    lines = [f"{line}\n" for line in expression.lines()]
    linecache.cache[FILE] = (sum(map(len, lines)), None, lines, FILE)  # so that messages can show them
    return jit(expression)


def _show(found: Why) -> None:
    if sys.stdout.isatty():
        from rich.console import Console

        Console(highlight=False, soft_wrap=True).print(to_rich(found.messages()))
    else:
        print(found)
