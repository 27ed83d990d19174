"""What is found on a disk fills what nobody said, as far as the operator lets it."""

import io
import threading

import pytest

from imagesvc import service as services
from imagesvc.backend.registry import Backends
from imagesvc.domain.image import NewImage
from imagesvc.interface.converter import GuestFacts
from imagesvc.worker import runner
from tests import guest_disk
from tests.unit.worker import paper_compute
from tests.unit.worker.conftest import CALLER, CONF

FOUND = {"os_distro": "debian", "os_version": "12", "hw_firmware_type": "bios"}
HELD = {"consistency": "crash"}  # what every capture of a server says of itself


@pytest.fixture(scope="module")
def spark(tmp_path_factory):
    return guest_disk.spark(tmp_path_factory.mktemp("spark")).read_bytes()


@pytest.fixture
def disk(monkeypatch, spark):
    """The system disk of every server on paper."""
    monkeypatch.setitem(paper_compute.BYTES, "vda", spark)
    return spark


@pytest.fixture
def service_with(service_of, compute, monkeypatch):
    """A service whose operator wrote more into its configuration."""

    class PaperBackends(Backends):
        def compute(self, backend_id=None):
            return compute

    monkeypatch.setattr(services, "Backends", PaperBackends)
    return lambda text: service_of(CONF + text)


def started(service, **said):
    image, _ = service.captures.start(CALLER, server_id="server", name="captured", **said)
    return image.id


def uploaded(service, data, **said):
    image = service.images.create(
        CALLER, NewImage(disk_format="raw", container_format="bare", **said)
    )
    return service.image_files.upload(CALLER, image.id, io.BytesIO(data), len(data))


def guest_of(service, image_id):
    return service.image_details.get(CALLER, image_id).disks[0].disk.guest


def test_a_capture_is_told_what_was_found(service, work, disk):
    image_id = started(service)
    work()
    image = service.images.get(CALLER, image_id)
    assert (image.status, image.properties) == ("active", FOUND | HELD)
    assert guest_of(service, image_id).os_name == "Spark 1"


def test_a_whole_machine_is_told_what_was_found_on_its_first_disk(service, work, disk):
    image_id = started(service, whole=True)
    work()
    image = service.images.get(CALLER, image_id)
    assert (image.kind, image.properties) == ("whole-machine", FOUND | HELD)
    guests = [one.disk.guest for one in service.image_details.get(CALLER, image_id).disks]
    assert [one and one.os_name for one in guests] == ["Spark 1", None]


def test_a_capture_keeps_what_its_caller_said(service, work, disk):
    image_id = started(service, properties={"os_version": "mine", "hw_firmware_type": "uefi"})
    work()
    said = service.images.get(CALLER, image_id).properties
    assert said == {**FOUND, **HELD, "os_version": "mine", "hw_firmware_type": "uefi"}
    assert guest_of(service, image_id).os_version == "12"


def test_a_windows_disk_keeps_its_facts_through_a_capture(service, work, monkeypatch, tmp_path):
    monkeypatch.setitem(paper_compute.BYTES, "vda", guest_disk.windows(tmp_path).read_bytes())
    image_id = started(service)
    work()
    said = service.images.get(CALLER, image_id).properties
    assert said == {
        "os_distro": "windows", "os_version": "10.0.20348", "hw_firmware_type": "uefi", **HELD,
    }  # fmt: skip
    found = guest_of(service, image_id)
    assert (found.os_type, found.virtio, found.cloud_init) == ("windows", True, True)


def test_an_upload_is_looked_into_and_told_nothing(service, spark):
    image = uploaded(service, spark)
    assert (image.status, image.properties) == ("active", {})
    assert (image.os_type, guest_of(service, image.id).os_type) == (None, "linux")


@pytest.fixture
def held(service, monkeypatch):
    """The first two looks last until they may go on, as hostile disks make them: (begun, go on)."""
    converter = service.backends.converter()
    begun, go_on = [threading.Event(), threading.Event()], threading.Event()
    waiting = iter(begun)

    def facts(source, *, limits=None):
        if (one := next(waiting, None)) is not None:
            one.set()
            assert go_on.wait(60)
        return GuestFacts(os_name="Spark 1")

    monkeypatch.setattr(converter, "facts", facts)
    return begun, go_on


def test_disks_that_are_looked_into_for_long_hold_two_uploads_and_no_more(
    service, work, held, spark, disk
):
    looks, go_on = held
    images = []
    send = lambda: images.append(uploaded(service, spark))  # noqa: E731
    threads = [threading.Thread(target=send) for _ in looks]
    try:
        for thread, look in zip(threads, looks, strict=True):
            thread.start()
            assert look.wait(60)
        third = uploaded(service, spark)
        assert (third.status, guest_of(service, third.id)) == ("active", None)
        captured = started(service)
        work()
        assert guest_of(service, captured).os_name == "Spark 1"  # jobs have their own threads
        assert images == []
    finally:
        go_on.set()
        for thread in threads:
            thread.join()
    assert [guest_of(service, one.id).os_name for one in images] == ["Spark 1", "Spark 1"]
    assert guest_of(service, uploaded(service, spark).id).os_name == "Spark 1"


def test_the_operator_may_let_uploads_be_told(service_with, spark):
    service = service_with("[image]\ndetect = all\n")
    image = uploaded(service, spark, properties={"os_version": "mine"})
    assert image.os_type == "linux"
    assert image.properties == {**FOUND, "os_version": "mine"}


def test_a_server_is_of_the_system_that_was_found(service, compute, work, monkeypatch, tmp_path):
    specs = []
    start = compute.start_create
    monkeypatch.setattr(
        compute, "start_create", lambda spec, *more: specs.append(spec) or start(spec, *more)
    )
    windows = guest_disk.windows(tmp_path).read_bytes()
    for said in ({}, {"os_type": "linux"}):
        image = uploaded(service, windows, **said)
        service.servers.create(CALLER, image_id=image.id, name="web", count=1)
    work()
    assert [spec.os_type for spec in specs] == ["windows", "linux"]


@pytest.mark.parametrize(("mode", "seen"), [("off", False), ("show", True)])
def test_the_operator_may_want_less(service_with, disk, mode, seen):
    service = service_with(f"[image]\ndetect = {mode}\n")
    image_id = started(service)
    worker = runner.Runner(service, "here", pause_max_s=0)
    while worker.run_once():
        pass
    image = service.images.get(CALLER, image_id)
    assert (image.status, image.properties) == ("active", HELD)
    assert (guest_of(service, image_id) is not None) is seen
