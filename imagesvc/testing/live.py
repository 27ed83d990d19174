"""The laws that may run against a backend in use, and how they are run there.

They leave nothing behind, end no process and touch nothing that is not their own: objects stand
under a key prefix made for the run. Needs pytest, as all laws do.
"""

import dataclasses
import importlib
import linecache
import os
import tempfile
import types
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from imagesvc.interface import base, storage
from imagesvc.testing.conformance.base import DriverConformance

# Kind -> its suite, and which of its own laws are safe; the common laws are safe for all.
_SUITES = {
    "storage": ("storage", "StorageConformance"),
    "identity": ("identity", "IdentityConformance"),
    "converter": ("converter", "ConverterConformance"),
}
# Not safe: writers in a process of their own, which has other options; keys outside of the prefix, keys that a faulty
# driver might take for another one's.
_STORAGE_UNSAFE = frozenset(
    {
        "test_a_malformed_key_is_refused",
        "test_every_well_formed_key_works",
        "test_a_killed_write_is_gone_on_with",
        "test_a_writer_killed_before_commit_leaves_nothing",
        "test_a_writer_killed_after_commit_leaves_the_whole",
        "test_a_writer_killed_inside_commit_leaves_nothing_or_the_whole",
        "test_memory_stays_small_whatever_the_size",
        "test_bytes_are_on_the_disk_before_commit_returns",
        "test_discarding_spares_what_is_young_or_committed",
    }
)
_IDENTITY_SAFE = frozenset(
    {
        "test_a_request_without_valid_credentials_is_nobody",
        "test_the_challenge_is_one_header_value",
        "test_what_is_not_promised_is_not_supported",
    }
)
_PAGE = 500
_CAUSE_LENGTH_MAX = 300


@dataclasses.dataclass(frozen=True, slots=True)
class Subject:
    """A backend in use: with what its driver is made. `options` may hold secrets."""

    kind: str
    version: base.Version
    driver_class: type[base.Driver]
    backend_id: str
    options: Mapping[str, Any] = dataclasses.field(repr=False)


@dataclasses.dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one law; `cause` is empty unless it was broken."""

    law: str
    outcome: str
    cause: str = ""


def check(subject: Subject) -> list[Verdict]:
    """Run the safe laws against the backend. Slow: seconds. For one thread of a command."""
    run = uuid.uuid4().hex
    prefix = f"imagesvc-check/{run}"
    record = _Record()
    with tempfile.TemporaryDirectory(prefix="imagesvc-check-") as folder:
        path = Path(folder) / f"test_{run}.py"  # the import system keeps modules by name
        path.write_text("from imagesvc.testing.live import TestBackend\n", encoding="ascii")
        globals()["TestBackend"] = _suite(subject, prefix)
        # The operator's own pytest settings and plugins have no say here.
        os.environ.pop("PYTEST_ADDOPTS", None)
        os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
        words = ["-c", os.devnull, "--rootdir", folder, "--basetemp", f"{folder}/tmp"]
        words += ["--import-mode=importlib", "-p", "no:cacheprovider", "-p", "no:terminal"]
        pytest.main([*words, str(path)], plugins=[record])
    found = record.verdicts()
    if subject.kind == "storage":
        found.append(_leave_nothing(subject, prefix))
    return found


def safe_laws(kind: str) -> frozenset[str]:
    """Names of the laws that run against a backend of this kind in use."""
    suite = _suite_class(kind)
    common = {name for name in dir(DriverConformance) if name.startswith("test_")}
    own = {name for name in dir(suite) if name.startswith("test_")} - common
    chosen = {
        "storage": own - _STORAGE_UNSAFE,
        "identity": own & _IDENTITY_SAFE,
        "converter": own,
    }
    return frozenset(common | chosen.get(kind, set()))


def _suite_class(kind: str) -> type[DriverConformance]:
    if kind not in _SUITES:
        return DriverConformance
    module, name = _SUITES[kind]
    found: type[DriverConformance] = getattr(
        importlib.import_module(f"imagesvc.testing.conformance.{module}"), name
    )
    return found


def _suite(subject: Subject, prefix: str) -> type[DriverConformance]:
    """The suite of the kind, its driver made from the backend's own section."""

    def construct(self: Any, driver_class: Any, backend_id: str = "", **options: Any) -> Any:
        driver = driver_class(types.SimpleNamespace(**subject.options), backend_id=backend_id)
        self.__dict__.setdefault("_made", []).append(driver)
        self.__dict__.setdefault("_recipe", {})[id(driver)] = (driver_class, backend_id, {})
        return driver

    @pytest.fixture
    def driver(self: Any) -> base.Driver:
        made: base.Driver = self.make(subject.driver_class, subject.backend_id)
        return made

    @pytest.fixture
    def key(self: Any) -> str:
        return f"{prefix}/{uuid.uuid4().hex}"

    suite = _suite_class(subject.kind)
    unsafe = {name for name in dir(suite) if name.startswith("test_")} - safe_laws(subject.kind)
    facts: dict[str, Any] = dict.fromkeys(unsafe)
    facts |= {"VERSION": subject.version, "construct": construct, "driver": driver}
    return type("TestBackend", (suite,), facts | ({"key": key} if _has_key(suite) else {}))


