"""Finding a pendulum's length from its swing, by differentiating the simulation.

The simulation is one `scan` (leapfrog integration of θ'' = -g/l sin θ); its gradient is backpropagation through time.

    python examples/pendulum.py
"""

import numpy as np

import chainrule as cr

GRAVITY, DT, STEPS = 9.81, 0.02, 150


def angles(length, start=1.0):
    """The angle after each step, shape (STEPS,)."""

    def step(state, _):
        angle, velocity = state
        velocity = velocity - DT * GRAVITY / length * np.sin(angle)
        angle = angle + DT * velocity
        return (angle, velocity), angle

    return cr.scan(step, (start, 0.0 * start), length=STEPS)[1]


measured = angles(0.8) + 0.02 * np.random.default_rng(0).normal(size=STEPS)


def misfit(length):
    """Mean squared distance from what was measured."""
    return np.mean((angles(length) - measured) ** 2)


value_and_slope = cr.jit(cr.value_and_grad(misfit))
curvature = cr.jit(cr.grad(cr.grad(misfit)))

length = 1.0
for step in range(6):
    value, slope = value_and_slope(length)
    print(f"{step}  length {length:.3f}  misfit {value:.4f}")
    length = length - slope / np.abs(curvature(length))
    # → 0  length 1.000  misfit 0.1758
    # → 1  length 0.644  misfit 0.1830
    # → 2  length 0.745  misfit 0.0184
    # → 3  length 0.793  misfit 0.0006
    # → 4  length 0.800  misfit 0.0004
    # → 5  length 0.800  misfit 0.0004
print(f"length {length:.2f}: the pendulum was simulated with 0.80")
# → length 0.80: the pendulum was simulated with 0.80
