"""``chainrule explain``: one gradient, step by step, for a typed expression or a Python function.

An expression is parsed against an allow-list and never evaluated as Python.  ``module:function`` imports the module
that was named, as ``python -m`` would; its arguments come from files that hold arrays only.
"""

from __future__ import annotations

import importlib
import inspect
import json
import re
import sys
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from chainrule.base.errors import DataError, ExpressionError, OptionError, choose
from chainrule.cli.report_errors import in_words, note
from chainrule.explain import text
from chainrule.explain.explanation import DEFAULT_RATE, Explanation, explain
from chainrule.explain.expression import MOST_CHARACTERS, parse
from chainrule.train.files import write_atomic

EXAMPLE = "z = w*x + b; a = relu(z); L = (a - y)**2"
EXAMPLE_VALUES = {"x": 2.0, "w": 0.5, "b": 0.0, "y": 0.0}
FORMATS = ("text", "latex", "html", "json")
MOST_BYTES = 200_000_000

_SUFFIXES = {".txt": "text", ".tex": "latex", ".html": "html", ".htm": "html", ".json": "json"}
TARGET = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*\Z")

AtOption = Annotated[
    str | None,
    typer.Option("--at", metavar="VALUES", help="Values of the variables: x=2,w=0.5 or W=[[1,2],[3,4]]."),
]
ArgsOption = Annotated[
    Path | None,
    typer.Option("--args", metavar="FILE", help="Arguments by name: an .npz file of arrays, or JSON."),
]


@in_words
def explain_command(
    target: Annotated[
        str | None,
        typer.Argument(
            metavar="EXPR",
            show_default=False,
            help='An expression such as "(relu(w*x + b) - y)**2", or module:function. Without it, the worked example.',
        ),
    ] = None,
    at: AtOption = None,
    args: ArgsOption = None,
    wrt: Annotated[
        str | None, typer.Option("--wrt", metavar="NAMES", help="Differentiate by these only, such as w,b.")
    ] = None,
    lr: Annotated[float, typer.Option("--lr", metavar="RATE", help="Learning rate of the update.")] = DEFAULT_RATE,
    paths: Annotated[bool, typer.Option("--paths", help="Show the sum over paths.")] = False,
    k: Annotated[int, typer.Option("-k", "--top", metavar="K", help="How many of the largest paths.")] = 10,
    form: Annotated[
        str | None, typer.Option("--format", metavar="FORMAT", help=f"{', '.join(FORMATS)}; text by default.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", help="Write here; .html, .tex, .json and .txt choose the format."),
    ] = None,
) -> None:
    """Explain a gradient: every step forward and backward, with formulas, numbers and reasons.

    chainrule explain "(relu(w*x + b) - y)**2" --at x=2,w=0.5,b=0,y=0 --wrt w
    """
    chosen = _format(form, out)
    given = {**(from_file(args) if args is not None else {}), **(values_given(at) if at is not None else {})}
    if target is None:
        expression = parse(EXAMPLE)
        found = _explained(expression, expression.bound({**EXAMPLE_VALUES, **given}), wrt or "w", lr, paths, k)
    elif TARGET.match(target):
        function = function_at(target)
        found = _explained(function, arguments_of(function, target, given), wrt, lr, paths, k)
    else:
        expression = parse(target)
        found = _explained(expression, expression.bound(given), wrt, lr, paths, k)
    _show(found, chosen, out)


def _explained(
    function: Callable[..., Any], values: list[Any], wrt: str | None, lr: float, paths: bool, k: int
) -> Explanation:
    names = None if wrt is None else [name.strip() for name in wrt.split(",")]
    return explain(function, *values, wrt=names, lr=lr, paths=paths, k=k)


def _format(form: str | None, out: Path | None) -> str:
    if form is None:
        return _SUFFIXES.get(out.suffix.lower(), "text") if out is not None else "text"
    if form not in FORMATS:
        raise choose("--format", form, FORMATS, where="the command line")
    return form


def _show(found: Explanation, form: str, out: Path | None) -> None:
    if form == "text" and out is None and sys.stdout.isatty():
        text.print_rich(found)
        return
    whole = {"text": found.to_text, "latex": found.to_latex, "html": found.to_html, "json": found.to_json}[form]()
    if out is None:
        sys.stdout.write(whole if whole.endswith("\n") else whole + "\n")
        return
    write_atomic(out, whole)
    note(f"the explanation is in {out}")


# ------------------------------------------------------------------------------------------------------------- values


def values_given(said: str) -> dict[str, Any]:
    """``x=2,W=[[1,2],[3,4]]``: names and the values of expressions without variables."""
    if len(said) > MOST_CHARACTERS:
        raise ExpressionError(
            "--at is too long", expected=f"at most {MOST_CHARACTERS:,} characters", got=f"{len(said):,} characters",
            where="--at", fix="put arrays in a file: --args values.json",
        )  # fmt: skip
    found: dict[str, Any] = {}
    for part, column in _parts(said):
        name, equals, value = part.partition("=")
        name = name.strip()
        place = f"--at, column {column + 1}\n    {said[:100]}\n    {' ' * min(column, 99)}^"
        if not equals or not name.isidentifier() or not value.strip():
            raise ExpressionError(
                "--at can't be read", expected="name=value, with commas between: x=2,w=0.5",
                got=repr(part.strip()[:60]), where=place, fix="write --at x=2,w=0.5",
            )  # fmt: skip
        if name in found:
            raise ExpressionError(
                f"--at gives {name} twice", expected="one value per name", got=repr(part.strip()[:60]),
                where=place, fix="keep one of the two",
            )  # fmt: skip
        literal = parse(value)
        if literal.names:
            raise ExpressionError(
                f"the value of {name} is not a number", expected="numbers, or lists of them",
                got=repr(value.strip()[:60]), where=place, fix=f"write {name}=1.5 or {name}=[1, 2]",
            )  # fmt: skip
        found[name] = np.asarray(literal(), np.float64)[()]
    return found


