"""What a row of the table found, and its JSON."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass
class Outcome:
    """One row.  ``goals``: wanted ratio per peer; ``limit``: most that ours may be; ``share_goal``: of the peak.

    ``unit`` is "s" or "bytes".  ``details`` (least times, compile times of peers, …) stand in the summary only.
    """

    name: str
    workload: str
    ours: float
    peers: dict[str, float]
    goals: dict[str, float] = field(default_factory=dict)
    flops: int | None = None
    peak: float | None = None
    share_goal: float | None = None
    limit: float | None = None
    compile_s: float | None = None
    unit: str = "s"
    notes: list[str] = field(default_factory=list)
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def ratios(self) -> dict[str, float]:
        """How many times as much each peer takes; infinite where ours takes nothing."""
        return {name: value / self.ours if self.ours else float("inf") for name, value in self.peers.items()}

    @property
    def share(self) -> float | None:
        """Share of the machine's measured peak (GFLOP/s)."""
        return None if not self.flops or not self.peak else self.flops / self.ours / self.peak / 1e9

    def met(self) -> dict[str, bool]:
        """Each goal that could be judged, and whether it is reached."""
        found = {f"× {peer}": self.ratios[peer] >= goal for peer, goal in self.goals.items() if peer in self.ratios}
        if self.share_goal is not None and self.share is not None:
            found["share of peak"] = self.share >= self.share_goal
        if self.limit is not None:
            found["limit"] = self.ours <= self.limit
        return found

    def to_json(self) -> dict[str, Any]:
        """The row's own file."""
        ratios = {name: ratio if ratio < float("inf") else None for name, ratio in self.ratios.items()}
        if self.unit == "bytes":
            return {"workload": self.workload, "ours_bytes": self.ours, "peers": self.peers, "ratios": ratios}
        return {
            "workload": self.workload, "ours_s": self.ours, "peers": self.peers, "ratios": ratios,
            "flops": self.flops, "share_of_peak": self.share, "compile_s": self.compile_s,
        }  # fmt: skip

    def summary(self) -> dict[str, Any]:
        """The row in the file of the whole table: also its goals, whether they are met, and how it was found."""
        return {
            "name": self.name, **self.to_json(), "goals": self.goals, "share_goal": self.share_goal,
            "peak_gflops": self.peak, "limit": self.limit, "met": self.met(), "notes": self.notes,
            "details": self.details,
        }  # fmt: skip
