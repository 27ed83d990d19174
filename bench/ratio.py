"""How results are told: the median of pairwise ratios with quartiles, and a verdict."""

import dataclasses
import os
import statistics
from collections.abc import Iterable, Sequence

WIDTH_MAX = 0.40


@dataclasses.dataclass(frozen=True, slots=True)
class Goal:
    """What a ratio should reach, and what it must not miss; `less`: small ratios are good."""

    target: float
    floor: float
    less: bool = False

    def verdict(self, middle: float) -> str:
        """`ok` at the target, `below target`, or `below floor`."""
        sign = -1 if self.less else 1
        if sign * middle >= sign * self.target:
            return "ok"
        return "below target" if sign * middle >= sign * self.floor else "below floor"


@dataclasses.dataclass(frozen=True, slots=True)
class Outcome:
    """One row of the table: ratios of pairs, figures of both sides, the load meanwhile."""

    row: str
    what: str
    ratios: tuple[float, ...]
    goal: Goal | None
    load: float
    note: str = ""

    def quartiles(self) -> tuple[float, float, float]:
        """Low, median and high."""
        if len(self.ratios) < 2:
            return (self.ratios[0],) * 3
        low, middle, high = statistics.quantiles(self.ratios, n=4, method="inclusive")
        return low, middle, high

    def verdict(self) -> str:
        """The goal's verdict, or `inconclusive` where the quartiles are too far apart."""
        low, middle, high = self.quartiles()
        if high - low > WIDTH_MAX * middle:
            return "inconclusive"
        return self.goal.verdict(middle) if self.goal else "ok"

    def line(self) -> str:
        """The row as a line of the table."""
        low, middle, high = self.quartiles()
        goal = f"{self.goal.target:6.2f} {self.goal.floor:6.2f}" if self.goal else " " * 13
        return (
            f"{self.row:3} {self.what:46} {middle:7.2f} ({low:.2f} to {high:.2f}) "
            f"{goal}  {self.verdict():13} {self.load:5.1f}"
        )


def report(
    row: str,
    what: str,
    top: Sequence[float],
    bottom: Sequence[float],
    goal: Goal | None = None,
    note: str = "",
) -> Outcome:
    """Print one line for pairs of figures and return the outcome of top / bottom."""
    ratios = tuple(left / right for left, right in zip(top, bottom, strict=True))
    found = Outcome(row, what, ratios, goal, os.getloadavg()[0], note)
    low, middle, high = found.quartiles()
    print(
        f"{row}  {what}: median ratio {middle:.2f} (quartiles {low:.2f} to {high:.2f}), "
        f"{statistics.median(top):.4g} / {statistics.median(bottom):.4g}, {len(ratios)} pairs, "
        f"load {found.load:.1f}, {found.verdict()}{'; ' + note if note else ''}",
        flush=True,
    )
    return found


def table(outcomes: Iterable[Outcome]) -> str:
    """All rows under a head."""
    head = f"{'row':3} {'ratio':46} {'median':>7} (quartiles)    target  floor  verdict        load"
    return "\n".join((head, *(outcome.line() for outcome in outcomes)))
