"""One idempotency key is one job, also for requests that come at once, on both engines."""

import concurrent.futures
import threading

from imagesvc import errors
from imagesvc.context import RequestContext
from imagesvc.domain.image_query import ImageQuery
from imagesvc.manager.copy import NewCopy
from tests.unit.worker.conftest import CALLER

RIVALS = 6
ROUNDS = 5


def at_once(call):
    """What `call` answers, or raises, in threads that begin together."""
    barrier = threading.Barrier(RIVALS)

    def run(_):
        barrier.wait(30)
        try:
            return call()
        except errors.ImagesvcError as error:
            return error

    with concurrent.futures.ThreadPoolExecutor(RIVALS) as pool:
        return list(pool.map(run, range(RIVALS)))


def test_creations_that_come_at_once_are_one_job(service, active_image):
    for number in range(ROUNDS):
        found = at_once(
            lambda key=f"key-{number}": service.servers.create(
                CALLER, image_id=active_image.id, name="x", idempotency_key=key
            )
        )
        assert {getattr(one, "id", one) for one in found} == {found[0].id}
    assert len(service.jobs.list(CALLER)) == ROUNDS
    events = service.audits.query(CALLER, action="server:create")
    assert [event.outcome for event in events] == ["success"] * ROUNDS


def test_captures_that_come_at_once_are_one_image_and_one_job(service):
    for number in range(ROUNDS):
        found = at_once(
            lambda key=f"key-{number}": service.captures.start(
                CALLER, server_id="server", name="x", idempotency_key=key
            )
        )
        assert not [one for one in found if isinstance(one, Exception)]
        assert {(image.id, job.id) for image, job in found} == {(found[0][0].id, found[0][1].id)}
    assert len(service.images.list(CALLER, ImageQuery()).images) == ROUNDS


def test_different_work_under_one_key_at_once_is_one_job_and_a_conflict(service, active_image):
    turns = iter(range(RIVALS))

    def either():
        if next(turns) % 2:
            return service.captures.start(
                CALLER, server_id="server", name="x", idempotency_key="key"
            )[1]
        return service.servers.create(
            CALLER, image_id=active_image.id, name="x", idempotency_key="key"
        )

    found = at_once(either)
    refused = [one for one in found if isinstance(one, Exception)]
    assert {type(one) for one in refused} == {errors.Conflict}
    assert len(refused) == RIVALS / 2
    assert len(service.jobs.list(CALLER)) == 1


def test_copies_that_come_at_once_are_one_job_though_the_first_takes_the_last_room(
    service, active_image
):
    admin = RequestContext("admin", None, frozenset({"admin"}))
    for number in range(ROUNDS):
        service.quotas.set_limits(admin, CALLER.project_id, {"images": number + 2})
        found = at_once(
            lambda key=f"key-{number}": service.copies.start(
                CALLER, active_image.id, NewCopy("y"), idempotency_key=key
            )
        )
        assert {getattr(one, "id", one) for one in found} == {found[0].id}
    assert len(service.jobs.list(CALLER)) == ROUNDS
