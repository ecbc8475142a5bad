"""Grading: right, wrong, or not gradable with the reason; a wrong answer is matched against the computed mistakes.

Numbers agree to one part in a million, or to the digits asked for; formulas as functions (:mod:`equality`); orders by
whether they respect who waits for whom; the rest by being the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from chainrule.explain.formula import number_text
from chainrule.explain.jsonform import formula
from chainrule.explain.mathml import mathml
from chainrule.play.practice import reading
from chainrule.play.practice.equality import Formula, decide, of_text, typed
from chainrule.play.practice.exercise import Exercise, Field, Mistake, spoken, words
from chainrule.play.practice.mistakes import SENTENCES
from chainrule.play.practice.reading import NotGradable

RELATIVE = 1e-6


class Order(NamedTuple):
    """Any order of ``example``'s names in which each comes after all that it waits for."""

    example: tuple[str, ...]
    waits: Mapping[str, tuple[str, ...]]

    def holds(self, names: tuple[str, ...]) -> bool:
        """Whether an order respects all waiting."""
        place = {name: i for i, name in enumerate(names)}
        return all(place[w] < place[name] for name in names for w in self.waits.get(name, ()))


def same(field: Field, given: Any, right: Any) -> bool:
    """Whether two answers to a field are the same.  Raises NotGradable where formulas can't be compared."""
    if field.form == "number":
        return close(field, float(given), float(right))
    if field.form == "expression":
        return _same_function(field, given, right)
    if field.form == "ordering":
        return bool(right.holds(given)) if isinstance(right, Order) else given == right
    if field.form == "several":
        return set(given) == set(right)
    return bool(given == right)


def close(field: Field, given: float, right: float) -> bool:
    """Whether two numbers agree, to the digits asked for."""
    if field.digits is None:
        return abs(given - right) <= RELATIVE * max(abs(right), 1e-3)
    return abs(given - right) <= 0.6 * 10.0 ** (1 - field.digits) * _decade(right)


def _decade(value: float) -> float:
    """The power of ten that a number starts with."""
    return 10.0 ** float(f"{value:e}".partition("e")[2]) if value else 1e-9


def _same_function(field: Field, given: Formula, right: Formula) -> bool:
    decision = decide(given, right, field.letters, field.positive)
    if decision.verdict == "undecided":
        where = ", ".join(f"{n} = {number_text(v, 4)}" for n, v in (decision.point or {}).items())
        raise NotGradable(
            "This can't be graded: "
            + (
                f"the formula has no value at {where}, where the answer has one."
                if where
                else "it has a value at too few points to compare."
            )
        )
    return decision.verdict == "same"


# --------------------------------------------------------------------------------------------------------- what came


def read(field: Field, text: Any) -> Any:
    """What was entered in a field, as an answer.  Raises NotGradable."""
    name = spoken(field.label) or field.name
    if text is None or text in ("", []):
        raise NotGradable(f"Nothing is entered yet: {name}.")
    if field.form in ("several", "ordering"):
        return _names(field, text)
    if not isinstance(text, str):
        raise NotGradable(f"This can't be read as an answer: {name}.")
    if field.form in ("choice", "line"):
        if text not in {o.name for o in field.options}:
            raise NotGradable("Choose one of the answers shown.")
        return text
    if field.form == "shape":
        return reading.shape(text)
    if field.form == "number":
        return reading.number(text)
    return typed(reading.expression(text, field.letters, "a formula of " + " and ".join(field.letters)))


def _names(field: Field, given: Any) -> Any:
    options = [o.name for o in field.options]
    names = tuple(given) if isinstance(given, list) and all(isinstance(g, str) for g in given) else ()
    if not names or not set(names) <= set(options) or len(set(names)) != len(names):
        raise NotGradable("Choose among the entries shown, each at most once.")
    if field.form == "several":
        return frozenset(names)
    if len(names) != len(options):
        raise NotGradable("Put all of them in order.")
    return names


def rounded_early(text: Any, given: float, right: float) -> bool:
    """Whether a number is the right one, cut or rounded to fewer digits than are asked for."""
    digits = reading.places(text) if isinstance(text, str) else None
    if digits is None or digits == 0 or given == 0:
        return False
    return abs(given - right) <= 0.6 * 10.0**-digits and abs(given - right) <= 0.02 * abs(right)


# ------------------------------------------------------------------------------------------------------------- grade


