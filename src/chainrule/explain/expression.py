"""Expressions typed by a person: ``z = w*x + b; a = relu(z); (a - y)**2``.

The text is parsed by Python's own parser (``ast``) and walked against an allow-list: numbers, names, + - * / ** @,
calls of the functions in :mod:`chainrule.explain.functions`, nested lists as vectors and matrices, and assignments
that give intermediate values a name.  Nothing is compiled or evaluated as Python.  Length, depth, number of parts and
the size of arrays are bounded before any work is done on them.

Every error names the place: the text with carets under the part that is wrong.
Does not do: indexing, comparisons, keywords, attributes.
"""

from __future__ import annotations

import ast
import threading
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from chainrule.base.errors import ChainruleError, ExpressionError
from chainrule.explain.functions import CONSTANTS, FUNCTIONS
from chainrule.graph.builder import ACTIVE
from chainrule.graph.graph import Source
from chainrule.ops.expr import Expr

MOST_CHARACTERS = 10_000
MOST_DEPTH = 60
MOST_PARTS = 2_000
MOST_ELEMENTS = 100_000
FILE = "<expression>"

_ARITHMETIC: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: lambda a, b: a + b,
    ast.Sub: lambda a, b: a - b,
    ast.Mult: lambda a, b: a * b,
    ast.Div: lambda a, b: a / b,
    ast.Pow: lambda a, b: a**b,
    ast.MatMult: lambda a, b: a @ b,
}
_ALLOWED = "numbers, names, + - * / ** @, lists such as [1, 2], functions such as relu(x), and name = …"


@dataclass(frozen=True)
class Statement:
    """One part between semicolons: its name (None for a bare expression) and its syntax tree."""

    name: str | None
    node: ast.expr


@dataclass(frozen=True, eq=False)
class Expression:
    """A parsed expression: a function of arrays, one per free variable, in the order they first appear.

    ``expression(*arrays)`` computes it with NumPy, or on Symbols of a trace; ``names`` are the free variables.
    ``finite``: a value that stops being a finite number raises, with the place; False lets it pass, to be shown.
    """

    text: str
    statements: tuple[Statement, ...]
    names: tuple[str, ...]
    finite: bool = True

    @property
    def __name__(self) -> str:
        return "the expression"

    def __call__(self, *arrays: Any) -> Any:
        if len(arrays) != len(self.names):
            raise ExpressionError(
                "an expression takes one value per variable", expected=f"values for {', '.join(self.names) or 'none'}",
                got=f"{len(arrays)} values", where=self.text, fix="pass them in that order",
            )  # fmt: skip
        given = [np.float64(a) if type(a) in (int, float) else a for a in arrays]  # 1/0 as in NumPy, not an exception
        values: dict[str, Any] = dict(zip(self.names, given, strict=True))
        result: Any = None
        for number, statement in enumerate(self.statements, 1):
            result = _Evaluation(self, number, values).value(statement.node)
            if statement.name is not None:
                values[statement.name] = result
        return result

    def lines(self) -> list[str]:
        """The statements as text, one per line; line numbers of Sources count these."""
        return [
            (f"{s.name} = " if s.name else "") + (ast.get_source_segment(self.text, s.node) or "")
            for s in self.statements
        ]

    def bound(self, values: Mapping[str, Any]) -> list[Any]:
        """The values of the free variables, in order.  Raises ExpressionError for one that has none, or none is named.

        Ints become floats, so that every variable can be differentiated.
        """
        for name in values:
            if name not in self.names:
                raise ExpressionError(
                    f"{name} is not in the expression", expected=f"values for {', '.join(self.names) or 'no variable'}",
                    got=f"{name}={np.asarray(values[name]).tolist()!r:.60}", where=self.text,
                    fix=f"leave {name} out, or use it in the expression",
                )  # fmt: skip
        missing = [name for name in self.names if name not in values]
        if missing:
            node = next(n for s in self.statements for n in ast.walk(s.node)
                        if isinstance(n, ast.Name) and n.id == missing[0])  # fmt: skip
            raise ExpressionError(
                f"{missing[0]} has no value", expected=f"a value for each of {', '.join(self.names)}",
                got=f"values for {', '.join(values) or 'none'}", where=place(self.text, node),
                fix="add " + ",".join(f"{name}=…" for name in missing),
            )  # fmt: skip
        return [_floats(name, values[name]) for name in self.names]


