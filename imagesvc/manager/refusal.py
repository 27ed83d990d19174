"""How many refused attempts are recorded one by one, and how many are only counted.

A flood of failing requests must neither fill the trail nor make each of them wait for a
transaction. So each process records the first few of a kind in a window; the rest costs
nothing but a counter, and one record with their number ends the window.
"""

import dataclasses
import threading
import time
from collections.abc import Callable

WINDOW_S = 60.0
EACH_MAX = 20  # records of one kind in a window
ALL_MAX = 300  # records of all kinds in a window, so that many callers cannot do what one cannot
KINDS_MAX = 100  # kinds counted apart, so that memory and final records are bounded too


@dataclasses.dataclass(frozen=True, slots=True)
class Refusal:
    """What makes attempts alike: who tried what, and why it failed; not at which target."""

    project_id: str | None
    user_id: str | None
    action: str
    target_type: str
    outcome: str
    cause: str


OTHERS = Refusal(None, None, "audit:count", "refusal", "denied", "various")


class Refusals:
    """Thread-safe; one a process. What a killed process had only counted is lost."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._began = clock()
        self._recorded: dict[Refusal, int] = {}
        self._total = 0
        self._counted: dict[Refusal, int] = {}
        self._ended: dict[Refusal, int] = {}

    def admit(self, refusal: Refusal) -> bool:
        """Whether this one is to be recorded; if not, it was counted."""
        with self._lock:
            self._turn()
            recorded = self._recorded.get(refusal, 0)
            if recorded < EACH_MAX and self._total < ALL_MAX:
                self._recorded[refusal] = recorded + 1
                self._total += 1
                return True
            _add(self._counted, refusal, 1)
            return False

    def take(self, *, now: bool = False) -> dict[Refusal, int]:
        """The counts of windows that have ended, or with `now` all; they are forgotten here."""
        with self._lock:
            self._turn(now=now)
            taken, self._ended = self._ended, {}
            return taken

    def give_back(self, counts: dict[Refusal, int]) -> None:
        """Counts that could not be recorded just now."""
        with self._lock:
            for refusal, count in counts.items():
                _add(self._ended, refusal, count)

    def _turn(self, *, now: bool = False) -> None:
        if not now and self._clock() - self._began < WINDOW_S:
            return
        for refusal, count in self._counted.items():
            _add(self._ended, refusal, count)
        self._began = self._clock()
        self._recorded, self._total, self._counted = {}, 0, {}


def _add(counts: dict[Refusal, int], refusal: Refusal, count: int) -> None:
    kept = refusal if refusal in counts or len(counts) < KINDS_MAX else OTHERS
    counts[kept] = counts.get(kept, 0) + count
