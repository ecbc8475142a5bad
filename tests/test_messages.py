"""Each error in the source says what was expected, what came and what to do: a message can't be added without."""

from __future__ import annotations

import ast
from pathlib import Path

import chainrule
from chainrule.base import errors

SOURCE = Path(chainrule.__file__).parent
PARTS = {"expected", "got", "fix"}
# Of graphs, not of calls: the line of the graph and its neighbours say what is wrong with it.
CLASSES = {
    name
    for name, kind in vars(errors).items()
    if isinstance(kind, type) and issubclass(kind, errors.ChainruleError) and kind is not errors.GraphError
}


def incomplete(tree: ast.AST) -> list[tuple[int, list[str]]]:
    """Lines that make an error without all its parts, and the parts that are missing."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in CLASSES:
            given = {keyword.arg for keyword in node.keywords}
            if None not in given and not given >= PARTS:  # None: **parts
                found.append((node.lineno, sorted(PARTS - {str(name) for name in given})))
    return found


def test_each_error_says_what_was_expected_what_came_and_what_to_do() -> None:
    found = {
        f"{path.relative_to(SOURCE)}:{line}": parts
        for path in sorted(SOURCE.rglob("*.py"))
        for line, parts in incomplete(ast.parse(path.read_text("utf-8")))
    }
    assert found == {}


def test_a_message_without_a_part_is_found() -> None:
    assert incomplete(ast.parse("raise ShapeError('no', expected=1, got=2)")) == [(1, ["fix"])]
    assert incomplete(ast.parse("raise ShapeError('no', expected=1, got=2, fix=3)")) == []
    assert incomplete(ast.parse("raise GraphError('no')")) == []
