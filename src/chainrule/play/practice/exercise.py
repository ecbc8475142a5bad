"""The record of an exercise, and the register of their kinds.

An exercise is made from (kind, level, seed): the maker of its kind draws a program, the engine gives the answer, the
mistakes and the hints.  A draw is taken again, from the same stream, until its numbers are short, its derivatives agree
with finite differences, and its mistakes differ from the answer; so what is shown has passed all of that.

What goes to the page (:func:`shown`) holds no answer.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from chainrule.base.errors import ChainruleError, OptionError, choose
from chainrule.explain.jsonform import formula
from chainrule.play.practice.draws import Draws

VERSION = 1
"""Of the makers: stands in every link.  Rises when the same seed would give another item."""

LEVELS = (1, 2, 3)
MOST_SEED = 2**31 - 1
_TRIES = 400


class DrawAgain(Exception):
    """This draw makes no good exercise."""


@dataclass(frozen=True)
class Option:
    """What can be chosen or put in order; ``label`` as in :func:`words`."""

    name: str
    label: str


@dataclass(frozen=True)
class Field:
    """One thing to answer.

    ``form``: number, expression (in ``letters``), choice, several, ordering, line (of a derivation), shape.
    ``digits``: how many significant digits are enough, where numbers are shown rounded.
    ``positive``: the letters that stand for positive numbers only.
    """

    name: str
    label: str
    form: str = "number"
    options: tuple[Option, ...] = ()
    letters: tuple[str, ...] = ()
    digits: int | None = None
    positive: tuple[str, ...] = ()


@dataclass(frozen=True)
class Mistake:
    """A computed wrong answer: what is typed, per field, by who makes it; ``detail`` says it with its numbers."""

    name: str
    answers: Mapping[str, Any]
    detail: str = ""


@dataclass(frozen=True)
class Hint:
    """One line of the ladder: words, and a formula of the engine's explanation."""

    words: str
    latex: str | None = None


@dataclass(frozen=True)
class Exercise:
    """One item.  ``prompt``: blocks of words, a drawn graph, a derivation, a table.

    ``answers``: per field what is right: a float, a Formula, the name(s) of options, a shape, or an Order.
    ``solution``: the last hint.
    """

    kind: str
    level: int
    seed: int
    title: str
    prompt: tuple[dict[str, Any], ...]
    fields: tuple[Field, ...]
    answers: Mapping[str, Any]
    mistakes: tuple[Mistake, ...]
    hints: tuple[Hint, ...]

    def field(self, name: str) -> Field:
        """The field of a name."""
        return next(f for f in self.fields if f.name == name)


@dataclass(frozen=True)
class Draft:
    """What a maker returns; the rest is common to all kinds."""

    prompt: tuple[dict[str, Any], ...]
    fields: tuple[Field, ...]
    answers: Mapping[str, Any]
    mistakes: Sequence[Mistake]
    hints: Sequence[Hint]


@dataclass(frozen=True)
class Kind:
    """A skill: its letter, its name, what it trains, and what makes its items."""

    name: str
    title: str
    about: str
    make: Callable[[Draws, int], Draft]


KINDS: dict[str, Kind] = {}


def kind(name: str, title: str, about: str) -> Callable[[Callable[[Draws, int], Draft]], Callable[[Draws, int], Draft]]:
    """Enter a maker under its kind's name."""

    def enter(make: Callable[[Draws, int], Draft]) -> Callable[[Draws, int], Draft]:
        KINDS[name] = Kind(name, title, about, make)
        return make

    return enter


# -------------------------------------------------------------------------------------------------------- what is said


def words(text: str) -> list[Any]:
    """A sentence for the page: plain strings, and formulas where the text has them between dollar signs."""
    found: list[Any] = []
    for position, piece in enumerate(re.split(r"\$", text)):
        if piece:
            found.append(formula(piece) if position % 2 else piece)
    return found


def spoken(text: str) -> str:
    """The same as plain text."""
    return "".join(piece if isinstance(piece, str) else piece["text"] for piece in words(text))


def say(text: str) -> dict[str, Any]:
    """A paragraph of the prompt."""
    return {"block": "words", "words": words(text)}


def display(latex: str) -> dict[str, Any]:
    r"""Formulas of the prompt on a line of their own; ``\quad`` stands between two."""
    return {"block": "formulas", "formulas": formulas(latex)}


def formulas(latex: str | None) -> list[list[Any]]:
    r"""Formulas with ``\quad`` between them, one by one; each as the pieces between which a line may be broken."""
    return [[formula(piece) for piece in pieces(one)] for one in latex.split(r" \quad ")] if latex else []


def pieces(latex: str) -> list[str]:
    """``a = b = c`` as ``a = b`` and ``= c``; equals signs inside of brackets stay where they are."""
    cuts, depth = [0], 0
    for match in re.finditer(r"\\left|\\right|\\begin|\\end|\\[{}]|[{}]| = ", latex):
        sign = match.group()
        depth += 1 if sign in ("{", r"\left", r"\begin") else -1 if sign in ("}", r"\right", r"\end") else 0
        if sign == " = " and not depth:
            cuts.append(match.start())
    parts = [latex[a:b].strip() for a, b in itertools.pairwise([*cuts, len(latex)])]
    return ["".join(f"{part} " for part in parts[:2]).strip(), *parts[2:]]


