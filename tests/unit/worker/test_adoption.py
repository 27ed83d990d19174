"""A snapshot that is an image here already is taken over: its bytes stay, its record goes."""

import dataclasses

import pytest

from imagesvc import errors
from imagesvc.context import RequestContext
from imagesvc.db import doomed, image_disk, metadata, pending
from imagesvc.db import image as image_rows
from imagesvc.domain import image_property
from imagesvc.domain.image import NewImage
from imagesvc.domain.image_query import ImageQuery
from imagesvc.interface.compute import ComputeCapability
from imagesvc.interface.errors import NotFound, Unavailable
from imagesvc.manager import adoption as manager
from imagesvc.manager import quota_verify
from imagesvc.worker import adoption, reaper
from tests.unit.worker.conftest import CALLER
from tests.unit.worker.paper_compute import DISK, PaperCompute

WRITTEN = b"what the cloud wrote" + DISK


class ImagingCompute(PaperCompute):
    """Its snapshots are images of the image service, as those of a cloud are."""

    writer = CALLER
    properties = {"instance_uuid": "server", "imagesvc_snapshot": "mark"}
    known = True
    values = {}

    def info(self):
        return dataclasses.replace(
            super().info(), capabilities=frozenset({ComputeCapability.SNAPSHOT_IMAGE})
        )

    def snapshot_image(self, snapshot_id):
        self._call("snapshot_image")
        if snapshot_id not in self.snapshots:
            raise NotFound("No such snapshot.")
        if "image" not in self.__dict__:
            new = NewImage(
                name="written", disk_format="raw", container_format="bare", min_disk_gib=3,
                properties=self.properties, **self.values,
            )  # fmt: skip
            self.image = self.service.images.create(self.writer, new).id
            path = self.service.conf.service.state_dir + "/written"
            with open(path, "wb") as target:
                target.write(WRITTEN)
            with open(path, "rb") as source:
                self.service.image_files.upload(self.writer, self.image, source, len(WRITTEN))
        return self.image if self.known else "another-image-service"

    def delete_snapshot(self, snapshot_id):
        super().delete_snapshot(snapshot_id)
        try:
            self.service.images.get(self.writer, self.image)
        except errors.ImageNotFound:
            return
        self.service.deletions.delete(self.writer, self.image)


@pytest.fixture
def compute():
    """Overrides the one of this folder."""
    driver = ImagingCompute()
    driver.servers["server"] = "project"
    return driver


@pytest.fixture
def capture(service, compute):
    """An accepted capture: image and job."""
    compute.service = service
    return service.captures.start(
        CALLER, server_id="server", name="captured", properties={"instance_uuid": "mine"}
    )


def look(service, capture):
    image, job = capture
    return service.images.get(CALLER, image.id), service.jobs.get(CALLER, job.id)


def images(service):
    return {each.id for each in service.images.list(CALLER, ImageQuery()).images}


def left(service):
    """Objects and notes that remain; counters are true."""
    reaper.run(service)
    assert quota_verify.verify(service.database) == ()
    with service.database.read() as conn:
        rows = doomed.list(conn, 10) + pending.stale(conn, metadata.now())
    return [item.key for item in service.backends.storage().list()], rows


def test_one_image_is_left_with_the_bytes_that_were_written(service, capture, compute, work):
    work()
    image, job = look(service, capture)
    assert (image.status, job.state, image.size_bytes) == ("active", "done", len(WRITTEN))
    with service.image_files.download(CALLER, image.id).open() as stream:
        assert stream.read() == WRITTEN
    assert images(service) == {image.id}
    with pytest.raises(errors.ImageNotFound):
        service.images.get(CALLER, compute.image)
    keys, rows = left(service)
    assert rows == ()
    assert [key.partition("/")[0] for key in keys] == [compute.image]


def test_what_the_record_said_is_kept_but_for_marks_and_the_callers_own_words(
    service, capture, compute, work
):
    compute.properties = {**compute.properties, "hw_disk_bus": "virtio"}
    work()
    image, _ = look(service, capture)
    assert image.properties["hw_disk_bus"] == "virtio"
    assert image.properties["instance_uuid"] == "mine"
    assert not any(name.startswith("imagesvc_") for name in image.properties)
    assert image.min_disk_gib == 3


