"""What operators read when a driver does not load, at the start and in the list of backends."""

import itertools

import pytest

from imagesvc import errors
from imagesvc.backend.registry import Backends
from imagesvc.cmd import manage
from imagesvc.interface import storage
from tests.unit.backend.conftest import STORAGE

# driver -> source, entry point. `twice` comes from two distributions, `nowhere` from none.
DRIVERS = {
    "major": (STORAGE.replace("Version(1, 0)", "Version(2, 0)"), "Storage"),
    "minor": (STORAGE.replace("Version(1, 0)", "Version(1, 7)"), "Storage"),
    "unversioned": (STORAGE.replace("contract = base.Version(1, 0)", ""), "Storage"),
    "broken": ("import surely_not_installed", "Storage"),
    "noname": (STORAGE, "Store"),
    "other": (STORAGE, "LOG"),
    "option": (STORAGE, "Storage"),
    "unfinished": (STORAGE.replace("def usage", "def use"), "Storage"),
    "mute": (
        STORAGE.replace("def info(self):", "def info(self):\n        raise ValueError(1)"),
        "Storage",
    ),
    "unopened": (
        STORAGE.replace("if self.fault: raise self.fault", "raise OSError('no such host')"),
        "Storage",
    ),
    "twice": (STORAGE, "Storage"),
}
CAUSES = {
    "major": f"the driver was written for contract 2.0, the service speaks {storage.VERSION}",
    "minor": f"the driver was written for contract 1.7, the service speaks {storage.VERSION}",
    "unversioned": "Storage names no contract version",
    "broken": "import failed: ModuleNotFoundError: No module named 'surely_not_installed'",
    "noname": "import failed: AttributeError: module 'driver_noname",
    "other": "[] is no StorageDriver",
    "option": "option size has no usable value: invalid literal for int() with base 10: 'none'",
    "unfinished": "TypeError: Can't instantiate abstract class Storage with abstract method usage",
    "mute": "ValueError: 1",
    "unopened": "OSError: no such host",
    "twice": "the driver name twice is provided by more than one distribution (second, twice); "
    "remove all but one",
    "nowhere": "no driver nowhere of kind storage is installed; installed are: broken, file, ",
}
DRIVER_AT_FAULT = "Install or repair the driver, or name another one in [storage] enabled_backends."
SECTION_AT_FAULT = "Correct the section [storage_x] or what it points to, then start again."
NO_CLASS = {"major", "minor", "unversioned", "broken", "noname", "other", "twice", "nowhere"}


@pytest.fixture
def installed(distribute, stubs):
    """All the drivers, as distributions on the path."""
    for name, (source, entry) in DRIVERS.items():
        distribute(name, source, storage={name: entry})
    distribute("second", STORAGE, storage={"twice": "Storage"})


def start(conf):
    """As the service does."""
    Backends(conf).open(monitor=False)


@pytest.mark.parametrize("name", CAUSES)
def test_the_start_is_refused_with_one_message(installed, configure, name):
    """As the default storage backend: id, section, driver, cause, what to do."""
    text = f"[storage]\nenabled_backends = x:{name}\n"
    text += "[storage_x]\nsize = none\n" if name == "option" else ""
    conf = configure(text)
    with pytest.raises(errors.ConfigurationError) as refused:
        start(conf)
    head = (
        f"The storage backend x cannot be used (section [storage_x], driver {name}): {CAUSES[name]}"
    )
    assert refused.value.text.startswith(head)
    assert refused.value.text.endswith(DRIVER_AT_FAULT if name in NO_CLASS else SECTION_AT_FAULT)


def test_the_list_shows_working_and_broken_backends(
    installed, configure, tmp_path, monkeypatch, capsys
):
    """Id, kind, driver, distribution with version, contract, capabilities, state, cause."""
    enabled = ", ".join(["local:stub", *(f"{name}:{name}" for name in CAUSES)])
    configure(
        f"[storage]\nenabled_backends = {enabled}\ndefault_backend = local\n"
        "[storage_option]\nsize = none\n"
    )
    monkeypatch.setenv("IMAGESVC_CONF", "")
    path = str(tmp_path / "imagesvc.conf")
    assert manage.main(["--config-file", path, "backend", "list"]) == 1
    lines = capsys.readouterr().out.splitlines()
    rows = {
        row.split()[1]: (row.split(), after)
        for row, after in itertools.pairwise([*lines, ""])
        if row.startswith("storage")
    }
    assert rows["local"][0] == [
        "storage",
        "local",
        "stub",
        "stubs",
        "2.5",
        "1.0",
        "ok",
        "local-file",
    ]
    for name, cause in CAUSES.items():
        row, after = rows[name]
        assert row[:3] == ["storage", name, name]
        assert "failed" in row
        assert cause in after
    assert rows["major"][0][3:7] == ["major", "2.5", "2.0", "failed"]
    assert rows["broken"][0][3:7] == ["broken", "2.5", "-", "failed"]
    assert rows["unopened"][0][3:8] == ["unopened", "2.5", "1.0", "failed", "local-file"]
    assert rows["nowhere"][0][3:7] == ["-", "-", "-", "failed"]
