"""The image that is built of Debian's packages, published as a family and started: it comes to its login prompt."""

import subprocess
import threading
import time
from pathlib import Path

import pytest

from imagesvc.worker import runner
from tests import guest_disk
from tests.crash.station import Station, until
from tests.crash.test_catalog import ADMIN

pytestmark = [pytest.mark.peer, pytest.mark.timeout(1500)]
BOOT_S = 600.0


@pytest.fixture
def station(tmp_path: Path):
    """An installation whose worker runs in this process."""
    made = Station(tmp_path)
    stop = threading.Event()
    worker = threading.Thread(target=runner.Runner(made.service, "w").run_forever, args=(stop,))
    worker.start()
    yield made
    stop.set()
    worker.join()
    made.stop()


def test_an_image_built_of_packages_boots_to_its_login_prompt(station, tmp_path: Path) -> None:
    command = [guest_disk.TOOLS / "build-image", tmp_path / "catalog"]
    subprocess.run(command, check=True, capture_output=True, timeout=900)
    service, caller = station.service, station.caller
    (job,) = service.catalog.families.sync(ADMIN)
    until(lambda: service.jobs.get(ADMIN, job.id).finished_at, 300)
    assert service.jobs.get(ADMIN, job.id).error_text is None
    made = service.servers.create(
        caller, image_id=job.image_id, name="debian", count=1, memory_mib=768
    )
    until(lambda: service.jobs.get(caller, made.id).finished_at, 120)
    (server,) = service.jobs.get(caller, made.id).result["servers"]
    deadline = time.monotonic() + BOOT_S
    driver = service.backends.compute()
    while b"login:" not in driver.read_console(server["server_id"], project_id=caller.project_id):
        assert time.monotonic() < deadline, "no login prompt came"
        time.sleep(1.0)
