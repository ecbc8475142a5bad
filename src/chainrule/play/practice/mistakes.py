"""The catalogue of mistakes: what is said to who made one.

A mistake's numbers are computed per item by the engine (see the makers of the kinds); here stands what it means.  Each
sentence says what was done and what is right, without blame.
"""

from __future__ import annotations

SENTENCES: dict[str, str] = {
    # the chain rule
    "forgot-inner": "This is what you get if you forget the inner factor: the derivative of the outer function has "
    "to be "
    "multiplied by the derivative of what stands inside.",
    "forgot-factor": "This is what you get if you forget one factor: every link on the path gives one, and all are "
    "multiplied.",
    "forgot-arriving": "This is the local derivative alone. It still has to be multiplied by what arrives from above.",
    "forgot-local": "This is what arrives, passed on unchanged. It still has to be multiplied by the local derivative.",
    "at-x": "This is what you get if you evaluate the outer derivative at $x$ instead of at the inner function's "
    "value.",
    "sum-for-product": "This is what you get if you add the factors. Along a path, local derivatives are multiplied.",
    "product-of-derivatives": "This is what you get for a product of two functions. This one is a composition: one "
    "function is taken of the other.",
    "inner-alone": "This is the derivative of the inner function alone. The outer one has a derivative too.",
    "sign": "The size is right, the sign is not: follow the minus signs once more.",
    "power-not-lowered": "This is what you get if the exponent is not lowered by one.",
    "exponent-forgotten": "This is what you get if the old exponent (or the number in front) is not multiplied in "
    "front.",
    "not-differentiated": "This is the function's own value. Its derivative is asked for.",
    "y-for-z": "This is what you get if you mix up what goes in and what comes out: the formula for the derivative "
    "takes the "
    "other of the two.",
    "own-factor": "This is the factor itself. In a product, the derivative by one factor is the other factor.",
    "forgot-square": "This is what you get if the denominator is not squared.",
    "forgot-output-squared": "The output is squared here: the derivative is one minus its square.",
    # fan-out
    "one-path": "This is one path alone. The value reaches the loss in several ways, and what comes back over each "
    "is added.",
    "overwrote": "This is what you get if the contribution that comes last overwrites what was there, instead of being "
    "added to it.",
    "multiplied-paths": "This is what you get if the paths are multiplied with each other. Along a path one "
    "multiplies; between "
    "paths one adds.",
    "subtracted-paths": "This is the difference of the paths: their contributions are added, each with its own sign.",
    # inner and outer
    "took-outer": "This is the outer function: it is applied last. The inner one is what it is applied to.",
    "took-whole": "This is the whole function. The inner one is what stands inside of the outermost step.",
    "took-derivative": "This is a derivative. Asked is a part of the function itself.",
    "skipped-layer": "A layer is missing here: between the inner function and the outermost step there is one more.",
    "from-outside": "This is the order from the outside in: the one that differentiation takes. Computing goes from "
    "the "
    "inside out.",
    "as-written": "This is the order in which the parts are written. What is computed first is innermost.",
    # what is saved
    "kept-everything": "Nothing wrong with that but memory: some of these are never read by the backward pass.",
    "kept-own": "In a product, the derivative by one factor reads the other factor, not the factor itself.",
    "kept-too-little": "One of the local derivatives on the way reads more than this.",
    "kept-for-sum": "A sum's local derivatives are 1: it needs none of its values again.",
    # order
    "forward-order": "This is the order of the forward pass. The backward pass starts at the loss.",
    "depth-first": "This goes down one path as far as it can. A node has to wait until all that use it have sent "
    "their part.",
    "by-distance": "This goes by the distance from the loss. A node near the loss may still wait for one that is "
    "further away.",
    "direct-only": "These use it directly. They in turn wait for the nodes that use them.",
    "everything-else": "Some of these are not above it: they are below, or beside, and send nothing to it.",
    # kinks
    "ignored-gate": "This is what you get if the ReLU is passed as if it were not there. Where its input is below "
    "0, nothing "
    "passes.",
    "closed-gate": "This takes the ReLU as off. Its input is above 0 here, so its derivative is 1.",
    "wrong-branch": "This is the branch that was not chosen. Only the larger of two values has a say.",
    "at-the-kink": "Both sides are right. At the kink itself the engine returns another number.",
    "counted-all": "This counts every example. Those whose ReLU is off add nothing.",
    "counted-off": "This counts the examples whose ReLU is off: it is the other ones that count.",
    "forgot-input": "This is what you get if you only count the examples that are on: each adds its own input $x$.",
    "sides-swapped": "The two sides are swapped: left means coming from smaller values.",
    "smooth-at-kink": "This takes one slope for both sides. At a kink the two sides differ.",
    # arrays
    "transposed": "This is transposed: rows and columns are swapped.",
    "shape-of-output": "This is the shape of what comes out. A gradient has the shape of what it is the gradient of.",
    "shape-of-input": "This is the shape of the other factor. A gradient has the shape of what it is the gradient of.",
    "not-summed": "This keeps the axis it was repeated along. What was repeated forwards is summed backwards.",
    "kept-axis": "This keeps an axis of 1 that the original does not have.",
    "wrong-axis": "This sums over the other axis.",
    "mean-for-sum": "This is what you get if you average. Broadcasting repeats a value, so its gradients are added.",
    "first-row": "This is the first example alone. Every row used the same value: all of them send something back.",
    "wrong-product": "With these shapes the product does not exist, or has another shape than the weights.",
    "wrong-pairing": "This pairs the wrong row and column. Entry $(i, j)$ of a weight meets input $i$ and output $j$.",
    # softmax
    "forgot-label": "This is the probability itself: the label still has to be subtracted.",
    "label-minus-p": "The sign is turned round: it is the probability minus the label.",
    "forgot-softmax": "This is the derivative by the probability $p$. It still has to go back through the softmax.",
    "own-derivative": "This uses $p\\cdot(1-p)$ alone, the softmax's derivative, and forgets the loss.",
    "not-averaged": "This is what you get if the mean is not divided by the number of examples.",
    "true-class-only": "This moves the true class alone. The other probabilities are too high as well, so their logits "
    "get a gradient too.",
    # the wrong line
    "follows": "This line follows rightly from the one before: the mistake came in earlier.",
    "is-right": "This line is right. Compute it again from the lines it names.",
    "value-as-printed": "This is the value that stands there already: it is the one that is wrong.",
    # directions
    "up-the-slope": "This is the way of the gradient: it raises the loss. A step of descent goes against it.",
    "moves-though-flat": "The gradient is 0 here, so this step moves nothing.",
    "stays-though-steep": "The gradient is not 0, so a step moves it.",
    "forgot-rate": "This is what you get if the gradient is not multiplied by the learning rate.",
    "gradient-as-value": "This is the step alone: it is subtracted from the weight that was there.",
    "gave-gradient": "This is the gradient. Asked is the weight after the step.",
    # diagnosis
    "late-layer": "This layer is close to the loss: hardly any factor stands between. Look where the factors pile up.",
    "largest-gradient": "This layer gets the most. Asked is the one that starves.",
    "other-layer": "The factors of this layer are of ordinary size: it passes the gradient on.",
    "blamed-weight": "The layer is right, and its weight is of ordinary size. Look at the slope of its activation.",
    "blamed-slope": "The layer is right, and its activation has a fair slope. Look at its weight.",
    "dead-or-saturated": "A ReLU that is off has slope exactly 0; a saturated one has a slope that is small, not 0.",
    "one-factor": "This is the smallest factor alone. All the factors on the way are multiplied.",
    "added-factors": "This adds the factors. Along a path they are multiplied.",
    "slopes-only": "This multiplies the slopes and leaves out the weights: each layer gives both.",
}
