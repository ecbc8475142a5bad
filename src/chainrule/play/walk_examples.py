"""Expressions worth walking through, each with the reason why; the first is where the walkthrough starts.

Does not do: networks of arrays from Python code; those are explained with ``cr.explain`` and opened as JSON.
"""

from __future__ import annotations

from typing import Any, NamedTuple


class Example(NamedTuple):
    """An expression, the values it starts from, what it is differentiated by, and why it is here."""

    id: str
    title: str
    reason: str
    expression: str
    at: dict[str, Any]
    wrt: tuple[str, ...]
    learning_rate: float = 0.1

    def as_data(self) -> dict[str, Any]:
        """For the page."""
        return {**self._asdict(), "wrt": list(self.wrt)}


EXAMPLES = (
    Example(
        "neuron", "One neuron",
        "The smallest whole story: a weighted input, a ReLU, a squared error, three factors of the chain rule.",
        "z = w*x + b; a = relu(z); L = (a - y)**2", {"x": 2.0, "w": 0.5, "b": 0.0, "y": 0.0}, ("w",),
    ),
    Example(
        "fan-out", "One value used twice",
        "x and a reach the loss over several ways; what comes back over each of them is added.",
        "a = sin(x); L = a*x + exp(a)", {"x": 0.4}, ("x",),
    ),
    Example(
        "logistic", "Sigmoid and cross-entropy",
        "The long chain through a logarithm and a sigmoid comes to the short p − y.",
        "z = w*x + b; p = sigmoid(z); L = -(y*log(p) + (1 - y)*log(1 - p))",
        {"x": 1.5, "w": 0.8, "b": -0.2, "y": 1.0}, ("w", "b"), 0.5,
    ),
    Example(
        "saturated", "A saturated neuron",
        "Far from 0 a sigmoid is flat: the error is large, yet almost none of it gets back to w.",
        "z = w*x + b; a = sigmoid(z); L = (a - y)**2", {"x": 2.0, "w": 4.0, "b": 0.0, "y": 0.0}, ("w", "b"), 1.0,
    ),
    Example(
        "dead", "A dead ReLU",
        "z is below 0, the ReLU is off, and the gradient stops there, whatever the error is.",
        "z = w*x + b; a = relu(z); L = (a - y)**2", {"x": 2.0, "w": -0.5, "b": 0.0, "y": 1.0}, ("w", "b"),
    ),
    Example(
        "vanishing", "Five layers of tanh",
        "Each layer multiplies by a slope below 1: watch the gradient shrink on its way back.",
        "a = tanh(w*x); b = tanh(w*a); c = tanh(w*b); d = tanh(w*c); e1 = tanh(w*d); L = (e1 - y)**2",
        {"w": 0.7, "x": 1.0, "y": 1.0}, ("w", "x"),
    ),
    Example(
        "network", "A network of two neurons",
        "The same rule on a small network: h and g both reach the loss, and x feeds both of them.",
        "h = tanh(u1*x + b1); g = tanh(u2*x + b2); p = v1*h + v2*g; L = (p - y)**2",
        {"u1": 0.8, "x": 1.0, "b1": 0.0, "u2": -1.2, "b2": 0.5, "v1": 1.0, "v2": 0.6, "y": 1.0},
        ("u1", "u2", "v1", "v2"), 0.2,
    ),
    Example(
        "shared", "A weight that is used twice",
        "w stands in two layers; its gradient is the sum over both uses.",
        "h = tanh(w*x); L = (w*h - y)**2", {"w": 0.9, "x": 1.2, "y": 0.1}, ("w",),
    ),
    Example(
        "softmax", "Softmax of two classes",
        "The gradients by the two scores come to p − 1 and q: they add up to 0.",
        "e1 = exp(z1); e2 = exp(z2); p = e1/(e1 + e2); L = -log(p)", {"z1": 0.5, "z2": 1.2}, ("z1", "z2"), 0.5,
    ),
    Example(
        "layer", "A layer, as arrays",
        "Vectors and a matrix: every gradient has the shape of what it belongs to.",
        "z = W@x + b; a = tanh(z); L = sum((a - y)**2)",
        {"W": [[0.2, -0.4], [0.7, 0.1], [-0.3, 0.5]], "x": [1.0, 2.0], "b": [0.0, 0.1, 0.0], "y": [0.0, 1.0, 0.0]},
        ("W", "b"), 0.2,
    ),
    Example(
        "quotient", "Close to a division by zero",
        "Drag x towards 0: value and slope grow without bound, and at 0 there is no finite number.",
        "r = 1/x; L = (r - 1)**2", {"x": 0.5}, ("x",), 0.01,
    ),
    Example(
        "overflow", "Leaving the finite numbers",
        "exp of exp of x is beyond what floats hold for x above 6.57: the steps show where it happens.",
        "a = exp(x); b = exp(a); L = log(1 + b)", {"x": 1.0}, ("x",),
    ),
    Example(
        "kink", "The kink of |x|",
        "At 0 the two sides have different slopes; the engine says which it takes.",
        "L = abs(x - c)", {"x": 1.5, "c": 1.0}, ("x",), 0.5,
    ),
)  # fmt: skip
