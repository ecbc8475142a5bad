"""Training: the loop, checkpoints, history, run folders and reports.

A line through points, found by gradient descent, and the run saved and loaded again:

>>> import numpy as np
>>> from chainrule import optim
>>> from chainrule.train import fit, load_checkpoint, save_checkpoint
>>> x = np.linspace(-1, 1, 50)
>>> y = 3 * x - 2
>>> def line(model, x):
...     return model["slope"] * x + model["offset"]
>>> def loss(model, x, y):
...     return np.mean((line(model, x) - y) ** 2)
>>> start = {"slope": np.zeros(()), "offset": np.zeros(())}
>>> result = fit(start, loss, (x, y), forward=line, optimizer=optim.sgd(0.3), epochs=40, batch_size=10)
>>> print(f"{result.model['slope']:.3f} {result.model['offset']:.3f}")
3.000 -2.000
>>> result.steps, result.stopped, list(result.history[0].gradient_norms)
(200, 'epochs', ["['offset']", "['slope']"])
>>> import pathlib, tempfile
>>> path = pathlib.Path(tempfile.mkdtemp()) / "line.safetensors"
>>> save_checkpoint(path, {"model": result.model}, {"made by": "an example"})
>>> saved = load_checkpoint(path)
>>> saved.info
{'made by': 'an example'}
>>> bool(saved.tree("model", like=start)["slope"] == result.model["slope"])
True
"""

from __future__ import annotations

from chainrule.train.checkpoint import Checkpoint, CheckpointFolder, CheckpointWarning
from chainrule.train.checkpoint import load as load_checkpoint
from chainrule.train.checkpoint import save as save_checkpoint
from chainrule.train.fit import FitResult, fit
from chainrule.train.history import EpochRecord, History
from chainrule.train.interrupt import TrainingInterrupted
from chainrule.train.options import EarlyStopping, EpochEnd, StepEnd

__all__ = [
    "Checkpoint",
    "CheckpointFolder",
    "CheckpointWarning",
    "EarlyStopping",
    "EpochEnd",
    "EpochRecord",
    "FitResult",
    "History",
    "StepEnd",
    "TrainingInterrupted",
    "fit",
    "load_checkpoint",
    "save_checkpoint",
]