_FILTERS = threading.Lock()  # the warnings' filters are the process's: two threads would restore each other's


def _floats(name: str, value: Any) -> Any:
    try:
        array = np.asarray(value)
    except ValueError:  # rows of different lengths
        array = np.asarray(None)
    if array.dtype.kind not in "fiub":
        raise ExpressionError(
            f"the value of {name} is not made of numbers", expected="a number, or nested lists of rows of one length",
            got=repr(value)[:60], where=f"the value of {name}", fix=f"pass {name}=0.5 or {name}=[1, 2]",
        )  # fmt: skip
    return (array.astype(np.float64) if array.dtype.kind in "iub" else array)[()]


def parse(text: str) -> Expression:
    """The Expression written in ``text``.  Raises ExpressionError, with the place, for anything it may not hold."""
    if len(text) > MOST_CHARACTERS:
        raise ExpressionError(
            "the expression is too long", expected=f"at most {MOST_CHARACTERS:,} characters",
            got=f"{len(text):,} characters, starting {text[:30]!r}", where="before anything was read",
            fix="write a Python function and pass it as module:function",
        )  # fmt: skip
    try:
        with _FILTERS, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the parser, about text that is refused anyway
            tree = ast.parse(text.strip())
    except SyntaxError as error:
        raise ExpressionError(
            f"the expression can't be read: {error.msg}", expected=_ALLOWED, got=repr(_short(text.strip())),
            where=_caret(text.strip(), error.lineno or 1, (error.offset or 1) - 1, 1), fix="correct it at the caret",
        ) from None  # fmt: skip
    except (RecursionError, MemoryError, ValueError) as error:
        raise ExpressionError(
            "the expression can't be read: it is nested too deeply, or holds characters that are no text",
            expected=f"at most {MOST_DEPTH} levels", got=f"{type(error).__name__}", where=repr(_short(text)),
            fix="give parts of it a name: z = w*x + b; relu(z)",
        ) from None  # fmt: skip
    return _checked(text.strip(), tree)


def _checked(text: str, tree: ast.Module) -> Expression:
    statements: list[Statement] = []
    defined: set[str] = set()
    names: list[str] = []
    for position, node in enumerate(tree.body):
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            name, value = node.targets[0].id, node.value
            if name in FUNCTIONS or name in CONSTANTS or name in names:
                raise _refused(text, node.targets[0], f"{name} has a meaning already", "a new name on the left of =")
        elif isinstance(node, ast.Expr) and position == len(tree.body) - 1:
            name, value = "", node.value
        else:
            raise _refused(text, node, "this can't stand in an expression", _ALLOWED)
        _check(text, value, defined, names)
        statements.append(Statement(name or None, value))
        if name:
            defined.add(name)
    if not statements:
        raise ExpressionError(
            "the expression is empty", expected="something like (relu(w*x + b) - y)**2", got=repr(text),
            where="the expression", fix="write a formula of the variables",
        )  # fmt: skip
    return Expression(text, tuple(statements), tuple(names))


def _check(text: str, root: ast.expr, defined: set[str], names: list[str]) -> None:
    """Walk one statement against the allow-list, without recursion; free variables are added to ``names``."""
    stack: list[tuple[ast.expr, int]] = [(root, 1)]
    parts = 0
    while stack:
        node, depth = stack.pop()
        parts += 1
        if depth > MOST_DEPTH:
            raise _refused(text, node, "the expression is nested too deeply", f"at most {MOST_DEPTH} levels")
        if parts > MOST_PARTS:
            raise _refused(text, node, "the expression has too many parts", f"at most {MOST_PARTS}")
        stack.extend((child, depth + 1) for child in reversed(_children(text, node, defined, names)))


