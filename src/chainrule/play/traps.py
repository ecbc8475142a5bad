"""What a person should know about their settings: the traps of the reference's rule, and data that teach nothing.

Does not do: faults of a running network (``verdict``).
"""

from __future__ import annotations

import numpy as np

from chainrule.play.context import Context


def traps(context: Context) -> list[str]:
    """Sentences, most important first."""
    s, n, found = context.settings, context.count, []
    if s.compatible and s.batch_size > n > 0:
        found.append(
            f"A batch of {s.batch_size} is larger than the {n} training examples: by the reference's rule the network "
            "never updates. The default mode takes all examples as one batch."
        )
    elif s.compatible and n % s.batch_size:
        found.append(
            f"{n} examples leave {n % s.batch_size} over after the last whole batch: by the reference's rule they join "
            "the first update of the next epoch. The default mode applies them as a smaller batch."
        )
    if s.compatible and s.regularization == "l1" and s.regularization_rate:
        found.append("By the reference's rule a weight that L1 carries across zero stays zero for ever.")
    if not n:
        found.append("There are no points to train on.")
    elif context.task.classes and len(np.unique(context.data.labels[:n])) < 2:
        found.append("All training examples have the same label: there is nothing to tell apart.")
    return found
