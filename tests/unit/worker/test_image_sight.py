"""Jobs that read an image of another project that does not share it any more."""

import dataclasses
import io

import pytest

from imagesvc import errors
from imagesvc.domain.image import NewImage
from imagesvc.domain.server import DataDisk
from tests.unit.worker.conftest import CALLER
from tests.unit.worker.paper_compute import DISK

OTHER = dataclasses.replace(CALLER, user_id="guest", project_id="other")
ADMIN = dataclasses.replace(OTHER, roles=frozenset({"admin", "member"}), is_admin=True)
OPERATOR = dataclasses.replace(ADMIN, project_id="operators")


@pytest.fixture
def shared(service, active_image):
    """An image that the other project sees."""
    service.members.add(CALLER, active_image.id, OTHER.project_id)
    return active_image


@pytest.fixture
def own(service):
    """An image of the other project's own."""
    new = NewImage(name="own", disk_format="raw", container_format="bare")
    image = service.images.create(OTHER, new)
    return service.image_files.upload(OTHER, image.id, io.BytesIO(DISK), len(DISK))


def withdraw(service, image):
    service.members.remove(CALLER, image.id, OTHER.project_id)


def ask(service, compute, kind, image, own, caller=OTHER):
    """Hand in a job of this kind that reads the image."""
    compute.servers.clear()
    if kind == "rebuild":
        compute.servers["web"] = OTHER.project_id
        return service.rebuilds.start(caller, server_ids=["web"], image_id=image.id)
    if kind == "data disk":
        disks = (DataDisk(image.id),)
        return service.servers.create(caller, image_id=own.id, name="web", data_disks=disks)
    return service.servers.create(caller, image_id=image.id, name="web")


@pytest.mark.parametrize("kind", ["servers", "data disk", "rebuild"])
def test_a_job_reads_no_image_that_its_caller_sees_no_more(
    service, shared, own, compute, work, kind
):
    job = ask(service, compute, kind, shared, own)
    withdraw(service, shared)
    work()
    ended = service.jobs.get(OTHER, job.id)
    assert ended.state == "failed"
    assert errors.ImageGone(image_id=shared.id).text in ended.error_text
    assert not compute.works


@pytest.mark.parametrize("kind", ["servers", "data disk", "rebuild"])
def test_a_job_is_not_retried_by_who_sees_its_image_no_more(
    service, shared, own, compute, work, kind
):
    job = ask(service, compute, kind, shared, own)
    service.jobs.cancel(OTHER, job.id)
    withdraw(service, shared)
    for caller in (OTHER, OPERATOR):
        with pytest.raises(errors.ImageNotFound):
            service.jobs.retry(caller, job.id)
    assert service.jobs.get(OTHER, job.id).state == "cancelled"
    service.members.add(CALLER, shared.id, OTHER.project_id)
    service.jobs.retry(OPERATOR, job.id)
    work()
    assert service.jobs.get(OTHER, job.id).state == "done"


def test_an_administrators_job_is_retried_with_the_rights_of_who_retries_it(
    service, active_image, own, compute, work
):
    job = ask(service, compute, "servers", active_image, own, ADMIN)
    service.jobs.cancel(ADMIN, job.id)
    with pytest.raises(errors.ImageNotFound):
        service.jobs.retry(OTHER, job.id)
    service.jobs.retry(ADMIN, job.id)
    work()
    assert service.jobs.get(OTHER, job.id).state == "done"
