"""Kills a process before a chosen line of a driver's own code, so that every driver has a kill part.

Lines are those that the calling thread runs in the driver's top-level package or module, and in
those of the classes that it derives from, in the order in which they run. Named crash points (`imagesvc.crashpoint`) are for places that no line
of the driver stands for, such as work in another thread.
"""

import contextlib
import os
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from types import FrameType
from typing import Any, NamedTuple

from imagesvc.interface import base

LINES_MAX = 16


class Step(NamedTuple):
    """The n-th run (from 1) of a line; one in a loop runs often."""

    file: str
    line: int
    run: int

    def __str__(self) -> str:
        return f"{self.file.rpartition(os.sep)[2]}:{self.line}:{self.run}"


class Follower:
    """Follows the lines of one block; kills the process before the step `stop` if given."""

    def __init__(self, driver_class: type[base.Driver], stop: Step | None = None) -> None:
        self._places = tuple(
            {
                place
                for each in driver_class.__mro__
                for place in _places(each.__module__)
                if issubclass(each, base.Driver)
            }
        )
        self._stop = stop
        self._runs: Counter[tuple[str, int]] = Counter()

    def trace(self, frame: FrameType, event: str, argument: Any) -> Any:
        """Take one event of sys.settrace."""
        if not frame.f_code.co_filename.startswith(self._places):
            return None
        if event == "line":
            line = (frame.f_code.co_filename, frame.f_lineno)
            self._runs[line] += 1
            if self._stop == (*line, self._runs[line]):
                os.kill(os.getpid(), signal.SIGKILL)
        return self.trace

    def steps(self, most: int = LINES_MAX) -> list[Step]:
        """One for each line, if in a loop one after its middle; evenly, if above `most`."""
        found = [Step(*line, runs // 2 + 1) for line, runs in self._runs.items()]
        if len(found) <= most:
            return found
        return [found[round(number * (len(found) - 1) / (most - 1))] for number in range(most)]


def _places(module: str) -> Iterator[str]:
    if module.startswith(base.__name__.rpartition(".")[0]):
        return
    for name in (module.partition(".")[0], module):
        file = getattr(sys.modules[name], "__file__", None)  # none in a namespace package
        if file:
            yield file.removesuffix("__init__.py")


@contextlib.contextmanager
def followed(driver_class: type[base.Driver], stop: Step | None = None) -> Iterator[Follower]:
    """Follow the driver's lines inside the block; the process dies at the step `stop`."""
    follower = Follower(driver_class, stop)
    before = sys.gettrace()
    sys.settrace(follower.trace)
    try:
        yield follower
    finally:
        sys.settrace(before)