def _children(text: str, node: ast.expr, defined: set[str], names: list[str]) -> list[ast.expr]:
    if isinstance(node, ast.BinOp):
        if type(node.op) not in _ARITHMETIC:
            hint = "; a power is written **" if isinstance(node.op, ast.BitXor) else ""
            raise _refused(text, node, f"this operator is not known{hint}", "one of + - * / ** @")
        return [node.left, node.right]
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.UAdd)):
        return [node.operand]
    if isinstance(node, ast.Call):
        return _arguments(text, node)
    if isinstance(node, ast.List):
        _literal(text, node)
        return []
    if isinstance(node, ast.Name):
        if node.id in FUNCTIONS:
            raise _refused(text, node, f"{node.id} is a function", f"{node.id}(…)")
        if node.id not in defined and node.id not in CONSTANTS and node.id not in names:
            names.append(node.id)
        return []
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        _number(text, node)
        return []
    raise _refused(text, node, "this can't stand in an expression", _ALLOWED)


def _arguments(text: str, node: ast.Call) -> list[ast.expr]:
    if not isinstance(node.func, ast.Name):
        raise _refused(text, node.func, "only named functions can be called", _ALLOWED)
    name = node.func.id
    if name not in FUNCTIONS:
        raise _refused(text, node.func, f"there is no function {name}", f"one of {', '.join(FUNCTIONS)}")
    function = FUNCTIONS[name]
    if node.keywords or any(isinstance(a, ast.Starred) for a in node.args):
        raise _refused(text, node, f"{name} takes plain arguments only", f"{name}(…) without = and *")
    if not function.least <= len(node.args) <= function.most:
        count = f"{function.least}" if function.least == function.most else f"{function.least} to {function.most}"
        many = "s" * (count != "1")
        raise _refused(text, node, f"{name} takes {count} argument{many}", f"{count}, not {len(node.args)}")
    return list(node.args)


def _number(text: str, node: ast.Constant) -> float:
    try:
        value = float(node.value)  # type: ignore[arg-type]
    except OverflowError:
        value = float("inf")
    if not np.isfinite(value):
        raise _refused(text, node, "this number is too large", "a number that float64 can hold")
    return value


def _literal(text: str, node: ast.List) -> Any:
    """A vector or matrix written as nested lists of numbers."""

    def read(item: ast.expr, depth: int) -> Any:
        if isinstance(item, ast.List) and depth < 4:
            return [read(i, depth + 1) for i in item.elts]
        if isinstance(item, ast.UnaryOp) and isinstance(item.op, ast.USub) and isinstance(item.operand, ast.Constant):
            return -read(item.operand, depth)
        if isinstance(item, ast.Constant) and type(item.value) in (int, float):
            return _number(text, item)
        raise _refused(text, item, "a list may hold numbers only", "numbers, or lists of numbers up to 4 deep")

    nested = read(node, 0)
    try:
        array = np.asarray(nested, np.float64)
    except ValueError:
        raise _refused(text, node, "the rows of this list differ in length", "rows of one length") from None
    return array


