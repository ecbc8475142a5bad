"""Diagnosis: why a network does not learn, where, since when, and what to do."""

from __future__ import annotations

from chainrule.diagnose.diagnosis import diagnose
from chainrule.diagnose.findings import LayerRow, Verdict
from chainrule.diagnose.monitor import TrainingMonitor
from chainrule.diagnose.report import Report
from chainrule.diagnose.verdicts import KINDS
from chainrule.train.monitor import MAKERS

MAKERS.append(TrainingMonitor)

__all__ = ["KINDS", "LayerRow", "Report", "Verdict", "diagnose"]
