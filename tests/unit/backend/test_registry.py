"""Backends: which failures stop the start, and what the others look like."""

import sys

import pytest

from imagesvc import errors
from imagesvc.backend.backend import BackendState
from imagesvc.backend.registry import Backends
from imagesvc.interface import errors as driver_errors
from imagesvc.interface import storage

TWO = "[storage]\nenabled_backends = local:stub, second:{}\ndefault_backend = local\n"


@pytest.fixture
def backends(configure, stubs):
    """Make opened backends without a monitor; closed after the test."""
    made = []

    def make(text="", **named):
        found = Backends(configure(text, **named))
        made.append(found)
        found.open(monitor=False)
        return found

    yield make
    for one in made:
        one.close()


def set_fault(monkeypatch, stubs, backend_id, fault):
    """Let `open` of one backend fail."""
    driver = sys.modules[stubs].Storage
    real = driver.open

    def failing(self):
        if self.backend_id == backend_id:
            raise fault
        real(self)

    monkeypatch.setattr(driver, "open", failing)
    return real


def test_drivers_are_found_by_kind_and_id(backends):
    found = backends(TWO.format("stub"))
    assert found.storage() is found.storage("local")
    assert found.storage("second").backend_id == "second"
    assert found.identity().backend_id == "local"
    assert (found.ids("storage"), found.default_id("storage")) == (("local", "second"), "local")
    assert found.default_id("compute") is None


@pytest.mark.parametrize(("kind", "wanted"), [("storage", "third"), ("compute", None)])
def test_an_unknown_backend_is_not_found(backends, kind, wanted):
    with pytest.raises(errors.BackendNotFound, match=kind):
        backends().get(kind, wanted)


def test_construction_makes_no_io(configure, stubs):
    found = Backends(configure(TWO.format("stub")))
    assert sys.modules[stubs].LOG == []
    assert {item.state for item in found.describe()} == {BackendState.UNOPENED}


def test_status_tells_what_it_is(backends):
    status = backends().status("storage")
    assert (status.kind, status.id, status.driver) == ("storage", "local", "stub")
    assert (status.distribution, status.version, status.contract) == ("stubs", "2.5", "1.0")
    assert status.capabilities == ("local-file",)
    assert (status.state, status.default, status.cause) == (BackendState.OK, True, "")


@pytest.mark.parametrize("name", ["nowhere", "stub2"])
def test_a_driver_that_is_not_installed_stops_the_start(configure, stubs, name):
    with pytest.raises(errors.ConfigurationError) as refused:
        Backends(configure(TWO.format(name)))
    for part in ("second", "[storage_second]", name, "installed are", "stub", "[storage]"):
        assert part in refused.value.text


def test_a_duplicate_driver_stops_the_start(configure, stubs, distribute):
    distribute("rival", "class S: ...", storage={"stub": "S"})
    with pytest.raises(errors.ConfigurationError, match=r"(?s)rival.*stubs"):
        Backends(configure())


def test_a_default_that_does_not_open_stops_the_start(configure, stubs, monkeypatch):
    found = Backends(configure())
    fault = driver_errors.Unavailable("user text", "disk on fire")
    set_fault(monkeypatch, stubs, "local", fault)
    with pytest.raises(errors.ConfigurationError) as refused:
        found.open(monitor=False)
    text = refused.value.text
    for part in ("storage", "local", "[storage_local]", "stub", "disk on fire", "start again"):
        assert part in text


def test_a_default_with_a_wrong_section_stops_the_start(configure, stubs):
    with pytest.raises(errors.ConfigurationError, match=r"\[storage_local\].*size"):
        Backends(configure("[storage_local]\nsize = 0\n"))


def test_a_default_that_cannot_be_imported_stops_the_start(configure, stubs, distribute):
    distribute("broken", "raise RuntimeError('bad day')", storage={"broken": "S"})
    with pytest.raises(errors.ConfigurationError, match="bad day"):
        Backends(configure("[storage]\nenabled_backends = local:broken\n"))


def test_another_backend_that_fails_stays_failed(backends, stubs, monkeypatch, configure, caplog):
    Backends(configure())  # imports the module, so that the fault can be set
    set_fault(monkeypatch, stubs, "second", RuntimeError("no route"))
    found = backends(TWO.format("stub"))
    with pytest.raises(errors.BackendFailed, match="second"):
        found.storage("second")
    status = found.status("storage", "second")
    assert (status.state, status.cause) == (BackendState.FAILED, "RuntimeError: no route")
    assert sum("no route" in record.getMessage() for record in caplog.records) == 1
    assert found.unready() == []
    assert found.storage().backend_id == "local"


@pytest.mark.parametrize(
    ("source", "cause"),
    [
        ("raise RuntimeError('bad day')", "bad day"),
        (
            "class S(storage.StorageDriver):\n    contract = base.Version(2, 0)\n",
            f"contract 2.0, the service speaks {storage.VERSION}",
        ),
    ],
)
def test_another_driver_that_does_not_load_stays_failed(backends, distribute, source, cause):
    distribute("odd", source, storage={"odd": "S"})
    status = backends(TWO.format("odd")).status("storage", "second")
    assert status.state is BackendState.FAILED
    assert cause in status.cause


def test_a_failed_compute_default_does_not_stop_the_start(backends, distribute):
    distribute("odd", "raise RuntimeError", compute={"odd": "C"})
    found = backends(
        "[compute]\nenabled_backends = local:odd\n",
        empty=("volume", "backup", "baremetal", "encryption", "audit_sink", "converter"),
    )
    with pytest.raises(errors.BackendFailed):
        found.compute()
    assert found.unready() == []


def test_failed_sinks_are_left_out(backends, distribute):
    distribute(
        "sinks",
        """
        class Good(audit_sink.AuditSink):
            contract = base.Version(1, 0)
            def info(self): return base.DriverInfo("good", "test", "1")
            def health(self): return base.Health(base.HealthState.OK)
            def emit(self, events): ...
        class Bad(Good):
            def open(self): raise errors.Unavailable("no")
        """,
        audit_sink={"good": "Good", "bad": "Bad"},
    )
    found = backends(
        "[audit_sink]\nenabled_backends = a:bad, b:good\ndefault_backend = b\n",
        empty=("compute", "converter"),
    )
    assert [sink.backend_id for sink in found.audit_sinks()] == ["b"]


def test_open_and_close_can_be_repeated(backends, stubs):
    found = backends()
    found.open(monitor=False)
    found.close()
    found.close()
    with pytest.raises(errors.BackendFailed):
        found.storage()
    assert sys.modules[stubs].LOG.count(("close", "local")) == 1
    found.open(monitor=False)
    assert found.storage().backend_id == "local"
