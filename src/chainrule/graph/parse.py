"""Reads the full printed form of a graph (``to_text(graph, full=True)``) back to the same graph.

A tokenizer and a descent over tokens; nothing is evaluated or imported, and lengths, nesting and sizes are bounded, so
a text from elsewhere can do no more than raise GraphError, which names the line of the text.  What was read is checked
(:mod:`chainrule.graph.check`).

Does not read: the shortened form for people, and custom rules, whose Python functions have no text.
"""

from __future__ import annotations

import ast
import base64
import binascii
import difflib
import math
import re
from typing import Any, NamedTuple

import numpy as np

from chainrule.base.arrays import Spec, long_dtype
from chainrule.base.errors import DtypeError, GraphError
from chainrule.graph.check import check
from chainrule.graph.graph import Constant, Graph, Line, Source
from chainrule.graph.text import type_text
from chainrule.ops.expr import CATALOGUE

MAX_CHARACTERS = 256_000_000
MAX_LINES = 2_000_000
MAX_NESTING = 32
MAX_DIMENSIONS = 32
MAX_NUMBER = 64

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<string>"(?:[^"\\\n]|\\.)*")
      | (?P<of>of=%\d+\.\d+)
      | (?P<line>%\d+)
      | (?P<graph>@\d+)
      | (?P<opaque><[^<>\n]*>)
      | (?P<bits>0x[0-9a-f]+)
      | (?P<number>-?(?:\d+(?:\.\d+)?(?:e[+-]?\d+)?|inf|nan)(?![\w.]))
      | (?P<word>[A-Za-z_]\w*)
      | (?P<mark>->|[()\[\]:,=])
    )""",
    re.VERBOSE,
)


class _Token(NamedTuple):
    kind: str
    text: str


def parse(text: str) -> Graph:
    """The graph that ``text``, made by ``to_text(graph, full=True)``, stands for: equal to the one printed.

    Raises GraphError, naming the line of the text, for anything else.
    """
    _bound(len(text), MAX_CHARACTERS, "characters")
    rows = text.split("\n")
    while rows and not rows[-1].strip():
        rows.pop()
    _bound(len(rows), MAX_LINES, "lines")
    reader = _Reader(rows)
    graph = reader.graph("", None, 0)
    if reader.at < len(rows):
        raise reader.error("text after the end of the graph", expected="nothing after the line that returns")
    check(graph)
    return graph


def _bound(size: int, limit: int, unit: str) -> None:
    if size > limit:
        raise GraphError("the text of a graph is too long", expected=f"at most {limit} {unit}", got=size)


class _Reader:
    """The rows of a text, and the tokens of the row that is being read."""

    def __init__(self, rows: list[str]) -> None:
        self.rows = rows
        self.at = 0
        self.tokens: list[_Token] = []
        self.next = 0

    # Rows

    def error(self, problem: str, expected: object = None, got: object = None, fix: object = None) -> GraphError:
        row = self.rows[self.at] if self.at < len(self.rows) else "(end of the text)"
        shown = row.strip() if len(row) < 200 else f"{row.strip()[:200]}…"
        return GraphError(
            problem, expected=expected, got=got if got is not None else shown, where=f"line {self.at + 1} of the text",
            fix=fix or "give the text that to_text(graph, full=True) made",
        )  # fmt: skip

    def indented(self) -> str:
        """The white space the current row starts with; past the end, a mark that no row has."""
        if self.at >= len(self.rows):
            return "\0"
        row = self.rows[self.at]
        return row[: len(row) - len(row.lstrip(" "))]

    def open_row(self) -> None:
        """Cut the current row into tokens."""
        if self.at >= len(self.rows):
            raise self.error("the text of a graph ends early", expected="a line that returns the outputs")
        row = self.rows[self.at].rstrip()
        self.tokens, self.next, position = [], 0, 0
        while position < len(row):
            match = _TOKEN.match(row, position)
            if match is None:
                rest = row[position:].strip()
                raise self.error("this can't be read", got=rest[:80])
            kind = match.lastgroup or ""
            self.tokens.append(_Token(kind, match.group(kind)))
            position = match.end()

    # Tokens

    def peek(self, ahead: int = 0) -> _Token:
        at = self.next + ahead
        return self.tokens[at] if at < len(self.tokens) else _Token("end", "the end of the line")

    def take(self, kind: str, text: str | None = None) -> str:
        token = self.peek()
        if token.kind != kind or (text is not None and token.text != text):
            raise self.error("this can't be read", expected=text or f"a {kind}", got=token.text[:80])
        self.next += 1
        return token.text

    def accept(self, kind: str, text: str) -> bool:
        if self.peek() == (kind, text):
            self.next += 1
            return True
        return False

    def end(self) -> None:
        if self.next < len(self.tokens):
            raise self.error("this can't be read", expected="the end of the line", got=self.peek().text[:80])
        self.at += 1

    # Graphs and lines

    def graph(self, indent: str, label: str | None, depth: int) -> Graph:
        """The graph whose header is the current row."""
        if depth > MAX_NESTING:
            raise self.error("graphs nested too deeply", expected=f"at most {MAX_NESTING} levels")
        self.open_row()
        if self.indented() != indent:
            raise self.error("wrong indentation", expected=f"{len(indent)} spaces")
        if label is not None:
            self.take("graph", label)
            self.take("mark", "=")
        lines, names, declared = self.header()
        header = self.at - 1
        inputs = len(lines)
        inner = indent + "  "
        while True:
            self.open_row()
            if self.indented() != inner:
                raise self.error("wrong indentation", expected=f"{len(inner)} spaces")
            if self.accept("word", "return"):
                outputs = tuple(self.outputs())
                self.end()
                break
            lines.append(self.line(len(lines), inner, depth))
        for i in outputs:
            if i >= len(lines):
                self.at -= 1
                raise self.error(f"%{i} is returned, but there is no such line", expected=f"%0 to %{len(lines) - 1}")
        found = tuple(lines[i].spec for i in outputs)
        if found != declared:
            self.at = header
            expected, got = ", ".join(map(type_text, found)), ", ".join(map(type_text, declared))
            raise self.error("the results are of other types than the first line says", expected=expected, got=got)
        return Graph(tuple(lines), inputs, outputs, names)

    def header(self) -> tuple[list[Line], tuple[str, ...], tuple[Any, ...]]:
        self.take("word", "graph")
        self.take("mark", "(")
        lines: list[Line] = []
        names: list[str] = []
        while not self.accept("mark", ")"):
            if lines:
                self.take("mark", ",")
            self.numbered(len(lines))
            if self.peek().kind == "string":
                names.append(self.string())
            elif self.peek().kind == "word":
                raise self.shortened()
            self.take("mark", ":")
            lines.append(Line(CATALOGUE["input"], (), (), self.spec()))
        if names and len(names) != len(lines):
            raise self.error("some inputs have a name and some have not", expected="a name for each, or for none")
        self.take("mark", "->")
        several = self.peek() == ("mark", "(")
        declared = self.spec()
        self.take("mark", ":")
        self.end()
        return lines, tuple(names), declared if several else (declared,)

    def shortened(self) -> GraphError:
        return self.error("this is the shortened form of a graph, for people", expected="the full form")

    def numbered(self, number: int) -> None:
        found = self.take("line")
        if found != f"%{number}":
            raise self.error("lines must be numbered in order", expected=f"%{number}", got=found)

    def outputs(self) -> list[int]:
        found: list[int] = []
        while self.peek().kind != "end":
            if found:
                self.take("mark", ",")
            if self.peek().kind in ("number", "word"):
                raise self.shortened()
            found.append(self.reference())
        return found

    def reference(self) -> int:
        return self.bounded(self.take("line")[1:])

    def bounded(self, digits: str) -> int:
        if len(digits) > MAX_NUMBER:
            raise self.error("a number is too long", expected=f"at most {MAX_NUMBER} digits", got=f"{digits[:20]}…")
        return int(digits)

    def line(self, number: int, indent: str, depth: int) -> Line:
        """One line, and the graphs nested in it."""
        self.numbered(number)
        self.take("mark", ":")
        spec = self.spec()
        self.take("mark", "=")
        name = self.take("word")
        op = CATALOGUE.get(name)
        if op is None:
            near = difflib.get_close_matches(name, CATALOGUE, n=3) or ["add", "matmul"]
            raise self.error(f"there is no op {name}", expected=f"an op, such as {', '.join(near)}")
        args: list[int] = []
        while self.peek().kind == "line":
            args.append(self.reference())
            if args[-1] >= number:
                raise self.error(f"line %{number} uses %{args[-1]}, which does not come before it",
                                 expected=f"arguments below %{number}")  # fmt: skip
        attrs: list[tuple[str, Any]] = []
        wanted: dict[str, list[Any]] = {}
        while self.peek().kind == "word" and self.peek(1) == ("mark", "="):
            key = self.take("word")
            self.take("mark", "=")
            attrs.append((key, self.value(wanted, 0)))
        of = self.of()
        source = self.source()
        if self.peek().kind in ("number", "mark"):
            raise self.shortened()
        self.end()
        found = {label: self.graph(indent + "  ", label, depth + 1) for label in wanted}
        filled = tuple((key, _fill(value, found)) for key, value in attrs)
        return Line(op, tuple(args), filled, spec, source, of)

    def of(self) -> tuple[int, int] | None:
        if self.peek().kind != "of":
            return None
        line, argument = self.take("of")[4:].split(".")
        return self.bounded(line), self.bounded(argument)

    def source(self) -> Source | None:
        if not self.accept("word", "from"):
            return None
        file = self.string()
        self.take("mark", ":")
        number = self.bounded(self.take("number"))
        self.take("word", "in")
        return Source(file, number, self.string())

    # Types and values

    def spec(self) -> Any:
        if not self.accept("mark", "("):
            return self.one_spec()
        found: list[Spec] = []
        while not self.accept("mark", ")"):
            found.append(self.one_spec())
            if self.peek() != ("mark", ")"):
                self.take("mark", ",")
        return tuple(found)

    def one_spec(self) -> Spec:
        dtype = self.dtype(self.take("word"))
        return Spec(self.shape(), dtype)

    def dtype(self, word: str) -> Any:
        try:
            return long_dtype(word)
        except DtypeError as error:
            raise self.error("unknown dtype", expected=error.expected, got=word) from None

    def shape(self) -> tuple[int, ...]:
        self.take("mark", "[")
        sizes: list[int] = []
        while not self.accept("mark", "]"):
            if sizes:
                self.take("mark", ",")
            digits = self.take("number")
            if not digits.isdecimal() or len(digits) > 18:
                raise self.error("not a size of an axis", expected="an integer from 0 up to 18 digits", got=digits[:30])
            sizes.append(int(digits))
        if len(sizes) > MAX_DIMENSIONS:
            raise self.error("too many axes", expected=f"at most {MAX_DIMENSIONS}", got=len(sizes))
        return tuple(sizes)

    def string(self) -> str:
        text = self.take("string")
        try:
            found = ast.literal_eval(text)
        except (ValueError, SyntaxError):
            raise self.error("a string that can't be read", got=text[:80]) from None
        return str(found)

    def value(self, wanted: dict[str, list[Any]], depth: int) -> Any:
        """The value of an attribute; a nested graph stands as its label's token until it has been read."""
        token = self.peek()
        if depth > MAX_NESTING:
            raise self.error("tuples nested too deeply", expected=f"at most {MAX_NESTING} levels")
        if token.kind == "opaque":
            raise self.error(
                "the graph holds a Python function, which has no text",
                expected="ops whose attributes are numbers, strings, dtypes, constants and graphs",
                got=token.text[:80],
                fix="trace the function again where its custom rule is defined",
            )
        if token.kind == "string":
            return self.string()
        if token.kind == "number":
            return self.number(self.take("number"))
        if token.kind == "graph":
            wanted.setdefault(token.text, [])
            return _Token("graph", self.take("graph"))
        if self.accept("mark", "("):
            items: list[Any] = []
            while not self.accept("mark", ")"):
                items.append(self.value(wanted, depth + 1))
                if self.peek() != ("mark", ")"):
                    self.take("mark", ",")
            return tuple(items)
        return self.named_value(self.take("word"))

    def number(self, text: str) -> int | float:
        if len(text) > MAX_NUMBER:
            raise self.error("a number is too long", expected=f"at most {MAX_NUMBER} digits", got=f"{text[:20]}…")
        return int(text) if text.lstrip("-").isdecimal() else float(text)

    def named_value(self, word: str) -> Any:
        if word in ("None", "True", "False"):
            return {"None": None, "True": True, "False": False}[word]
        if word == "complex":
            self.take("mark", "(")
            real = self.number(self.take("number"))
            self.take("mark", ",")
            imag = self.number(self.take("number"))
            self.take("mark", ")")
            return complex(real, imag)
        if word == "const":
            return self.constant()
        dtype = self.dtype(word)
        return Spec(self.shape(), dtype) if self.peek() == ("mark", "[") else dtype

    def constant(self) -> Constant:
        self.take("mark", "(")
        spec = self.one_spec()
        self.take("mark", ":")
        size = math.prod(spec.shape)
        if self.accept("word", "base64"):
            try:
                raw = base64.b64decode(self.string(), validate=True)
            except binascii.Error as error:
                raise self.error(f"a constant's base64 can't be read: {error}", got="base64") from None
        else:
            raw = self.elements(spec.dtype)
        self.take("mark", ")")
        if len(raw) != size * spec.dtype.itemsize:
            expected = f"{size * spec.dtype.itemsize} bytes for {spec}"
            raise self.error("a constant has another length than its type", expected=expected, got=f"{len(raw)} bytes")
        array = np.frombuffer(raw, spec.dtype.newbyteorder("<")).astype(spec.dtype)
        return Constant(array.reshape(spec.shape))

    def elements(self, dtype: Any) -> bytes:
        part = np.dtype(f"f{dtype.itemsize // 2}") if dtype.kind == "c" else dtype
        found: list[bytes] = []
        while self.peek() != ("mark", ")"):
            if found:
                self.take("mark", ",")
            found.append(self.element(part))
        return b"".join(found)

    def element(self, part: Any) -> bytes:
        little = part.newbyteorder("<")
        token = self.peek()
        if token.kind == "bits" and part.kind == "f":
            digits = self.take("bits")[2:]
            if len(digits) != 2 * part.itemsize:
                raise self.error("wrong number of bits", expected=f"{2 * part.itemsize} digits", got=token.text[:40])
            return bytes.fromhex(digits)[::-1]
        if part.kind == "b":
            word = self.take("word")
            if word not in ("True", "False"):
                raise self.error("not a bool", expected="True or False", got=word)
            return b"\1" if word == "True" else b"\0"
        number = self.number(self.take("number"))
        if part.kind in "iu" and not (isinstance(number, int) and np.iinfo(part).min <= number <= np.iinfo(part).max):
            raise self.error(f"not a number of dtype {part}", got=number)
        return np.asarray(number, little).tobytes()


def _fill(value: Any, graphs: dict[str, Graph]) -> Any:
    """The value with the nested graphs in the place of their labels."""
    if isinstance(value, _Token):
        return graphs[value.text]
    if type(value) is tuple:
        return tuple(_fill(v, graphs) for v in value)
    return value
