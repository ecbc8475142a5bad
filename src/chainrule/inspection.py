"""Looking into compiled functions: ``show`` prints a stage of compilation, ``profile`` measures each kernel, and
``explain_recompiles`` says why a jitted function was traced again.

All three take the function as ``jit`` does, or one that is jitted already, with its donated and static arguments.
Does not do: anything to the function; what is shown or measured is compiled anew.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Sequence
from types import MethodType
from typing import TYPE_CHECKING, Any, NamedTuple

from chainrule.base.errors import OptionError, TraceError, choose
from chainrule.graph.graph import Graph
from chainrule.graph.source import user_source
from chainrule.jitted import EMBEDDED, Jitted, needs_llvmlite
from chainrule.ops.expr import Expr
from chainrule.trace.tracer import embed_small, function_name
from chainrule.transforms import retracing

if TYPE_CHECKING:
    from chainrule.run.profile import Profile

Function = Callable[..., Any]
STAGES = ("graph", "simplified", "fused", "loops", "llvm", "asm")
_LEXERS = {"llvm": "llvm", "asm": "gas"}
_STYLES = {
    r"(?m)^kernel [^:]*": "bold cyan", r"(?m)  → memory$": "green", r"(?m)[%\b]b?\d+\b": "yellow",
    r"(?m)\b(for|in|return|graph)\b": "blue", r"(?m)  #.*$": "dim",
}  # fmt: skip


class Shown(str):
    """Text that was printed; at a prompt or in a notebook it says only how long it is, not all of it again."""

    def __repr__(self) -> str:
        lines = self.count("\n") + 1
        return f"<{lines} line{'s' if lines != 1 else ''} of text; str() of it is the text>"


def show(
    f: Function,
    *args: Any,
    stage: str = "graph",
    target: str = "host",
    optimised: bool = False,
    full: bool = False,
    kernel: str | int | None = None,
) -> Shown:
    """Print how ``f`` is compiled for arguments of these shapes and dtypes, and return the text.

    ``stage``: ``"graph"``, as traced; ``"simplified"``; ``"fused"``, which lines become one kernel; ``"loops"``, the
    kernels; ``"llvm"``, the LLVM text we write (``optimised=True``: after LLVM's passes); ``"asm"``, assembly.
    ``target``: the machine it is compiled for: ``"host"``, ``"avx512"``, ``"avx2"``, ``"generic"`` or ``"neon"``.
    ``full``: also what is the same for every program.  ``kernel``: only this one, by its number.
    Arguments may be trees of arrays; ``f`` is not run.
    Raises OptionError for an unknown stage, target or kernel, and for options that the stage has no use for.
    """
    return show_lowered(lowered(f, args), stage, target=target, optimised=optimised, full=full, kernel=kernel)


def profile(f: Function, *args: Any, repeats: int | None = None) -> Profile:
    """Compile ``f``, run it ``repeats`` times on ``args``, and measure each of its kernels.

    The Profile prints as a table, the dearest kernel first: time, operations, bytes, the share of what this machine
    could do (as measured in the same run), and the lines of ``f`` it computes.  ``to_dict()`` is the same for JSON.
    Arguments may be trees of arrays; donated ones are copied, so yours stay as they are.  Without ``repeats`` it takes
    about half a second.
    Raises OptionError for repeats below 1, TraceError inside a function that is being traced.
    """
    return profile_lowered(lowered(f, args), repeats)


def explain_recompiles(f: Function) -> Shown:
    """Print why the jitted function ``f`` was traced, each time it was, and return the text.

    The reason is what differs from the most similar call before: the shape or dtype of an argument, the structure of
    the arguments, or a static argument.  To be told while it happens: ``jit(f, explain_recompiles=True)``, or
    ``CHAINRULE_EXPLAIN_RECOMPILES=1`` in the environment.
    Raises OptionError for a function that is not jitted.
    """
    jitted = f.__func__ if isinstance(f, MethodType) else f
    if not isinstance(jitted, Jitted):
        raise OptionError(
            "explain_recompiles needs a jitted function", expected="what cr.jit returned", got=function_name(f),
            where=user_source(), fix=f"fast = cr.jit({function_name(f)}), call it, then cr.explain_recompiles(fast)",
        )  # fmt: skip
    text = retracing.history(jitted.f, jitted.cache)
    print(text)
    return Shown(text)


class Lowered(NamedTuple):
    """What ``jit`` would compile: the graph and its inputs: the arrays given, then what the function closes over.

    ``donated``: the positions of inputs whose memory results may take.
    """

    name: str
    graph: Graph
    arrays: list[Any]
    captured: list[Any]
    donated: Sequence[int]


def lowered(f: Function, args: tuple[Any, ...]) -> Lowered:
    """``f``, jitted or not, traced for these arguments."""
    name = function_name(f)
    if isinstance(f, MethodType) and isinstance(f.__func__, Jitted):
        args = (f.__self__, *args)
        f = f.__func__
    traced, arrays, donated = (f if isinstance(f, Jitted) else Jitted(f)).lower(args)
    return Lowered(name, traced.graph, arrays, traced.captured, donated)


def show_lowered(
    call: Lowered, stage: str, *, target: str = "host", optimised: bool = False, full: bool = False,
    kernel: str | int | None = None,
) -> Shown:  # fmt: skip
    """:func:`show` for what is traced already."""
    if stage not in STAGES:
        raise choose("stage", stage, STAGES, where=user_source())
    _refuse_what_has_no_use(stage, optimised, kernel)
    graph = call.graph
    if not any(isinstance(x, Expr) for x in call.captured):
        graph, _ = embed_small(graph, call.captured, EMBEDDED)
    if stage == "graph":
        text = str(graph)
    else:
        try:
            from chainrule.compile.stages import stage_text
            from chainrule.compile.target import named
        except (ImportError, OSError) as error:
            raise needs_llvmlite(error) from None
        text = stage_text(graph, stage, named(target), donated=call.donated, optimised=optimised, full=full,
                          kernel=kernel)  # fmt: skip
    _print(text, stage)
    return Shown(text)


def _refuse_what_has_no_use(stage: str, optimised: bool, kernel: str | int | None) -> None:
    """Raise OptionError for options that this stage knows nothing of."""
    for name, given, stages in (("optimised", optimised, STAGES[4:5]), ("kernel", kernel is not None, STAGES[2:])):
        if given and stage not in stages:
            raise OptionError(
                f"show: {name} has no use at this stage", expected=f"stage {' or '.join(stages)}", got=f"stage {stage}",
                where=user_source(), fix=f"leave {name} out, or name another stage",
            )  # fmt: skip


def profile_lowered(call: Lowered, repeats: int | None = None) -> Profile:
    """:func:`profile` for what is traced already."""
    arrays = [*call.arrays, *call.captured]
    if any(isinstance(x, Expr) for x in arrays):
        raise TraceError(
            f"profile of {call.name} inside a function that is being traced", expected="arrays",
            got="Symbols, which have no values to run on", where=user_source(),
            fix="call cr.profile outside of grad, jit and vmap",
        )  # fmt: skip
    try:
        from chainrule.run.profile import profile_graph
    except (ImportError, OSError) as error:
        raise needs_llvmlite(error) from None
    graph, captured = embed_small(call.graph, call.captured, EMBEDDED)
    return profile_graph(graph, [*call.arrays, *captured], name=call.name, donated=call.donated, repeats=repeats)


def _print(text: str, stage: str) -> None:
    """Print, with colours where the output is a terminal and rich is installed."""
    if sys.stdout.isatty():
        with contextlib.suppress(ImportError):
            from rich.console import Console

            Console().print(_coloured(text, stage), soft_wrap=True)
            return
    print(text)


def _coloured(text: str, stage: str) -> Any:
    if stage in _LEXERS:
        from rich.syntax import Syntax

        found = Syntax("", _LEXERS[stage], theme="ansi_dark").highlight(text)
        found.rstrip()
        return found
    from rich.text import Text

    found = Text(text)
    for pattern, style in _STYLES.items():
        found.highlight_regex(pattern, style)
    return found
