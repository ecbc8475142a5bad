"""Trees of arrays (dict, list, tuple, namedtuple, dataclass) flattened to leaves and back, on optree.

Dataclasses register themselves the first time they are met: every field is a child, except those made
with :func:`static`, which belong to the structure (compared by ``==``, never differentiated).
Does not do: trees with cycles; ``None`` is an empty subtree, not a leaf.
"""

from __future__ import annotations

import dataclasses
import functools
import operator
import typing
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import optree

from chainrule.base.errors import TreeError

Tree = Any
Leaf = Any
Structure = optree.PyTreeSpec

_NAMESPACE = "chainrule"
_registered: set[type] = set()


def static(**options: Any) -> Any:
    """A dataclass field that is part of the tree's structure instead of a child (a name, a function, a size)."""
    return dataclasses.field(metadata={"static": True}, **options)


def register_dataclass(cls: type) -> type:
    """Make instances of the dataclass ``cls`` inner nodes of trees.  Usable as a decorator; harmless when repeated."""
    if cls in _registered:
        return cls
    if not dataclasses.is_dataclass(cls):
        raise TypeError(f"{cls.__name__} is not a dataclass: decorate it with @dataclasses.dataclass first")
    fields = dataclasses.fields(cls)
    children = tuple(f.name for f in fields if not f.metadata.get("static"))
    statics = tuple(f.name for f in fields if f.metadata.get("static"))

    names = children + statics
    children_of, statics_of = _getter(children), _getter(statics)
    slotted = any("__slots__" in vars(c) for c in cls.__mro__[:-1])

    def flatten(node: Any) -> tuple[Sequence[Any], Hashable, tuple[str, ...]]:
        return children_of(node), statics_of(node), children

    def unflatten(metadata: Any, kids: Sequence[Any]) -> Any:
        # Past __init__, so that validation written for arrays does not meet the placeholders of a transform.
        node = object.__new__(cls)
        if slotted:
            for name, value in zip(names, (*kids, *metadata), strict=True):
                object.__setattr__(node, name, value)
        else:
            node.__dict__.update(zip(names, (*kids, *metadata), strict=True))
        return node

    optree.register_pytree_node(cls, flatten, unflatten, namespace=_NAMESPACE)  # type: ignore[arg-type]
    _registered.add(cls)
    return cls


def _getter(names: tuple[str, ...]) -> Callable[[Any], tuple[Any, ...]]:
    """What gives the fields ``names`` of a node: trees are taken apart at every call of a compiled function."""
    if len(names) > 1:
        return operator.attrgetter(*names)
    return lambda node: tuple([getattr(node, name) for name in names])


def _unregistered(leaf: Any) -> bool:
    return dataclasses.is_dataclass(leaf) and not isinstance(leaf, type) and type(leaf) not in _registered


def flatten(tree: Tree) -> tuple[list[Leaf], Structure]:
    """The leaves of ``tree`` from left to right, and the structure that :func:`unflatten` needs to put them back."""
    while True:
        leaves, structure = optree.tree_flatten(tree, namespace=_NAMESPACE)
        fresh = [leaf for leaf in leaves if _unregistered(leaf)]
        if not fresh:
            return list(leaves), structure
        for leaf in fresh:
            register_dataclass(type(leaf))


def is_frozen(tree: Tree) -> bool:
    """Whether no inner node of ``tree`` can change: tuples and frozen dataclasses only."""
    pending = [tree]
    while pending:
        node = pending.pop()
        if isinstance(node, tuple):
            pending += node
        elif type(node) in _registered:
            if not node.__dataclass_params__.frozen:
                return False
            pending += [getattr(node, f.name) for f in dataclasses.fields(node) if not f.metadata.get("static")]
        elif isinstance(node, (list, dict)) or not optree.tree_is_leaf(node, none_is_leaf=True, namespace=_NAMESPACE):
            return False
    return True


def flatten_known(tree: Tree) -> tuple[list[Leaf], Structure]:
    """:func:`flatten` where all dataclasses are registered already; those that are not come out as leaves."""
    return optree.tree_flatten(tree, namespace=_NAMESPACE)


def unflatten(structure: Structure, leaves: Sequence[Leaf]) -> Tree:
    """The tree of ``structure`` with ``leaves`` from left to right."""
    return optree.tree_unflatten(structure, leaves)


class Lasting:
    """The subtrees of a tree that a :func:`builder` takes as they are, and how each is made of the tree's leaves.

    ``positions``: the leaves that such subtrees may hold; they are as large as that allows, and can't be changed.
    """

    def __init__(self, positions: Sequence[int]) -> None:
        self.positions = frozenset(positions)
        self.makers: list[Callable[[Sequence[Leaf]], Tree]] = []
        self.inside: list[int] = []  # the leaves in them

    def take(self, outline: Tree, leaves: int) -> Callable[[Sequence[Leaf]], Tree] | None:
        """What gets the subtree ``outline`` from behind the ``leaves`` leaves, if it may last."""
        within = [int(leaf) for leaf in flatten(outline)[0]]
        if not within or not self.positions.issuperset(within) or not is_frozen(outline):
            return None
        maker = _builder(outline)
        if maker is None:
            return None
        self.makers.append(maker)
        self.inside += within
        return operator.itemgetter(leaves + len(self.makers) - 1)


