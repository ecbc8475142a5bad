"""Training steps by the thousand: one native loop per shape of network, and NumPy until it is compiled.

A *program* is the function of one loop over prepared rows of examples: gradient by ``cr.grad``, update by an optimizer
of :mod:`chainrule.optim` (or by the rule of ``compatible``).  Number of steps, learning rates, regularisation and data
are arguments, so no live change compiles anything.  Programs are shared by all players and found by their shape; they
compile one at a time on one background thread, and a player runs the same function through the NumPy evaluator in the
meantime.  Steps of the two agree to rounding; steps of one are the same bits however they are cut into calls.

Does not do: deciding how many steps to take, and what to do about numbers that are not finite (``course``).
"""

from __future__ import annotations

import collections
import dataclasses
import threading
import time
from typing import Any, NamedTuple

import numpy as np

from chainrule.api import grad, jit, value_and_grad
from chainrule.base import trees
from chainrule.base.errors import ChainruleError
from chainrule.jitted import Jitted
from chainrule.optim import apply_updates
from chainrule.optim.named import named
from chainrule.optim.transforms import global_norm
from chainrule.play import compatible
from chainrule.play.compatible import Held
from chainrule.play.context import Context
from chainrule.play.network import Network, Task, batch_loss, penalty
from chainrule.transforms.control import fori_loop

Array = Any

_TABLE = 1 << 15  # examples in the rows of one call
_MOST_PROGRAMS = 48


@dataclasses.dataclass(frozen=True, eq=False)
class State:
    """Where a training stands: parameters, the optimizer's state, what the compatible rule holds, and the position.

    ``step``: rows taken so far; ``epoch`` and ``batch``: the next row; ``example``: how many of its examples are done.
    """

    network: Network
    optimizer: Any
    held: Held | None
    step: int = 0
    epoch: int = 0
    batch: int = 0
    example: int = 0

    @property
    def position(self) -> tuple[int, int]:
        """Rows and examples done: positions are in order."""
        return self.step, self.example

    @property
    def bytes(self) -> int:
        """About how much memory it takes."""
        return 4_000 + sum(int(leaf.nbytes) for leaf in trees.leaves((self.network, self.optimizer, self.held)))


def start(context: Context, network: Network) -> State:
    """The state before the first step."""
    held = Held.empty(network) if context.settings.compatible else None
    return State(network, optimizer_state(context, network), held)


def optimizer_state(context: Context, network: Network) -> Any:
    """A fresh state of the optimizer; the compatible rule has none."""
    return () if context.settings.compatible else fresh_state(context.settings.optimizer, network)


def fresh_state(optimizer: str, network: Network) -> Any:
    """The first state of an optimizer whose rate is an argument of each step."""
    return named(optimizer, lambda count: count).init(network)


