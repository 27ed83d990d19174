"""Loading of drivers: what fails stays apart, and says why."""

import sys

import pytest

from imagesvc.backend import kind as kinds
from imagesvc.backend import loader
from imagesvc.interface import base, storage
from tests.unit.backend.conftest import STORAGE

KIND = kinds.find("storage")


def load(name):
    return loader.load(KIND, [name])[name]


def test_a_driver_comes_with_its_distribution(stubs):
    found = load("stub")
    assert issubclass(found.driver_class, storage.StorageDriver)
    assert (found.distribution, found.version) == ("stubs", "2.5")


def test_what_is_not_named_is_not_imported(distribute, stubs):
    module = distribute("other", "raise RuntimeError", storage={"other": "X"})
    assert isinstance(load("stub"), loader.LoadedDriver)
    assert module not in sys.modules


def test_a_missing_driver_lists_the_installed_ones(stubs):
    found = load("nowhere")
    assert found.kind is loader.FailureKind.MISSING
    assert "stub" in found.cause
    assert "file" in found.cause


def test_a_duplicate_name_names_both_distributions(stubs, distribute):
    distribute("rival", STORAGE, storage={"between": "Storage", "stub": "Storage"})
    found = load("stub")
    assert found.kind is loader.FailureKind.DUPLICATE
    assert "stubs" in found.cause
    assert "rival" in found.cause


@pytest.mark.parametrize(
    ("source", "cause"),
    [
        ("import surely_not_installed", "surely_not_installed"),
        ("raise RuntimeError('bad day')", "bad day"),
        ("assert False, 'wrong'", "wrong"),
        ("", "Storage"),
    ],
)
def test_a_broken_driver_is_not_a_missing_one(distribute, source, cause):
    distribute("broken", source, storage={"broken": "Storage"})
    found = load("broken")
    assert found.kind is loader.FailureKind.BROKEN
    assert cause in found.cause


def test_a_failure_leaves_the_others(distribute, stubs):
    distribute("broken", "raise RuntimeError", storage={"broken": "Storage"})
    found = loader.load(KIND, ["broken", "stub", "nowhere"])
    assert isinstance(found["stub"], loader.LoadedDriver)
    assert isinstance(found["broken"], loader.LoadFailure)


@pytest.mark.parametrize(
    ("contract", "fits"),
    [
        ((1, 0), True),
        (storage.VERSION, True),
        ((storage.VERSION.major, storage.VERSION.minor + 1), False),
        ((2, 0), False),
        ((0, 0), False),
        (None, False),
    ],
)
def test_the_contract_decides(contract, fits):
    class Driver(storage.StorageDriver):
        pass

    if contract:
        Driver.contract = base.Version(*contract)
    refusal = loader.check_contract(KIND, Driver)
    assert (refusal == "") is fits
    if contract and not fits:
        assert f"{contract[0]}.{contract[1]}" in refusal
        assert str(storage.VERSION) in refusal


def test_a_driver_of_another_kind_is_refused():
    assert "StorageDriver" in loader.check_contract(KIND, str)
    assert "StorageDriver" in loader.check_contract(KIND, "text")


def test_installed_imports_nothing(distribute):
    module = distribute("broken", "raise RuntimeError", storage={"broken": "Storage"})
    assert "broken" in loader.installed(KIND)
    assert module not in sys.modules


def test_the_embedded_drivers_load():
    """Each kind's default driver, once it is there, fits its contract."""
    for kind in kinds.KINDS:
        if kind.default_driver in loader.installed(kind):
            found = loader.load(kind, [kind.default_driver])[kind.default_driver]
            assert isinstance(found, loader.LoadedDriver), found