def grade(item: Exercise, answers: Mapping[str, Any], hints_used: int = 0) -> dict[str, Any]:
    """The outcome as JSON for the page: ``right``, ``wrong`` or ``not gradable``, with what to say.

    ``fields``: per field whether it is right.  ``counts``: whether the item counts as solved without help.
    """
    given: dict[str, Any] = {}
    for field in item.fields:
        try:
            given[field.name] = read(field, answers.get(field.name))
        except NotGradable as reason:
            return _refused(str(reason), field)
    each: dict[str, bool] = {}
    for field in item.fields:
        right = item.answers[field.name]
        try:
            each[field.name] = same(field, given[field.name], right)
        except NotGradable as reason:
            return _refused(str(reason), field)
        text = answers.get(field.name)
        close_by = not each[field.name] and field.form == "number" and rounded_early(text, given[field.name], right)
        if close_by and matched(item, given) is None:
            asked = f"{field.digits} digits are asked for" if field.digits else "give it exactly, or as a fraction"
            return _refused(f"Right as far as it goes, but rounded too early: {asked}.", field)
    if all(each.values()):
        said = "Right." if not hints_used else "Right, with help: it comes back later to be solved without."
        return {"outcome": "right", "message": words(said), "fields": each, "mistake": None, "counts": not hints_used}
    mistake = matched(item, given)
    return {
        "outcome": "wrong",
        "message": words(_said(mistake, each)),
        "detail": words(mistake.detail) if mistake and mistake.detail else None,
        "fields": each,
        "mistake": mistake.name if mistake else None,
        "counts": False,
    }


def matched(item: Exercise, given: Mapping[str, Any]) -> Mistake | None:
    """The first mistake of the catalogue that gives what was answered."""
    for mistake in item.mistakes:
        try:
            if all(same(item.field(n), given[n], value) for n, value in mistake.answers.items()):
                return mistake
        except NotGradable:
            continue
    return None


def _said(mistake: Mistake | None, each: Mapping[str, bool]) -> str:
    if mistake is not None:
        return SENTENCES[mistake.name]
    if len(each) > 1 and any(each.values()):
        return "One part is right, another is not."
    return "Look at it again, or take a hint."


def _refused(reason: str, field: Field) -> dict[str, Any]:
    return {
        "outcome": "not gradable",
        "message": [reason],
        "field": field.name,
        "fields": {},
        "mistake": None,
        "counts": False,
    }


# ----------------------------------------------------------------------------------------------------------- answers


def answer_words(field: Field, right: Any) -> str:
    """An answer in words, for the last hint; formulas between dollar signs."""
    if field.form == "number":
        return f"${number_latex(right, field.digits)}$"
    if field.form == "expression":
        return f"${reading.latex(reading.expression(right.text, field.letters))}$"
    labels = {o.name: o.label for o in field.options}
    if field.form == "ordering":
        return ", then ".join(labels[name] for name in right.example)
    if field.form == "several":
        return ", ".join(labels[o.name] for o in field.options if o.name in right)
    if field.form == "shape":
        return f"({', '.join(map(str, right))})"
    return f"line {right}" if field.form == "line" else labels[right]


def number_latex(value: float, digits: int | None) -> str:
    """A number in the digits that are asked for; exact ones in as many as they have."""
    text = number_text(float(value), digits + 2 if digits else 10)
    mantissa, e, exponent = text.partition("e")
    return text if not e else rf"{mantissa} \cdot 10^{{{int(exponent)}}}"


def entered(field: Field, right: Any) -> Any:
    """An answer as one would enter it: what the tests type, and what the page offers to fill in after the last hint."""
    if field.form == "number":
        return number_text(float(right), 12)
    if field.form == "expression":
        return right.text
    if field.form == "ordering":
        return list(right.example) if isinstance(right, Order) else list(right)
    if field.form == "several":
        return sorted(right)
    if field.form == "shape":
        return f"({', '.join(map(str, right))})"
    return right


def as_given(right: Any) -> Any:
    """An answer as it comes back when it is entered: a Formula read from its text, an order as its names."""
    if isinstance(right, Formula):
        return of_text(right.text)
    return right.example if isinstance(right, Order) else right


def preview(field: Field, text: str) -> dict[str, Any]:
    """What a text is read as, while it is typed: a formula, and for arithmetic its value; or why it can't be read."""
    try:
        if field.form == "shape":
            found = reading.shape(text)
            return {"formula": formula(rf"\left({', '.join(map(str, found))}\right)"), "value": None, "problem": None}
        letters = field.letters if field.form == "expression" else ()
        parsed = reading.expression(text, letters, "an answer")
        value = None
        if field.form == "number" and reading.places(text) is None:
            value = number_text(reading.number(text), 8)
    except NotGradable as reason:
        return {"formula": None, "value": None, "problem": str(reason)}
    latex = reading.latex(parsed)
    return {"formula": {"latex": latex, "text": parsed.text, "mathml": mathml(latex)}, "value": value, "problem": None}