def _has_key(suite: type[DriverConformance]) -> bool:
    return hasattr(suite, "key")


class _Record:
    """A pytest plugin that keeps the outcome of each law; one law may have many cases."""

    def __init__(self) -> None:
        self._found: dict[str, Verdict] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep the first failure of a law, else that it was kept."""
        law = report.nodeid.rpartition("::")[2].partition("[")[0]
        law = law.removeprefix("test_").replace("_", " ")
        if report.failed:
            if self._found.get(law, Verdict(law, "")).outcome != "broken":
                self._found[law] = Verdict(law, "broken", _cause(report))
        elif report.skipped:
            self._found.setdefault(law, Verdict(law, "not promised"))
        elif report.when == "call":
            self._found.setdefault(law, Verdict(law, "kept"))

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Laws that cannot even be read are a fault too."""
        if report.failed:
            self._found["the laws can be read"] = Verdict(
                "the laws can be read", "broken", _cause(report)
            )

    def verdicts(self) -> list[Verdict]:
        """In the order of the run."""
        return list(self._found.values())


def _cause(report: Any) -> str:
    crash = getattr(report.longrepr, "reprcrash", None)
    text = crash.message if crash else str(report.longrepr)
    if crash and text == "AssertionError":
        text = linecache.getline(crash.path, crash.lineno).strip()
    return (text.splitlines() or [""])[0][:_CAUSE_LENGTH_MAX]


def _leave_nothing(subject: Subject, prefix: str) -> Verdict:
    """Remove what the run stored, and look that nothing of it is there."""
    law = "nothing of this check is left"
    driver: Any = subject.driver_class(
        types.SimpleNamespace(**subject.options), backend_id=subject.backend_id
    )
    try:
        driver.open()
        for one in list(_each(driver, prefix)):
            driver.delete(one.key)
        left = [one.key for one in _each(driver, prefix)]
        driver.close()
    except Exception as exc:  # whatever a driver raises is a verdict like the others
        text = getattr(exc, "operator_message", f"{type(exc).__name__}: {exc}")
        return Verdict(law, "broken", text[:_CAUSE_LENGTH_MAX])
    return Verdict(law, "broken", f"left: {left[0]}") if left else Verdict(law, "kept")


def _each(driver: storage.StorageDriver, prefix: str) -> Iterator[storage.ObjectInfo]:
    after: str | None = None
    while page := driver.list(f"{prefix}/", after=after, limit=_PAGE):
        yield from page
        after = page[-1].key
