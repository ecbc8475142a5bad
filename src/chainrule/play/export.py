"""What a playground can be taken away as: its state, a script, formulas, and a page that needs no server.

    {"do": "export", "what": "json" | "script" | "latex" | "html"}  →  {"name": a file's name, "text": its content}

``latex`` also takes ``of``, the members of a message ``explain``: which weight or bias (default: the first weight).
The page is the playground's own (:mod:`chainrule.play.bundle`) with a recording in place of the engine: frames as the
server would have sent them, from the initial weights to the present ones, and the answers to the questions that the
page asks about the present state.

Does not do: recording what has happened.  A run is a function of its settings, so it is run again; where it was changed
by hand on the way, or would take too long, what is recorded begins at the present state and goes on from there.
"""

from __future__ import annotations

import base64
import dataclasses
import json
import time
from collections.abc import Mapping
from typing import Any

from chainrule.base.errors import OptionError, choose
from chainrule.explain.document import words
from chainrule.explain.explanation import explain
from chainrule.play.bundle import one_page
from chainrule.play.messages import checked
from chainrule.play.player import Player
from chainrule.play.scalars import scalars_of
from chainrule.play.script import script
from chainrule.play.weight import place

KINDS = ("json", "script", "latex", "html")
MOST_FRAMES = 120
FORWARD_EPOCHS = 100  # recorded where nothing was trained yet
_LEAST_FRAMES = 8
_MOST_FRAME_BYTES = 3_000_000  # of all frames together
_MOST_EXPLAINED = 60  # parameters whose explanation a page holds
_LONGEST = 5.0  # seconds for running a run again
_PREAMBLE = r"""\documentclass[11pt,a4paper]{article}
\usepackage[T1]{fontenc}
\usepackage[utf8]{inputenc}
\usepackage{amsmath}
\setlength{\parindent}{0pt}
\begin{document}"""


def export(player: Player, message: Mapping[str, Any]) -> dict[str, str]:
    """The answer to ``export``.  Raises OptionError for another ``what``."""
    what = message.get("what")
    if set(message) - {"do", "id", "what", "of"}:
        raise OptionError("export takes no such member", expected="what, of",
                          got=", ".join(sorted(set(message) - {"do", "id", "what", "of"}))[:80],
                          where="export", fix="leave it out")  # fmt: skip
    if what not in KINDS:
        raise choose("what", what if isinstance(what, str) and len(what) < 60 else "?", KINDS, where="export")
    if what == "json":
        state = player.answer({"do": "state"})["state"]
        return {"name": "playground.json", "text": json.dumps(state, allow_nan=False, indent=1) + "\n"}
    if what == "script":
        course = player.course
        return {"name": "playground.py", "text": script(course.context, course.first.network, course.state.epoch)}
    if what == "latex":
        return {"name": "playground.tex", "text": latex(player, message.get("of"))}
    return {"name": "playground.html", "text": html(player)}


def latex(player: Player, of: Any = None) -> str:
    """The chain rule of one parameter as a LaTeX document: all steps where the network is small, else the main ones."""
    chosen = {"what": "weight", "layer": 0, "to": 0, "from": 0} if of is None else of
    if not isinstance(chosen, dict):
        raise OptionError("of names no parameter", expected="{what, layer, to, from}", got=type(chosen).__name__,
                          where="export", fix="leave it out for the first weight")  # fmt: skip
    message = checked({**chosen, "do": "explain"})
    found = player.answer(message)
    context, state = player.course.context, player.course.state
    row = found["example"]["row"]
    sizes = "-".join(map(str, context.sizes))
    title = f"A {message['what']} of a network {sizes}, step {state.step + 1:,}"
    scalars = scalars_of(state.network, context.task, context.tables.x[row], context.tables.t[row])
    if scalars is not None:
        expression, values, names = scalars
        at = names[place(context, message)]
        given = [values[name] for name in expression.names]
        whole = explain(expression, *given, wrt=at, lr=found["update"]["rate"], paths=True)
        return dataclasses.replace(whole, function=title).to_latex()
    lines = [_PREAMBLE, f"{words(title)}: ${found['name']['latex']}$"]
    lines += [f"{words(line['label'][:1].upper() + line['label'][1:])}:\n\\[{line['formula']['latex']}\\]"
              for line in found["lines"]]  # fmt: skip
    update = found["update"]
    lines.append(f"Update:\n\\[{update['formula']['latex']}\\]\n\\[{update['filled']['latex']}\\]")
    return "\n\n".join([*lines, "\\end{document}\n"])


def html(player: Player) -> str:
    """The playground as one page with a recorded run."""
    return one_page("/", {"recording": recording(player)})