class Shape(NamedTuple):
    """What a program is compiled for."""

    sizes: tuple[int, ...]
    activations: tuple[str, ...]
    task: Task
    optimizer: str  # "" for the compatible rule
    clipped: bool
    width: int
    capacity: int

    @property
    def rows(self) -> int:
        """The rows of examples that one call can take."""
        return max(16, min(4096, _TABLE // self.width))


def shape_of(context: Context) -> Shape:
    """The shape of the programs that train under ``context``."""
    s = context.settings
    return Shape(
        context.sizes, context.activations, context.task, "" if s.compatible else s.optimizer, s.clip is not None,
        context.width, len(context.tables.x),
    )  # fmt: skip


def gradient_of(network: Network, task: Task, x: Array, t: Array, weight: Array, l1: Array, l2: Array) -> Network:
    """The gradient of a batch's loss, regularisation included, by the parameters."""
    found: Network = grad(lambda n: batch_loss(n, task, x, t, weight) + penalty(n, l1, l2))(network)
    return found


def update_of(
    shape: Shape, gradient: Network, state: Any, network: Network, rate: Array, clip: Array
) -> tuple[Network, Any]:
    """What the optimizer adds to the parameters, and its next state."""
    if shape.clipped:
        factor = np.minimum(clip / (global_norm(gradient) + 1e-6), 1)
        gradient = trees.map(lambda g: g * factor, gradient)
    found: tuple[Network, Any] = named(shape.optimizer, lambda count: rate).update(gradient, state, network)
    return found


def _loop(shape: Shape) -> Any:
    """The function of one call: ``count`` steps over the first rows of ``order``."""

    def train(
        network: Network, optimizer: Any, held: Any, x: Array, t: Array, order: Array, full: Array, rates: Array,
        l1: Array, l2: Array, clip: Array, count: Array,
    ) -> Any:  # fmt: skip
        def body(i: Array, carry: Any) -> Any:
            network, optimizer, held = carry
            row = order[i]
            weight = (row >= 0).astype(np.float64)
            at = np.maximum(row, 0)
            xs, ts, rate = x[at], t[at], rates[i]
            if not shape.optimizer:
                network, held = compatible.step(network, held, shape.task, xs, ts, weight, full[i], rate, l1, l2)
                return network, optimizer, held
            gradient = gradient_of(network, shape.task, xs, ts, weight, l1, l2)
            updates, optimizer = update_of(shape, gradient, optimizer, network, rate, clip)
            return apply_updates(network, updates), optimizer, held

        return fori_loop(0, count, body, (network, optimizer, held))

    return train


class Measured(NamedTuple):
    """One row of examples looked at: what a step would do with it, and the numbers of every node.

    ``loss`` is the mean over the row, ``gradient`` that of the loss with its penalty (in the compatible rule: of the
    mean over all summed examples, without it) and ``update`` what would be added to the parameters.  ``before`` and
    ``after``: pre-activations and activations per layer, (examples, neurons); ``cotangents``: of both, ∂E/∂z and ∂E/∂a
    of each example's own loss E, which is in ``losses``.  ``inputs``: of the row's examples.
    """

    inputs: Array
    loss: Array
    penalty: Array
    losses: Array
    gradient: Network
    update: Network
    before: list[Array]
    after: list[Array]
    cotangents: list[tuple[Array, Array]]


def _measure(shape: Shape) -> Any:
    def measure(
        network: Network, optimizer: Any, held: Any, x: Array, t: Array, weight: Array, full: Array, rate: Array,
        l1: Array, l2: Array, clip: Array,
    ) -> Any:  # fmt: skip
        zeros = [(np.zeros((len(weight), n)),) * 2 for n in shape.sizes[1:]]
        total = np.sum(weight)

        def loss(network: Network, probes: Any) -> Any:
            before, after = network.forward(x, probes)
            each = shape.task.per_example(after[-1], t)
            return np.sum(weight * each) / total, (each, before, after)

        (value, aux), (gradient, probes) = value_and_grad(loss, argnums=(0, 1), has_aux=True)(network, zeros)
        each, before, after = aux
        extra = penalty(network, l1, l2)
        if shape.optimizer:
            gradient = gradient_of(network, shape.task, x, t, weight, l1, l2)
            update, _ = update_of(shape, gradient, optimizer, network, rate, clip)
        else:
            moved, _ = compatible.step(network, held, shape.task, x, t, weight, full, rate, l1, l2)
            update = trees.map(lambda new, old: new - old, moved, network)
            gradient = compatible.mean_gradient(held, gradient, total)
        cotangents = [(dz * total, da * total) for dz, da in probes]
        return value, extra, each, gradient, update, before, after, cotangents

    return measure


class Program:
    """The loop of one shape, by NumPy at once and natively when it is compiled."""

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self._numpy: Jitted = jit(_loop(shape), backend="numpy")
        self._native: Jitted | None = None
        self.measure: Jitted = jit(_measure(shape), backend="numpy")
        self.failed = ""
        self.prepared = False  # whether what measures a batch was traced
        self.wanted = 0
        self._timed: set[bool] = set()
        self.seconds = {False: 3e-4, True: 1e-6 * max(1, sum(shape.sizes))}  # a step's, by native or not; as measured

    @property
    def native(self) -> bool:
        """Whether native code is there."""
        return self._native is not None

    def prepare(self) -> None:
        """Trace what measures a batch, on the calling thread."""
        if not self.prepared:
            network, optimizer, held, x, t, order, full, rates = self._nothing()[:8]
            weight, zero = np.ones(self.shape.width), np.zeros(())
            at = order[0]
            with np.errstate(all="ignore"):
                self.measure(network, optimizer, held, x[at], t[at], weight, full[0], rates[0], zero, zero, zero)
            self.prepared = True

    def compile(self) -> None:
        """Compile, on the calling thread."""
        if self._native is not None or self.failed:
            return
        compiled = jit(_loop(self.shape), backend="native")
        try:
            compiled(*self._nothing())
        except Exception as error:  # whatever it is, NumPy goes on
            self.failed = error.problem if isinstance(error, ChainruleError) else type(error).__name__
            return
        self._native = compiled

    def _nothing(self) -> tuple[Any, ...]:
        """Arguments of the right shapes for no steps at all."""
        from chainrule import nn

        shape = self.shape
        sizes = zip(shape.sizes, shape.sizes[1:], strict=False)
        layers = tuple(nn.Linear(np.zeros((a, b)), np.zeros(b)) for a, b in sizes)
        network = Network(layers, shape.activations)
        optimizer = fresh_state(shape.optimizer, network) if shape.optimizer else ()
        held = None if shape.optimizer else Held.empty(network)
        x, t = np.zeros((shape.capacity, shape.sizes[0])), np.zeros((shape.capacity, shape.task.outputs))
        order, full = np.zeros((shape.rows, shape.width), np.int64), np.ones(shape.rows, np.bool_)
        zero = np.zeros(())
        return network, optimizer, held, x, t, order, full, np.zeros(shape.rows), zero, zero, zero, np.int64(0)

    def run(self, native: bool, arguments: tuple[Any, ...]) -> Any:
        """One call; ``native`` asks for native code, which must be there."""
        function = self._native if native else self._numpy
        assert function is not None
        with np.errstate(all="ignore"):
            return function(*arguments)

    def time(self, native: bool, count: int, seconds: float) -> None:
        """Take note of how long ``count`` steps took; the first call of either kind traces, and is no measure."""
        if native not in self._timed:
            self._timed.add(native)
        elif count:
            self.seconds[native] = 0.5 * self.seconds[native] + 0.5 * seconds / count


class Programs:
    """The programs of all players, by shape, and the thread that compiles them one at a time."""

    def __init__(self) -> None:
        self._lock = threading.Condition()
        self._known: collections.OrderedDict[Shape, Program] = collections.OrderedDict()
        self._queue: collections.deque[tuple[Program, bool]] = collections.deque()
        self._thread: threading.Thread | None = None

    def take(self, shape: Shape) -> Program:
        """The program of a shape, which the caller uses until :meth:`leave`."""
        with self._lock:
            program = self._known.get(shape)
            if program is None:
                program = self._known[shape] = Program(shape)
            self._known.move_to_end(shape)
            program.wanted += 1
            self._forget()
            return program

    def leave(self, program: Program) -> None:
        """The caller does not use the program any more; one that nobody uses is not compiled."""
        with self._lock:
            program.wanted -= 1

    def compile_soon(self, program: Program, native: bool = True) -> None:
        """Prepare and compile (or prepare alone) in the background, after those asked for before."""
        if program.prepared and (program.native or program.failed or not native):
            return
        with self._lock:
            if (program, native) in self._queue:
                return
            self._queue.append((program, native))
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._work, name="chainrule-play-compile", daemon=True)
                self._thread.start()
            self._lock.notify()

    def _forget(self) -> None:
        idle = [shape for shape, program in self._known.items() if program.wanted <= 0]
        for shape in idle[: max(0, len(self._known) - _MOST_PROGRAMS)]:
            del self._known[shape]

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._queue and not self._lock.wait(timeout=30):
                    self._thread = None
                    return
                if not self._queue:
                    continue
                program, native = self._queue[0]
            if program.wanted > 0:
                program.prepare()
                if native:
                    program.compile()
            with self._lock:
                self._queue.popleft()


PROGRAMS = Programs()
"""Shared by all players of a process."""


def advance(program: Program, context: Context, state: State, count: int, native: bool) -> State:
    """``count`` rows further, the first of which may have been begun example by example.

    At most ``program.shape.rows`` at a time.
    """
    shape = program.shape
    rows, full = context.batches(state.epoch, state.batch, count)
    order, flags = _room(shape, rows, full)
    if state.example and context.settings.compatible:  # their gradients are in the sums already
        order = order.copy()
        order[0, : state.example] = -1
    began = time.perf_counter()
    network, optimizer, held = program.run(native, _arguments(shape, context, state, order, flags, count))
    program.time(native, count, time.perf_counter() - began)
    epochs, batch = divmod(state.batch + count, context.rows)
    return State(network, optimizer, held, state.step + count, state.epoch + epochs, batch)


def advance_example(program: Program, context: Context, state: State, native: bool) -> State:
    """One example further; the row's update comes with its last example."""
    rows, full = context.batches(state.epoch, state.batch, 1)
    size = int(np.sum(rows[0] >= 0))
    last = state.example + 1 >= size
    if not context.settings.compatible:
        if last:
            return advance(program, context, state, 1, native)
        return dataclasses.replace(state, example=state.example + 1)
    one = np.full_like(rows, -1)
    one[0, state.example] = rows[0, state.example]
    order, flags = _room(program.shape, one, full & last)
    network, optimizer, held = program.run(native, _arguments(program.shape, context, state, order, flags, 1))
    if not last:
        return State(network, optimizer, held, state.step, state.epoch, state.batch, state.example + 1)
    epochs, batch = divmod(state.batch + 1, context.rows)
    return State(network, optimizer, held, state.step + 1, state.epoch + epochs, batch)


def measured(program: Program, context: Context, state: State) -> Measured:
    """The next row looked at, without a step."""
    rows, full = context.batches(state.epoch, state.batch, 1)
    row = rows[0]
    weight = (row >= 0).astype(np.float64)
    at = np.maximum(row, 0)
    clip = np.float64(context.settings.clip or 0.0)
    arguments = (
        state.network, state.optimizer, state.held, context.tables.x[at], context.tables.t[at], weight, full[0],
        np.float64(context.rates(state.step, 1)[0]), np.float64(context.l1), np.float64(context.l2), clip,
    )  # fmt: skip
    with np.errstate(all="ignore"):
        found = Measured(context.tables.x[at], *program.measure(*arguments))
    program.prepared = True
    return found


def _room(shape: Shape, rows: Array, full: Array) -> tuple[Array, Array]:
    """Rows in a table of the program's size."""
    if len(rows) == shape.rows:
        return np.ascontiguousarray(rows), full
    order, flags = np.full((shape.rows, shape.width), -1, np.int64), np.zeros(shape.rows, np.bool_)
    order[: len(rows)], flags[: len(full)] = rows, full
    return order, flags


def _arguments(shape: Shape, context: Context, state: State, order: Array, full: Array, count: int) -> tuple[Any, ...]:
    rates = context.rates(state.step, shape.rows)
    clip = np.float64(context.settings.clip or 0.0)
    return (
        state.network, state.optimizer, state.held, context.tables.x, context.tables.t, order, full, rates,
        np.float64(context.l1), np.float64(context.l2), clip, np.int64(count),
    )  # fmt: skip


