"""Newton's method with an exact Hessian: the minimum of Rosenbrock's function in a handful of steps.

    python examples/newton.py
"""

import numpy as np

import chainrule as cr


def rosenbrock(x):
    """A bent valley with its lowest point, 0, at (1, 1)."""
    return (1 - x[0]) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2


gradient = cr.jit(cr.grad(rosenbrock))
hessian = cr.jit(cr.hessian(rosenbrock))

x = np.array([-1.2, 1.0])
for step in range(6):
    print(f"{step}  f = {rosenbrock(x):11.6f}  |gradient| = {np.linalg.norm(gradient(x)):11.6f}")
    x = x - np.linalg.solve(hessian(x), gradient(x))
    # → 0  f =   24.200000  |gradient| =  232.867688
    # → 1  f =    4.731884  |gradient| =    4.639426
    # → 2  f = 1411.845179  |gradient| = 1370.789849
    # → 3  f =    0.055966  |gradient| =    0.473110
    # → 4  f =    0.313189  |gradient| =   25.027446
    # → 5  f =    0.000000  |gradient| =    0.000009
print(f"minimum at {x.round(6)}")
# → minimum at [1. 1.]
