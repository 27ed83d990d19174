"""What a check found: a verdict a line, and the exit code of them all."""

import dataclasses
import enum
from collections.abc import Iterable


class Level(enum.StrEnum):
    """How bad it is."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


@dataclasses.dataclass(frozen=True, slots=True)
class Verdict:
    """`text` says what is so, and unless all is well what to do."""

    level: Level
    name: str
    text: str


def ok(name: str, text: str) -> Verdict:
    """All is well."""
    return Verdict(Level.OK, name, text)


def warning(name: str, text: str) -> Verdict:
    """It works, but wants a look."""
    return Verdict(Level.WARNING, name, text)


def failed(name: str, text: str) -> Verdict:
    """It does not work."""
    return Verdict(Level.FAILED, name, text)


def show(verdicts: Iterable[Verdict]) -> int:
    """Print each as it comes; 1 if anything failed, else 0, also with warnings."""
    found = []
    for one in verdicts:
        print(f"{one.level:<8} {one.name:<24} {one.text}", flush=True)
        found.append(one.level)
    bad, odd = found.count(Level.FAILED), found.count(Level.WARNING)
    print(f"{len(found)} checks: {bad} failed, {odd} with a warning")
    return 1 if bad else 0