def table(head: Sequence[str], rows: Sequence[Sequence[str]], caption: str) -> dict[str, Any]:
    """A table of the prompt; cells as in :func:`words`."""
    return {
        "block": "table",
        "caption": caption,
        "head": [words(h) for h in head],
        "rows": [[words(cell) for cell in row] for row in rows],
    }


# ------------------------------------------------------------------------------------------------------------- making


def checked_triple(name: Any, level: Any, seed: Any) -> tuple[str, int, int]:
    """The triple, or an OptionError that says what it may be."""
    if not isinstance(name, str) or name not in kinds():
        raise choose("the kind of exercise", _short(name), kinds(), where="the link")
    if isinstance(level, bool) or not isinstance(level, int) or level not in LEVELS:
        raise choose("the level", _short(level), LEVELS, where="the link")
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed <= MOST_SEED:
        raise OptionError(
            "this is no seed",
            expected=f"a whole number from 0 to {MOST_SEED:,}",
            got=_short(seed),
            where="the link",
            fix="take another exercise",
        )
    return name, level, seed


def _short(value: object) -> str:
    text = repr(value) if not isinstance(value, str) else value
    return text if len(text) <= 40 else text[:39] + "…"


def kinds() -> Mapping[str, Kind]:
    """All kinds, (a) to (m)."""
    from chainrule.play.practice import arrays, functions, graphs, kinks, networks

    assert all((arrays, functions, graphs, kinks, networks))  # imported for what they enter
    return dict(sorted(KINDS.items(), key=lambda item: ORDER.index(item[0])))


ORDER = (
    "structure",
    "local",
    "edge",
    "path",
    "fanout",
    "saved",
    "order",
    "kink",
    "shape",
    "softmax",
    "wrong-line",
    "direction",
    "diagnose",
)
"""The kinds (a) to (m), from first to last."""


def exercise(name: Any, level: Any, seed: Any) -> Exercise:
    """The item of a triple: always the same one.  Raises OptionError for a triple there is none of."""
    return _made(*checked_triple(name, level, seed))


@lru_cache(maxsize=2048)
def _made(name: str, level: int, seed: int) -> Exercise:
    made = kinds()[name]
    draws = Draws("practice", VERSION, name, level, seed)
    for _ in range(_TRIES):
        try:
            draft = made.make(draws, level)
            mistakes = _distinct(draft)
        except DrawAgain:
            continue
        return Exercise(
            name,
            level,
            seed,
            made.title,
            draft.prompt,
            draft.fields,
            dict(draft.answers),
            mistakes,
            (*draft.hints, _solution(draft)),
        )
    raise ChainruleError("no exercise came out of this seed", expected="a seed that gives one",
                         got=f"kind {name}, level {level}, seed {seed}", fix="take another seed")  # fmt: skip


def _distinct(draft: Draft) -> tuple[Mistake, ...]:
    """The mistakes that are neither right by accident nor the same as one before; at least one must be left."""
    fields = {f.name: f for f in draft.fields}
    if not _fits(fields, draft.answers, draft.answers, unsure=False):
        raise DrawAgain  # a function that its own text can't be told to be: too flat, or without values
    found: list[Mistake] = []
    for mistake in draft.mistakes:
        if not all(_usable(value) for value in mistake.answers.values()):
            continue
        whole = {**draft.answers, **mistake.answers}  # all else right
        if _fits(fields, mistake.answers, draft.answers, unsure=True):
            continue  # right, or can't be told from right
        if not any(_fits(fields, {n: whole[n] for n in m.answers}, m.answers, unsure=True) for m in found):
            found.append(mistake)
    if not found:
        raise DrawAgain
    return tuple(found)


def _fits(fields: Mapping[str, Field], given: Mapping[str, Any], other: Mapping[str, Any], unsure: bool) -> bool:
    """Whether two answers are the same in every field that both have; ``unsure`` where that can't be decided."""
    from chainrule.play.practice.grading import as_given, same
    from chainrule.play.practice.reading import NotGradable

    try:
        return all(same(fields[n], as_given(value), other[n]) for n, value in given.items() if n in other)
    except NotGradable:
        return unsure


def _usable(value: Any) -> bool:
    return not isinstance(value, float) or abs(value) < 1e9


def _solution(draft: Draft) -> Hint:
    """The last line of the ladder: the answer."""
    from chainrule.play.practice.grading import answer_words

    said = [f"{f.label} {answer_words(f, draft.answers[f.name])}" for f in draft.fields]
    return Hint("The answer. " + "; ".join(said) + ".")


# ------------------------------------------------------------------------------------------------------ for the page


def shown(item: Exercise) -> dict[str, Any]:
    """The item as JSON for the page: without the answer, the mistakes and the words of the hints."""
    return {
        "kind": item.kind,
        "level": item.level,
        "seed": item.seed,
        "version": VERSION,
        "title": item.title,
        "prompt": list(item.prompt),
        "hints": len(item.hints),
        "fields": [_field(f) for f in item.fields],
    }


def _field(field: Field) -> dict[str, Any]:
    return {
        "name": field.name,
        "label": words(field.label),
        "form": field.form,
        "letters": list(field.letters),
        "digits": field.digits,
        "options": [{"name": o.name, "label": words(o.label), "text": spoken(o.label)} for o in field.options],
    }
