"""Training: the loop, checkpoints, history, run folders and reports."""

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
