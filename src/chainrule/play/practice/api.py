"""What the page asks of the engine: items, hints, previews and grades.  Answers stay on this side.

Every request is checked and bounded; what is wrong with one is a ChainruleError.  Nothing is kept between requests
except items already made, which never change.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from chainrule.base.errors import OptionError
from chainrule.play.practice.exercise import (
    LEVELS,
    MOST_SEED,
    VERSION,
    Exercise,
    Field,
    exercise,
    formulas,
    kinds,
    shown,
    words,
)
from chainrule.play.practice.grading import entered, grade, preview
from chainrule.play.practice.reading import MOST_TYPED

_MOST_ENTRIES = 20


def listed(request: Mapping[str, Any]) -> dict[str, Any]:
    """All skills, in order."""
    return {
        "version": VERSION,
        "levels": list(LEVELS),
        "most_seed": MOST_SEED,
        "kinds": [{"name": k.name, "title": k.title, "about": k.about} for k in kinds().values()],
    }


def item(request: Mapping[str, Any]) -> dict[str, Any]:
    """One exercise, without its answer."""
    return shown(_exercise(request))


def hint(request: Mapping[str, Any]) -> dict[str, Any]:
    """One line of the ladder, counted from 1; the last one is the answer, which comes with what to enter."""
    found = _exercise(request)
    number = request.get("number")
    if isinstance(number, bool) or not isinstance(number, int) or not 1 <= number <= len(found.hints):
        raise OptionError(
            "there is no such hint",
            expected=f"a number from 1 to {len(found.hints)}",
            got=_short(number),
            where="number",
            fix="ask for the next one",
        )
    line = found.hints[number - 1]
    last = number == len(found.hints)
    answers = {f.name: entered(f, found.answers[f.name]) for f in found.fields} if last else None
    return {
        "number": number,
        "total": len(found.hints),
        "words": words(line.words),
        "formulas": formulas(line.latex),
        "last": last,
        "answer": answers,
    }


def previewed(request: Mapping[str, Any]) -> dict[str, Any]:
    """What the text of a field is read as."""
    found = _exercise(request)
    field = _field(found, request.get("field"))
    text = request.get("text")
    if not isinstance(text, str) or len(text) > 10 * MOST_TYPED:
        raise OptionError(
            "this is no text to read",
            expected=f"at most {MOST_TYPED} characters",
            got=_short(text),
            where="text",
            fix="type a shorter answer",
        )
    if field.form not in ("number", "expression", "shape"):
        raise OptionError(
            f"{field.name} is not typed",
            expected="a field for a number, a formula or a shape",
            got=field.form,
            where="field",
            fix="choose among what is shown",
        )
    return preview(field, text)


def graded(request: Mapping[str, Any]) -> dict[str, Any]:
    """The outcome of an answer: ``answer`` has a text (or a list of names) per field."""
    found = _exercise(request)
    answer, used = request.get("answer"), request.get("hints_used", 0)
    if not isinstance(answer, dict) or not set(answer) <= {f.name for f in found.fields}:
        raise OptionError(
            "the answer does not fit the question",
            expected=", ".join(f.name for f in found.fields),
            got=_short(sorted(map(str, answer)) if isinstance(answer, dict) else answer),
            where="answer",
            fix="answer each field by its name",
        )
    if isinstance(used, bool) or not isinstance(used, int) or not 0 <= used <= len(found.hints):
        raise OptionError(
            "this is no number of hints",
            expected=f"0 to {len(found.hints)}",
            got=_short(used),
            where="hints_used",
            fix="count the hints that were shown",
        )
    for value in answer.values():
        if isinstance(value, list) and len(value) > _MOST_ENTRIES:
            raise OptionError(
                "the answer has too many entries",
                expected=f"at most {_MOST_ENTRIES}",
                got=len(value),
                where="answer",
                fix="choose among what is shown",
            )
    return grade(found, answer, used)


def _exercise(request: Mapping[str, Any]) -> Exercise:
    version = request.get("version", VERSION)
    if version != VERSION or isinstance(version, bool):
        raise OptionError(
            "this link is for another version of the exercises",
            expected=VERSION,
            got=_short(version),
            where="the link",
            fix="take a new exercise",
        )
    return exercise(request.get("kind"), request.get("level"), request.get("seed"))


def _field(found: Exercise, name: object) -> Field:
    for field in found.fields:
        if field.name == name:
            return field
    raise OptionError(
        "there is no such field",
        expected=", ".join(f.name for f in found.fields),
        got=_short(name),
        where="field",
        fix="name one of those",
    )


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…"


ENDPOINTS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "kinds": listed,
    "item": item,
    "hint": hint,
    "preview": previewed,
    "grade": graded,
}
"""By the name in ``POST /api/practice/<name>``."""