def builder(structure: Structure, lasting: Lasting | None = None) -> Callable[[Sequence[Leaf]], Tree]:
    """:func:`unflatten` for one structure, in a third of the time: what runs after every step of a training loop.

    With ``lasting`` it is given, behind the leaves, the subtrees that those makers make.
    """
    outline = unflatten(structure, [_Place(i) for i in range(structure.num_leaves)])
    made = _builder(outline, lasting, structure.num_leaves)
    if made is None and lasting is not None:
        lasting.makers, lasting.inside = [], []
    return made if made is not None else functools.partial(unflatten, structure)


class _Place(int):
    """The number of a leaf, where the leaf will be."""


def _builder(outline: Tree, lasting: Lasting | None = None, count: int = 0) -> Callable[[Sequence[Leaf]], Tree] | None:
    """What makes a tree like ``outline`` of leaves; None where a node is of a class only optree knows."""
    if lasting is not None and (taken := lasting.take(outline, count)) is not None:
        return taken
    if type(outline) is _Place:
        return operator.itemgetter(int(outline))
    if outline is None:
        return lambda leaves: None
    if type(outline) in _registered:
        return _dataclass_builder(outline, lasting, count)
    if type(outline) not in (tuple, list) and not hasattr(outline, "_make"):
        return None
    children = [_builder(child, lasting, count) for child in outline]
    if None in children:
        return None
    whole = typing.cast("list[Callable[[Sequence[Leaf]], Tree]]", children)
    make = type(outline) if type(outline) in (tuple, list) else type(outline)._make
    return lambda leaves: make([child(leaves) for child in whole])


def _dataclass_builder(outline: Tree, lasting: Lasting | None, count: int) -> Callable[[Sequence[Leaf]], Tree] | None:
    cls = type(outline)
    names = [f.name for f in dataclasses.fields(outline)]
    if not hasattr(outline, "__dict__") or len(vars(outline)) != len(names):
        return None
    statics = {f.name: getattr(outline, f.name) for f in dataclasses.fields(outline) if f.metadata.get("static")}
    children = [(name, _builder(getattr(outline, name), lasting, count)) for name in names if name not in statics]
    if any(child is None for _, child in children):
        return None
    whole = typing.cast("list[tuple[str, Callable[[Sequence[Leaf]], Tree]]]", children)

    def make(leaves: Sequence[Leaf]) -> Tree:
        node = object.__new__(cls)
        fields = node.__dict__
        fields.update(statics)
        for name, child in whole:
            fields[name] = child(leaves)
        return node

    return make


def inner_nodes(tree: Tree) -> list[Any]:
    """The tuples and dataclasses that a frozen tree is made of, those that hold no leaf left out."""
    found, pending = [], [tree]
    while pending:
        node = pending.pop()
        children: Sequence[Any] = ()
        if isinstance(node, tuple):
            children = node
        elif type(node) in _registered:
            children = [getattr(node, f.name) for f in dataclasses.fields(node) if not f.metadata.get("static")]
        if any(child is not None for child in children):
            found.append(node)
            pending += children
    return found


def leaves(tree: Tree) -> list[Leaf]:
    """The leaves of ``tree`` from left to right."""
    return flatten(tree)[0]


def paths(tree: Tree) -> list[str]:
    """One readable path per leaf, such as ``layers[0].weight``; ``""`` for a bare leaf.  Order of :func:`leaves`."""
    flatten(tree)  # registers what is new
    return [_path_text(path) for path in optree.tree_accessors(tree, namespace=_NAMESPACE)]


def _path_text(accessor: optree.PyTreeAccessor) -> str:
    return accessor.codify("").lstrip(".")


def broadcast_prefix(prefix: Tree, tree: Tree) -> list[Any]:
    """For each leaf of ``tree``, the leaf of ``prefix`` it stands under; None is a leaf of ``prefix``.

    Raises ValueError where ``prefix`` is no prefix of ``tree``.
    """
    flatten(tree)  # registers what is new
    flatten(prefix)
    spread = optree.broadcast_prefix(prefix, tree, none_is_leaf=True, namespace=_NAMESPACE)
    whole = optree.tree_leaves(tree, none_is_leaf=True, namespace=_NAMESPACE)
    return [p for p, leaf in zip(spread, whole, strict=True) if leaf is not None]


def map(f: Callable[..., Any], tree: Tree, *rest: Tree) -> Tree:
    """``f`` on corresponding leaves of trees of one structure; the result has the structure of ``tree``.

    Raises :class:`TreeError` when the structures differ.
    """
    first, structure = flatten(tree)
    columns = [first]
    for other in rest:
        other_leaves, other_structure = flatten(other)
        if other_structure != structure:
            raise TreeError(
                "trees of different structure",
                expected=structure,
                got=other_structure,
                fix="pass trees of one structure: the same keys, lengths and classes",
            )
        columns.append(other_leaves)
    return unflatten(structure, [f(*row) for row in zip(*columns, strict=True)])
