"""pytest plugin: after a run, a table of the laws of each driver: law, outcome, by capability.

It comes by itself where imagesvc is installed. It also lets a law that fails show the values
that it compared.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

# Before the first import of a suite, or its assertions stay mute.
pytest.register_assert_rewrite("imagesvc.testing.conformance")

_BASE = ("imagesvc.testing.conformance.base", "DriverConformance")
_OUTCOMES = ("passed", "failed", "skipped")
_PROPERTY = "imagesvc_law"
_KEY = pytest.StashKey["LawTable"]()


class LawTable:
    """Laws of each suite in the order in which they first ran."""

    def __init__(self) -> None:
        self._laws: dict[str, dict[str, tuple[Counter[str], dict[str, None]]]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count a law; reports also come from the processes of pytest-xdist."""
        fact = dict(report.user_properties).get(_PROPERTY)
        if not isinstance(fact, dict) or not (report.when == "call" or not report.passed):
            return
        counted, notes = self._laws.setdefault(fact["suite"], {}).setdefault(
            fact["law"], (Counter(), {})
        )
        counted[report.outcome] += 1
        notes |= dict.fromkeys(fact["notes"])
        if report.skipped and isinstance(report.longrepr, tuple):
            notes |= {str(report.longrepr[2]): None}

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Write the table."""
        for suite, laws in sorted(self._laws.items()):
            terminalreporter.section(f"laws of {suite}")
            total: Counter[str] = Counter()
            for law, (counted, notes) in laws.items():
                total += counted
                said = ", ".join(f"{counted[each]} {each}" for each in _OUTCOMES if counted[each])
                remark = f"  [{'; '.join(notes)}]" if notes else ""
                terminalreporter.write_line(f"{said:<10} {law}{remark}")
            facts = ", ".join(f"{total[outcome]} {outcome}" for outcome in _OUTCOMES)
            terminalreporter.write_line(f"{suite}: {facts}")


def pytest_configure(config: pytest.Config) -> None:
    """Begin to count."""
    config.stash[_KEY] = LawTable()
    config.pluginmanager.register(config.stash[_KEY])


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Put law, suite and the law's notes into the report."""
    outcome: Any = yield
    suite = getattr(item, "cls", None)
    if suite is None or not any((k.__module__, k.__name__) == _BASE for k in suite.__mro__):
        return
    law = getattr(item, "originalname", item.name).removeprefix("test_").replace("_", " ")
    notes = list(vars(getattr(item, "instance", None) or object).get("_notes", ()))
    fact = {"suite": suite.__name__, "law": law, "notes": notes}
    outcome.get_result().user_properties.append((_PROPERTY, fact))