def test_the_image_gets_no_more_properties_than_it_may_and_none_of_the_service(
    service, capture, compute, work, monkeypatch
):
    marks = {f"p{number}": "x" for number in range(service.limits.properties)}
    compute.properties = marks
    found = adoption.find

    def find_and_mark(ctx, disk):
        facts = found(ctx, disk)
        with service.database.write() as conn:
            image_rows.set_properties(conn, compute.image, {"os_glance_import_task": "job"})
        return facts

    monkeypatch.setattr(adoption, "find", find_and_mark)
    work()
    image, _ = look(service, capture)
    assert image.status == "active"
    count = len(image.properties.keys() - {"consistency"}) + len(image_property.facts_of(image))
    assert count == service.limits.properties
    assert "os_glance_import_task" not in image.properties
    assert image.properties["instance_uuid"] == "mine"


def test_a_record_that_everybody_sees_is_read_and_not_taken_over(service, capture, compute, work):
    compute.values = {"visibility": "community"}
    work()
    image, _ = look(service, capture)
    with service.image_files.download(CALLER, image.id).open() as stream:
        assert stream.read() == DISK


@pytest.mark.parametrize(
    ("values", "usable"),
    [({}, True), ({"container_format": "ova"}, False), ({"container_format": "compressed"}, False),
     ({"visibility": "public"}, False), ({"visibility": "community"}, False),
     ({"visibility": "private"}, True)],
)  # fmt: skip
def test_only_a_plain_image_that_is_its_owners_alone_is_taken_over(
    service, active_image, values, usable
):
    with service.database.read() as conn:
        disks = image_disk.list_for(conn, active_image.id)
    image = dataclasses.replace(active_image, **values)
    assert (manager.usable_disk(image, disks, CALLER.project_id) is not None) == usable


def test_the_trail_tells_that_the_record_went_and_why(service, capture, compute, work):
    work()
    image, job = look(service, capture)
    found = [
        event
        for event in service.audits.query(CALLER, limit=100)
        if event.target_id == compute.image and event.action == "image:delete"
    ]
    assert [event.detail for event in found] == [{"adopted_by": image.id, "job_id": job.id}]


def test_an_image_of_another_service_is_read(service, capture, compute, work):
    compute.known = False
    work()
    image, _ = look(service, capture)
    with service.image_files.download(CALLER, image.id).open() as stream:
        assert stream.read() == DISK
    assert images(service) == {image.id}


def test_an_image_of_another_project_is_not_taken(service, capture, compute, work):
    compute.writer = RequestContext("other", "other-project", frozenset({"member"}))
    work()
    image, _ = look(service, capture)
    with service.image_files.download(CALLER, image.id).open() as stream:
        assert stream.read() == DISK


def test_a_record_that_goes_before_it_is_taken_over_fails_the_job(
    service, capture, compute, work, monkeypatch
):
    found = adoption.find

    def find_and_lose(ctx, disk):
        facts = found(ctx, disk)
        service.deletions.delete(CALLER, compute.image)
        return facts

    monkeypatch.setattr(adoption, "find", find_and_lose)
    work()
    image, job = look(service, capture)
    assert (image.status, job.state) == ("killed", "failed")
    assert left(service) == ([], ())


def test_a_failure_before_the_end_removes_the_record_with_its_bytes(
    service, capture, compute, work, monkeypatch
):
    found = adoption.take

    def fail(*args):
        found(*args)
        raise errors.ImageGone(image_id="torn")

    monkeypatch.setattr(adoption, "take", fail)
    work()
    assert look(service, capture)[1].state == "failed"
    assert images(service) == {capture[0].id}
    with pytest.raises(errors.ImageNotFound):
        service.images.get(CALLER, compute.image)
    assert left(service) == ([], ())


def test_a_backend_that_is_away_is_asked_again(service, capture, compute, work):
    compute.faults["snapshot_image"] = Unavailable("Nova cannot be reached.")
    work(3)
    image, job = look(service, capture)
    assert (image.status, job.finished_at) == ("importing", None)
    del compute.faults["snapshot_image"]
    work()
    assert look(service, capture)[0].status == "active"
