"""What is written down of a server's volumes when QEMU's answer is missing or a refusal.

Why stand-ins for QEMU: it does not lose an answer on order.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from imagesvc.interface import errors
from imagesvc_drivers.compute.qemu import attach, monitor
from imagesvc_drivers.compute.qemu.server_folder import ServerFolder

VOLUME = attach.Attachment("volume", "/volume", "raw")
SOCKET = Path("/monitor")
LOCKED = monitor.CommandRefused("Refused.", 'Failed to get "write" lock')


@pytest.fixture
def folder(tmp_path: Path) -> ServerFolder:
    """The folder of a server without disks."""
    return ServerFolder(tmp_path)


@pytest.fixture
def answer(monkeypatch: pytest.MonkeyPatch) -> Callable[[Exception], None]:
    """Make QEMU answer so."""

    def use(exc: Exception) -> None:
        def visit(*_: Any, **__: Any) -> None:
            raise exc

        monkeypatch.setattr(monitor, "visit", visit)

    return use


@pytest.mark.parametrize("exc", [errors.Timeout("No answer."), errors.Unavailable("Away.")])
def test_a_volume_that_the_server_may_have_stays_in_its_record(
    folder: ServerFolder, answer: Callable[[Exception], None], exc: errors.DriverError
) -> None:
    answer(exc)
    with pytest.raises(type(exc)):
        attach.add(folder, VOLUME, 8, SOCKET)
    assert attach.read(folder) == (VOLUME,)


def test_a_refused_volume_stays_in_the_record_only_if_it_was_there(
    folder: ServerFolder, answer: Callable[[Exception], None]
) -> None:
    answer(LOCKED)
    with pytest.raises(errors.Busy):
        attach.add(folder, VOLUME, 8, SOCKET)
    assert attach.read(folder) == ()
    attach.add(folder, VOLUME, 8, None)
    with pytest.raises(errors.Busy):
        attach.add(folder, VOLUME, 8, SOCKET)
    assert attach.read(folder) == (VOLUME,)


def test_a_running_server_is_asked_to_let_go_also_of_a_volume_that_is_in_no_record(
    folder: ServerFolder, answer: Callable[[Exception], None]
) -> None:
    answer(errors.Timeout("No answer."))
    with pytest.raises(errors.Timeout):
        attach.remove(folder, "volume", SOCKET, 0)