def recording(player: Player, epochs: int = FORWARD_EPOCHS) -> dict[str, Any]:
    """The run as frames, and what the page asks about its end; ``epochs``: how far it goes on from where it stands."""
    kept = player.answer({"do": "state"})["state"]
    copy = Player(native="wait")
    try:
        copy.answer({"do": "load", "state": kept})
        forward = True
        if player.exact and copy.course.state.step:
            end = copy.course.state
            copy.answer({"do": "rewind"})
            forward = not _quick(copy, end.step)
        if forward:
            copy.answer({"do": "load", "state": kept})
            start = copy.course.state.step
            end_step = start + epochs * max(1, copy.course.context.rows)
        else:
            start, end_step = 0, end.step
        frames = _frames(copy, start, end_step)
        return {
            "choices": copy.answer({"do": "choices"})["choices"], "state": copy.state(),
            "data": copy.answer({"do": "data", "action": "get"}), "frames": frames, "answers": _answers(copy),
            "forward": forward,
        }  # fmt: skip
    finally:
        copy.close()


def _quick(player: Player, steps: int) -> bool:
    """Whether so many steps can be run in a moment: measured on the first thousand."""
    probe = min(steps, 1000)
    _advance(player, probe)
    began = time.perf_counter()
    player.answer({"do": "rewind"})
    _advance(player, probe)
    spent = time.perf_counter() - began
    player.answer({"do": "rewind"})
    return spent / probe * steps < _LONGEST


def _advance(player: Player, steps: int) -> bool:
    """So many steps more; False where training stopped before."""
    goal = player.course.state.step + steps
    while (left := goal - player.course.state.step) > 0:
        player.answer({"do": "step", "unit": "batch", "count": min(left, 100_000)})
        while player.run(0.1):
            pass
        if player.not_finite is not None or not player.course.context.count:
            return False
    return True


def _frames(player: Player, start: int, end: int) -> list[str]:
    """Frames of the steps from ``start`` to ``end``, closer together at the beginning, where most happens."""
    view = {"do": "view", "grid": 50, "thumbnails": 16, "gradients": True, "hover": None, "cotangents": False}
    player.answer(view)
    _prepare(player)
    count = max(_LEAST_FRAMES, min(MOST_FRAMES, _MOST_FRAME_BYTES // len(player.frame())))
    found, deadline = [], time.perf_counter() + 3 * _LONGEST
    for i in range(count):
        goal = start + round((end - start) * (i / (count - 1)) ** 2)
        if i and goal == player.course.state.step:
            continue
        went_on = _advance(player, goal - player.course.state.step)
        player.answer(view)  # so that everything is due
        player.course.mark()
        player.course.curve_version += 1  # so that each frame holds the whole curve: it may be shown after any other
        found.append(base64.b64encode(player.frame()).decode("ascii"))
        if not went_on or time.perf_counter() > deadline:
            break
    return found


def _prepare(player: Player) -> None:
    """Wait until frames hold gradients, which for a large network is prepared in the background."""
    deadline = time.perf_counter() + _LONGEST
    player.course.prepare()
    while not player.course.program.prepared and time.perf_counter() < deadline:
        time.sleep(0.01)


def _answers(player: Player) -> dict[str, Any]:
    """Answers to questions about the state at the end: by action, and explanations by parameter."""
    answers: dict[str, Any] = {"inspect": player.answer({"do": "inspect"})}
    verdict = player.answer({"do": "verdict"})
    deadline = time.perf_counter() + _LONGEST
    while verdict["pending"] and time.perf_counter() < deadline:
        time.sleep(0.02)
        verdict = player.answer({"do": "verdict"})
    answers["verdict"] = verdict
    deadline = time.perf_counter() + _LONGEST
    for what, layer, to, source in parameters(player)[:_MOST_EXPLAINED]:
        if time.perf_counter() > deadline:
            break
        at = {"what": what, "layer": layer, "to": to} | ({} if source is None else {"from": source})
        answers[explained_key(at)] = player.answer({"do": "explain", **at})
    return answers


def explained_key(at: Mapping[str, Any]) -> str:
    """The name under which the page finds an explanation: ``explain weight 0 1 0``."""
    return " ".join(str(at[name]) for name in ("what", "layer", "to", "from") if name in at).join(("explain ", ""))


def parameters(player: Player) -> list[tuple[str, int, int, int | None]]:
    """All weights and biases: (what, layer, to, from), nearest to the output first."""
    found: list[tuple[str, int, int, int | None]] = []
    for layer, one in reversed(list(enumerate(player.course.state.network.layers))):
        for to in range(one.n_out):
            found.append(("bias", layer, to, None))
            found += [("weight", layer, to, source) for source in range(one.n_in)]
    return found
