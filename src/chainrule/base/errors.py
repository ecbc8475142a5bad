"""The errors of chainrule.  Each says what is wrong, what was expected, what came, where, and what to do.

Every class also derives from the builtin that Python or NumPy would raise in its place, so that
``except ValueError`` written for NumPy code still catches.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np


class ChainruleError(Exception):
    """Base of all errors raised on purpose.

    ``problem`` is one sentence; ``expected``, ``got``, ``where`` and ``fix`` follow on lines of their own.
    """

    def __init__(
        self,
        problem: str,
        *,
        expected: object = None,
        got: object = None,
        where: object = None,
        fix: object = None,
    ) -> None:
        self.problem = problem
        self.expected = expected
        self.got = got
        self.where = where
        self.fix = fix
        parts = [problem]
        for label, part in (("expected", expected), ("got", got), ("where", where), ("what to do", fix)):
            if part is not None:
                parts.append(f"  {label}: {part}")
        super().__init__("\n".join(parts))


class ShapeError(ChainruleError, ValueError):
    """Shapes that do not fit together."""


class IndexingError(ShapeError, IndexError):
    """An index that does not fit the array."""


class DtypeError(ChainruleError, TypeError):
    """A dtype the operation is not defined for."""


class NotDifferentiableError(ChainruleError, TypeError):
    """A derivative was asked for through, or with respect to, something that states it has none."""


class TraceError(ChainruleError, TypeError):
    """A Symbol met code that would lose its gradient or needs a value it does not have."""


class LeakedSymbolError(TraceError):
    """A Symbol was used after the function that made it returned."""


class UnsupportedError(ChainruleError, NotImplementedError):
    """A NumPy function, or an option of one, that is not traced."""


class GraphError(ChainruleError, ValueError):
    """A graph that breaks the rules the checker enforces, or a text that does not parse as one."""


class TreeError(ChainruleError, ValueError):
    """Two trees that should have the same structure do not."""


class GradientError(ChainruleError, AssertionError):
    """``check_grads`` found a derivative that disagrees with finite differences."""


class OptionError(ChainruleError, ValueError):
    """An option has a value that is not among the valid ones."""


class ExpressionError(ChainruleError, ValueError):
    """A typed formula that can't be read or computed; ``where`` shows the place."""


class DataError(ChainruleError, ValueError):
    """A data file or array that can't be used as asked."""


class CheckpointError(ChainruleError, ValueError):
    """A checkpoint that is damaged, missing, or of another architecture."""


class LinalgError(ChainruleError, np.linalg.LinAlgError):
    """A matrix that the asked-for operation does not exist for (singular, not positive definite, not finite)."""


class DonatedError(ChainruleError, ValueError):
    """An array was used after its memory was given away (``donate_argnums``)."""


class OutOfMemoryError(ChainruleError, MemoryError):
    """There is not enough memory for what a compiled program has planned."""


class TrainingError(ChainruleError, RuntimeError):
    """Training can't go on (a loss that is not finite, an output folder that can't be written)."""


def choose(name: str, value: object, valid: Iterable[object], *, where: object = None) -> OptionError:
    """The error for option ``name`` with an unknown ``value``: it lists the valid ones."""
    listed = ", ".join(str(v) for v in valid)
    return OptionError(
        f"unknown value for {name}",
        expected=f"one of: {listed}",
        got=repr(value),
        where=where,
        fix=f"pass {name} one of the values listed",
    )
