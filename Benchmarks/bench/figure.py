# SPDX-License-Identifier: MIT
# One figure of the comparison: what was measured on both sides, the limit, and whether it was reached.
# Values only: measures nothing, prints nothing.
"""Figures and their verdicts."""

from dataclasses import dataclass
from typing import Optional


@dataclass
class Figure:
    """ours and yardstick are in `unit`; the limit is on their ratio where there is a yardstick, else on ours."""

    row: str
    work: str
    unit: str
    limit: float
    at_most: bool
    ours: Optional[float] = None
    yardstick: Optional[float] = None
    compares: bool = True
    original: str = ""
    noise: float = 0.0

    @property
    def value(self):
        """What the limit is about; None where a side was not measured."""
        if not self.compares:
            return self.ours
        if self.ours is None or not self.yardstick:
            return None
        return self.ours / self.yardstick

    @property
    def verdict(self):
        if self.value is None:
            return "not measured"
        reached = self.value <= self.limit if self.at_most else self.value >= self.limit
        return "reached" if reached else "missed"

    def cells(self):
        """The row of the table, as texts."""
        sign = "≤" if self.at_most else "≥"
        limit = f"{sign} {short(self.limit)}" + (" ×" if self.compares else f" {self.unit}")
        ratio = f"{self.value:.2f} ×" if self.compares and self.value is not None else ""
        return [self.work, self._side(self.yardstick), self._side(self.ours), ratio, limit, self.verdict, self.original]

    def _side(self, value):
        return "" if value is None else f"{short(value)} {self.unit}"


def short(value):
    """Three digits that matter, and no fraction on large numbers."""
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"
