"""Captures of servers that are encrypted: every image under a data key of its own."""

import os

import pytest

from imagesvc.domain import capture as captured
from imagesvc.domain import storage_key
from imagesvc.interface import errors
from imagesvc.manager import data_key
from tests.unit.worker.conftest import CALLER
from tests.unit.worker.paper_compute import BYTES, DATA, DISK

pytestmark = pytest.mark.parametrize("url", ["sqlite"], indirect=True)
# What servers on paper have on their disks begins or ends like this.
MARKS = (DISK[:2048], DATA[-2048:])


@pytest.fixture
def key_id(service):
    """A key of the caller's project."""
    return service.keys.create(CALLER, "k", None, "once").info.id


def bytes_of(service, image_id, disk=0):
    """The plain bytes of one disk."""
    with service.image_files.download(CALLER, image_id, disk=disk).open() as stream:
        return stream.read()


def check_sealed(service, tmp_path, *image_ids):
    """Each has a data key of its own, and no file has bytes of a disk."""
    assert len({service.data_keys.open(one) for one in image_ids}) == len(image_ids)
    keys = [one.key for one in service.backends.storage().list()]
    assert keys
    assert all(storage_key.is_encrypted(key) for key in keys)
    for folder, _, names in os.walk(tmp_path):
        for name in names:
            with open(os.path.join(folder, name), "rb") as file:
                data = file.read()
            assert not any(mark in data for mark in MARKS), name


def test_a_captured_system_disk_is_encrypted(service, key_id, work, tmp_path):
    image, _ = service.captures.start(CALLER, server_id="server", name="x", key_id=key_id)
    work()
    assert service.images.get(CALLER, image.id).key_id == key_id
    assert bytes_of(service, image.id) == DISK
    check_sealed(service, tmp_path, image.id)


def test_data_disks_are_each_encrypted_under_a_data_key_of_their_own(
    service, key_id, compute, work, tmp_path
):
    compute.disk_ids = ["vda", "vdb", "vdc"]
    _, job = service.captures.start(
        CALLER, server_id="server", name="data", disk_ids=("vdb", "vdc"), key_id=key_id
    )
    work()
    ids = captured.image_ids(job)
    assert [service.images.get(CALLER, one).key_id for one in ids] == [key_id, key_id]
    assert [bytes_of(service, one) for one in ids] == [BYTES["vdb"], BYTES["vdc"]]
    check_sealed(service, tmp_path, *ids)


def test_all_disks_of_a_whole_machine_are_encrypted(service, key_id, work, tmp_path):
    image, _ = service.captures.start(
        CALLER, server_id="server", name="all", whole=True, key_id=key_id
    )
    work()
    assert [bytes_of(service, image.id, disk) for disk in (0, 1)] == [DISK, DATA]
    assert len(service.backends.storage().list()) == 2
    check_sealed(service, tmp_path, image.id)


def test_a_server_is_made_of_plain_bytes_at_a_signed_url_and_of_no_file(
    service, key_id, compute, work
):
    image, _ = service.captures.start(CALLER, server_id="server", name="x", key_id=key_id)
    work()
    service.servers.create(CALLER, image_id=image.id, name="again", count=1)
    work()
    (source,) = compute.specs[0].disks
    assert source.local_path is None
    assert source.size_bytes == len(DISK)


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_disabled_key_ends_a_capture_with_its_own_reason_and_no_half_image(
    service, key_id, compute, work, when, monkeypatch
):
    monkeypatch.setattr(data_key, "_KEPT_S", 0.0)
    if when == "before":
        service.keys.set_enabled(CALLER, key_id, False)
        with pytest.raises(errors.KeyUnavailable):
            service.captures.start(CALLER, server_id="server", name="x", key_id=key_id)
        return
    image, job = service.captures.start(CALLER, server_id="server", name="x", key_id=key_id)
    service.keys.set_enabled(CALLER, key_id, False)
    work()
    ended = service.jobs.get(CALLER, job.id)
    assert (ended.state, ended.error_text) == ("failed", "The key is disabled.")
    assert service.images.get(CALLER, image.id).status == "killed"
    assert not compute.snapshots
    assert service.backends.storage().list() == []
    service.keys.set_enabled(CALLER, key_id, True)
    service.jobs.retry(CALLER, job.id)
    work()
    assert service.jobs.get(CALLER, job.id).state == "done"
    assert bytes_of(service, image.id) == DISK
