"""Jobs as callers see them."""

import dataclasses

import pytest

from imagesvc import errors
from imagesvc.domain.job import JobType
from imagesvc.interface import errors as driver_errors
from tests.unit.worker.conftest import CALLER

OTHER = dataclasses.replace(CALLER, project_id="other")
READER = dataclasses.replace(CALLER, roles=frozenset({"reader"}))
ADMIN = dataclasses.replace(
    CALLER, project_id="operators", roles=frozenset({"admin"}), is_admin=True
)


@pytest.fixture
def job(capture):
    """A job that waits for a worker."""
    return capture[1]


def test_a_job_handed_in_is_ready_and_belongs_to_the_project(service, job):
    shown = service.jobs.get(CALLER, job.id)
    assert (shown.state, shown.project_id, shown.request_id) == ("ready", "project", "req-1")
    assert [item.id for item in service.jobs.list(CALLER)] == [job.id]
    assert service.jobs.get(ADMIN, job.id).id == job.id


@pytest.mark.parametrize("verb", ["get", "cancel", "retry"])
def test_a_foreign_job_does_not_exist(service, job, verb):
    with pytest.raises(errors.JobNotFound):
        getattr(service.jobs, verb)(OTHER, job.id)
    assert service.jobs.list(OTHER) == ()


@pytest.mark.parametrize("verb", ["cancel", "retry"])
def test_a_reader_may_only_look(service, job, verb):
    with pytest.raises(errors.Forbidden):
        getattr(service.jobs, verb)(READER, job.id)
    assert service.jobs.get(READER, job.id).state == "ready"
    event = next(iter(service.audits.query(CALLER, action=f"job:{verb}")))
    assert event.outcome == "denied"


def test_an_ended_job_cannot_be_cancelled_and_an_open_one_not_retried(service, job, work):
    with pytest.raises(errors.StateConflict):
        service.jobs.retry(CALLER, job.id)
    work()
    with pytest.raises(errors.StateConflict):
        service.jobs.cancel(CALLER, job.id)
    with pytest.raises(errors.StateConflict):
        service.jobs.retry(CALLER, job.id)


def test_a_retry_whose_image_is_gone_changes_nothing(service, capture):
    image, job = capture
    service.jobs.cancel(CALLER, job.id)
    service.deletions.delete(CALLER, image.id)
    with pytest.raises(errors.ImageNotFound):
        service.jobs.retry(CALLER, job.id)
    assert service.jobs.get(CALLER, job.id).state == "cancelled"


def test_a_list_is_filtered_and_paged(service, active_image):
    ids = [service.servers.create(CALLER, image_id=active_image.id, name="x").id for _ in range(3)]
    service.jobs.cancel(CALLER, ids[0])
    first = service.jobs.list(CALLER, limit=2)
    rest = service.jobs.list(CALLER, limit=2, marker=first[-1].id)
    assert [item.id for item in first + rest] == ids[::-1]
    assert [item.id for item in service.jobs.list(CALLER, state="cancelled")] == ids[:1]
    assert service.jobs.list(CALLER, type=JobType.CAPTURE_SYSTEM_DISK) == ()
    with pytest.raises(errors.InvalidRequest):
        service.jobs.list(CALLER, marker="unknown")


def test_one_idempotency_key_is_one_job_a_project(service, active_image, compute):
    def create(ctx=CALLER):
        return service.servers.create(
            ctx, image_id=active_image.id, name="x", idempotency_key="again"
        )

    assert create().id == create().id
    with pytest.raises(errors.Conflict):
        service.captures.start(CALLER, server_id="server", name="x", idempotency_key="again")
    with pytest.raises(errors.ImageNotFound):
        create(OTHER)
    assert len(service.jobs.list(ADMIN)) == 1


def test_a_repeated_capture_gives_the_first_image(service):
    def start():
        return service.captures.start(CALLER, server_id="server", name="x", idempotency_key="again")

    (first, job), (second, same) = start(), start()
    assert (first.id, job.id) == (second.id, same.id)


@pytest.mark.parametrize("end", ["done", "failed", "cancelled", "deleted"])
def test_a_key_gives_the_first_job_also_after_it_ended(service, compute, work, end):
    def start():
        return service.captures.start(CALLER, server_id="server", name="x", idempotency_key="k")

    image, job = start()
    if end == "failed":
        compute.faults["start_snapshot"] = driver_errors.DriverError("No.")
    if end == "cancelled":
        service.jobs.cancel(CALLER, job.id)
    work()
    if end == "deleted":
        service.deletions.delete(CALLER, image.id)
    again, same = start()
    assert (same.id, same.image_id) == (job.id, image.id)
    assert same.state == ("done" if end == "deleted" else end)
    assert (again is None) == (end == "deleted")
    assert len(service.jobs.list(CALLER)) == 1
    assert work() == 0


def test_a_key_gives_the_first_creation_also_after_it_ended(service, active_image, compute, work):
    def create(ctx=CALLER):
        return service.servers.create(ctx, image_id=active_image.id, name="x", idempotency_key="k")

    job = create()
    work()
    service.deletions.delete(CALLER, active_image.id)
    assert (create().id, create().state) == (job.id, "done")
    assert len(compute.servers) == 2