class _Evaluation:
    """The value of one statement: a walk that knows the place of every part."""

    def __init__(self, expression: Expression, number: int, values: dict[str, Any]) -> None:
        self.text = expression.text
        self.finite = expression.finite
        self.source = Source(FILE, number, "the expression")
        self.values = values

    def value(self, node: ast.expr) -> Any:
        """The value of ``node``; the lines that it records get the statement as their source."""
        args = [self.value(child) for child in _operands(node)]
        builder = ACTIVE.get()
        start = len(builder.lines) if builder is not None else 0
        try:
            with np.errstate(all="ignore"):
                found = self._apply(node, args)
        except (ChainruleError, ValueError, TypeError) as error:
            if isinstance(error, ExpressionError):
                raise
            said = error.problem if isinstance(error, ChainruleError) else str(error).partition("\n")[0]
            raise _refused(
                self.text, node, f"this can't be computed: {said}", "values whose shapes fit the operation",
                got=", ".join(f"shape {np.shape(a)}" for a in args),
            ) from None  # fmt: skip
        if int(np.prod(np.shape(found), dtype=np.float64)) > MOST_ELEMENTS:
            raise _refused(self.text, node, "this array is too large", f"at most {MOST_ELEMENTS:,} elements",
                           got=f"shape {np.shape(found)}")  # fmt: skip
        if builder is not None:
            for index in range(start, len(builder.lines)):
                builder.lines[index] = builder.lines[index]._replace(source=self.source)
        if self.finite:
            self._finite(node, found, args)
        return found

    def _apply(self, node: ast.expr, args: list[Any]) -> Any:
        if isinstance(node, ast.BinOp):
            return _ARITHMETIC[type(node.op)](*args)
        if isinstance(node, ast.UnaryOp):
            return -args[0] if isinstance(node.op, ast.USub) else args[0]
        if isinstance(node, ast.Call):
            assert isinstance(node.func, ast.Name)
            return FUNCTIONS[node.func.id].call(*args)
        if isinstance(node, ast.Name):
            return self.values[node.id] if node.id in self.values else CONSTANTS[node.id]
        if isinstance(node, ast.List):
            return _literal(self.text, node)
        assert isinstance(node, ast.Constant)
        return np.float64(float(node.value))  # type: ignore[arg-type]

    def _finite(self, node: ast.expr, found: Any, args: list[Any]) -> None:
        """Raise where a known value stops being finite here: its arguments still were."""
        array = _known(found)
        if array is None or np.all(np.isfinite(array)):
            return
        known = [_known(a) for a in args]
        divides = isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div)
        if divides and known[1] is not None and not np.all(known[1]):
            problem, wanted = "division by zero", "a divisor that is not 0"
        else:
            problem, wanted = "the result is not a finite number", "finite values throughout"
        shown = ", ".join(f"{float(np.ravel(a)[0]):g}" if a.size == 1 else f"shape {a.shape}"
                          for a in known if a is not None and a.size)  # fmt: skip
        raise _refused(self.text, node, problem, wanted, got=f"{np.array2string(array, threshold=6)} from {shown}"
                       if shown else np.array2string(array, threshold=6))  # fmt: skip


def _operands(node: ast.expr) -> list[ast.expr]:
    if isinstance(node, ast.BinOp):
        return [node.left, node.right]
    if isinstance(node, ast.UnaryOp):
        return [node.operand]
    return list(node.args) if isinstance(node, ast.Call) else []


def _known(value: Any) -> Any:
    """The concrete value of an array or of a Symbol that carries one, else None."""
    if isinstance(value, Expr):
        try:
            return np.asarray(value.builder.value(value.index))
        except KeyError:
            return None
    return np.asarray(value)


def _refused(text: str, node: ast.AST, problem: str, expected: str, got: str | None = None) -> ExpressionError:
    """The error for a part of an expression, with carets under it."""
    segment = ast.get_source_segment(text, node) or text
    return ExpressionError(
        problem, expected=expected, got=repr(_short(segment)) if got is None else got, where=place(text, node),
        fix="correct the part above the carets",
    )  # fmt: skip


def place(text: str, node: ast.AST) -> str:
    """The line of the text that holds ``node``, with carets under it."""
    row = text.splitlines()[getattr(node, "lineno", 1) - 1]
    start = len(row.encode()[: getattr(node, "col_offset", 0)].decode(errors="ignore"))
    end_row = getattr(node, "end_lineno", None) or getattr(node, "lineno", 1)
    end_bytes = getattr(node, "end_col_offset", None) or start + 1
    end = len(row.encode()[:end_bytes].decode(errors="ignore")) if end_row == getattr(node, "lineno", 1) else len(row)
    return _caret(text, getattr(node, "lineno", 1), start, max(end - start, 1))


def _caret(text: str, line: int, column: int, width: int) -> str:
    """``text``'s line, cut to what fits a screen around the place, and carets under the place."""
    rows = text.splitlines() or [""]
    row = rows[min(line, len(rows)) - 1]
    first = max(0, column - 40)
    shown = ("…" if first else "") + row[first : first + 100] + ("…" if len(row) > first + 100 else "")
    indent = column - first + bool(first)
    return f"column {column + 1}\n    {shown}\n    {' ' * indent}{'^' * max(1, min(width, len(shown) - indent))}"


def _short(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "…"