def _parts(said: str) -> list[tuple[str, int]]:
    """The pieces between commas that stand outside of brackets, each with its column."""
    found: list[tuple[str, int]] = []
    depth = start = 0
    for position, character in enumerate(said):
        depth += (character in "([") - (character in ")]")
        if character == "," and depth == 0:
            found.append((said[start:position], start))
            start = position + 1
    if said[start:].strip() or not found:
        found.append((said[start:], start))
    return found


def from_file(path: Path) -> dict[str, Any]:
    """Arrays by name, from .npz (never unpickled) or JSON."""
    if not path.is_file():
        raise DataError("there is no such file of arguments", expected="an .npz or .json file", got=repr(str(path)),
                        where=path.absolute(), fix="check the path")  # fmt: skip
    if path.suffix.lower() not in (".npz", ".json"):
        raise DataError("this is no file of arguments", expected="an .npz or .json file", got=path.suffix or path.name,
                        where=path.absolute(), fix="save them with np.savez(path, w=w, x=x)")  # fmt: skip
    if path.stat().st_size > MOST_BYTES:
        raise _too_large(path, path.stat().st_size)
    try:
        return _npz(path) if path.suffix.lower() == ".npz" else _json(path)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, RecursionError, NotImplementedError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(
            "the file of arguments can't be read", expected="plain arrays of numbers by name",
            got=str(error).partition("\n")[0][:200] or type(error).__name__, where=path.absolute(),
            fix="save them with np.savez(path, w=w, x=x), or write JSON such as {\"w\": 0.5}",
        ) from None  # fmt: skip


def _too_large(path: Path, size: int) -> DataError:
    return DataError("the file of arguments is too large", expected=f"at most {MOST_BYTES:,} bytes of arrays",
                     got=f"{size:,} bytes", where=path.absolute(), fix="explain a smaller batch")  # fmt: skip


def _npz(path: Path) -> dict[str, Any]:
    with zipfile.ZipFile(path) as archive:
        size = sum(info.file_size for info in archive.infolist())
    if size > MOST_BYTES:
        raise _too_large(path, size)
    with np.load(path, allow_pickle=False) as arrays:
        return {name: _numbers(arrays[name], name, path) for name in arrays.files}


def _json(path: Path) -> dict[str, Any]:
    data = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(data, dict):
        raise DataError(
            "the JSON holds no names", expected='an object: {"w": 0.5, "x": [1, 2]}', got=type(data).__name__,
            where=path.absolute(), fix="put the arguments in braces, by name",
        )  # fmt: skip
    return {name: _numbers(np.asarray(value), name, path) for name, value in data.items()}


def _numbers(array: Any, name: str, path: Path) -> Any:
    if array.dtype.kind not in "fiubc":
        raise DataError(
            f"the argument {name} is not made of numbers", expected="numbers, or nested lists of them of one length",
            got=f"dtype {array.dtype}", where=path.absolute(), fix="correct the file",
        )  # fmt: skip
    return array[()]


# ---------------------------------------------------------------------------------------------------- module:function


def function_at(target: str) -> Callable[..., Any]:
    """The function that ``module:function`` names."""
    module_name, _, name = target.partition(":")
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        found: Any = importlib.import_module(module_name)
    except ImportError as error:
        raise OptionError(
            f"the module {module_name} can't be imported", expected="a module in this folder, or an installed one",
            got=str(error), where=target, fix="run the command in the folder of the module",
        ) from None  # fmt: skip
    for part in name.split("."):
        if not hasattr(found, part):
            raise OptionError(f"{module_name} has no {name}", expected="the name of a function in it", got=repr(name),
                              where=target, fix="check the name behind the colon")  # fmt: skip
        found = getattr(found, part)
    if not callable(found):
        raise OptionError(f"{name} is not a function", expected="a function of arrays", got=type(found).__name__,
                          where=target, fix="name a function behind the colon")  # fmt: skip
    function: Callable[..., Any] = found
    return function


def arguments_of(function: Callable[..., Any], target: str, given: Mapping[str, Any]) -> list[Any]:
    """The values for the parameters of a function, in order; parameters with a default may be left out at the end."""
    parameters = [
        p for p in inspect.signature(function).parameters.values()
        if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
    ]  # fmt: skip
    names = [p.name for p in parameters]
    for name in given:
        if name not in names:
            raise OptionError(
                f"{target} has no parameter {name}", expected=", ".join(names) or "no parameter", got=name,
                where="--at or --args", fix="give values for the parameters listed",
            )  # fmt: skip
    found = []
    for parameter in parameters:
        if parameter.name in given:
            found.append(given[parameter.name])
        elif parameter.default is parameter.empty:
            raise OptionError(
                f"{parameter.name} has no value", expected=f"a value for each of {', '.join(names)}",
                got=f"values for {', '.join(given) or 'none'}", where=target,
                fix=f"add --at {parameter.name}=…, or --args FILE with an entry {parameter.name}",
            )  # fmt: skip
        else:
            found.append(parameter.default)
    return found
