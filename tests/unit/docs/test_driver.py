"""The page for driver authors names everything that a driver author may meet."""

import inspect
import re
from pathlib import Path

import pytest

from imagesvc.api.error import ERRORS
from imagesvc.backend import kind as kinds
from imagesvc.interface import base, errors
from imagesvc.testing.conformance import (
    audit_sink,
    backup,
    baremetal,
    catalog,
    compute,
    converter,
    encryption,
    identity,
    storage,
    volume,
)

TEXT = (Path(__file__).parents[3] / "docs" / "driver" / "index.rst").read_text("utf-8")
SUITES = {
    "storage": storage.StorageConformance,
    "compute": compute.ComputeConformance,
    "volume": volume.VolumeConformance,
    "backup": backup.BackupConformance,
    "baremetal": baremetal.BaremetalConformance,
    "encryption": encryption.EncryptionConformance,
    "identity": identity.IdentityConformance,
    "audit_sink": audit_sink.AuditSinkConformance,
    "converter": converter.ConverterConformance,
    "catalog": catalog.CatalogConformance,
}


def section(kind):
    """The text of one kind's section."""
    title = kind.name.replace("_", " ").capitalize()
    return TEXT.split(f"\n{title}\n---", 1)[1].split("\n---", 1)[0]


def abstract(suite, name):
    """Whether a test class has to give it."""
    return getattr(inspect.getattr_static(suite, name), "__isabstractmethod__", False)


def lacking(words, text):
    return [word for word in words if f"``{word}``" not in text]


@pytest.mark.parametrize("kind", kinds.KINDS, ids=lambda kind: kind.name)
def test_every_method_and_capability_of_a_kind_is_named(kind):
    """Also the group, the class, the suite, and what the test has to give."""
    suite = SUITES[kind.name]
    public = [
        name
        for name, value in vars(kind.contract).items()
        if inspect.isfunction(value) and not name.startswith("_")
    ]
    capabilities = [item.name for item in suite.CAPABILITY]
    words = [*public, *capabilities, kind.group, suite.__name__]
    assert lacking(words, section(kind)) == []
    gives = [name for name in dir(suite) if abstract(suite, name)]
    assert lacking(["driver"], TEXT) == []
    assert lacking(set(gives) - {"driver"}, section(kind)) == []


@pytest.mark.parametrize("kind", kinds.KINDS, ids=lambda kind: kind.name)
def test_every_kind_has_a_suite_of_its_version(kind):
    assert kind.version == SUITES[kind.name].VERSION


def test_every_method_of_all_drivers_is_named():
    assert lacking(base.Driver.__abstractmethods__ | {"open", "close", "__init__"}, TEXT) == []


def test_the_table_of_errors_is_that_of_the_api():
    rows = {row.exception.__name__: row for row in ERRORS if row.reason is None}
    table = {
        name: (int(glance), int(native), retried == "yes")
        for name, glance, native, retried in re.findall(
            r"^``(\w+)`` +(\d+) +(\d+) +(yes|no) ", TEXT, re.MULTILINE
        )
    }
    known = {
        found.__name__: (rows[found.__name__].glance, rows[found.__name__].native, found.retryable)
        for found in errors.DriverError.__subclasses__()
        if found.__module__.startswith("imagesvc.interface")
    }
    assert table == known
