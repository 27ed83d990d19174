"""Long work of a driver: start gives a handle, poll tells how far it is.

`start_x(..., token)` returns at once. The same token twice returns the first handle.
A handle outlives the process that asked for it.
"""

import dataclasses
import enum
from typing import Any

HANDLE_BYTES_MAX = 1024

Handle = str


class ProgressState(enum.StrEnum):
    """State of long work."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclasses.dataclass(frozen=True, slots=True)
class Progress:
    """How far long work is; sizes in bytes.

    `result` is set when DONE: what it is stands with the method that started the work.
    `error` is set when FAILED: a text that the user may read.
    """

    state: ProgressState
    done_bytes: int = 0
    total_bytes: int | None = None
    result: Any = None
    error: str = ""

    @property
    def done(self) -> bool:
        """Whether the work ended, well or not."""
        return self.state is not ProgressState.RUNNING
