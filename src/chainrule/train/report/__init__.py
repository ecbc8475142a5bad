"""The report of a run: one HTML page that needs nothing else."""

from __future__ import annotations

from chainrule.train.report.page import Evaluation, Mistake, Report, render

__all__ = ["Evaluation", "Mistake", "Report", "render"]
