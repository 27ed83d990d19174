"""pytest plugin: after a run, a table of the laws that each driver kept.

Load it with `-p imagesvc.testing.plugin`.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from imagesvc.testing.conformance import base

_OUTCOMES = ("passed", "failed", "skipped")
_KEY = pytest.StashKey[dict[str, Counter[str]]]()


def pytest_configure(config: pytest.Config) -> None:
    """Begin to count."""
    config.stash[_KEY] = {}


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Count each law once; a failed set-up counts as failed."""
    outcome: Any = yield
    report = outcome.get_result()
    suite = getattr(item, "cls", None)
    if not (isinstance(suite, type) and issubclass(suite, base.DriverConformance)):
        return
    if report.when == "call" or (report.when == "setup" and not report.passed):
        found = "failed" if report.failed else report.outcome
        item.config.stash[_KEY].setdefault(suite.__name__, Counter())[found] += 1


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Write the table."""
    counted = config.stash[_KEY]
    if not counted:
        return
    terminalreporter.section("driver laws")
    for name, found in sorted(counted.items()):
        facts = ", ".join(f"{found[outcome]} {outcome}" for outcome in _OUTCOMES)
        terminalreporter.write_line(f"{name}: {facts}")
