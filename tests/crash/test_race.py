"""Rivals on one image, one job, one quota: one wins, the others are told so, nothing is left.

Four API processes and two workers on PostgreSQL. A short round of each race is part of every
run, a long one is for `tox -e soak`.
"""

# ruff: noqa: B023 - the acts of a round are over when the round is
import collections
import random

import pytest

from imagesvc.db import job_history, member, metadata
from tests.crash.arena import FETCHED, Arena

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("race")]

SIZE = 60_000
THREADS = 20


@pytest.fixture(scope="module")
def started(tmp_path_factory, postgresql_server, postgresql_template):
    """The processes, for all tests."""
    with pytest.MonkeyPatch.context() as environment:
        url = postgresql_server.create(postgresql_template)
        made = Arena(tmp_path_factory.mktemp("race"), url, environment)
        yield made
        made.stop()


@pytest.fixture
def arena(started):
    """The processes, which are clean again afterwards."""
    started.faults.clear()
    yield started
    started.limit(images=-1, bytes=-1)
    started.check_clean()


@pytest.fixture(
    params=[
        pytest.param(3, id="short"),
        pytest.param(200, id="long", marks=[pytest.mark.soak, pytest.mark.timeout(1800)]),
    ]
)
def rounds(request):
    """Numbers of the rounds."""
    return range(request.param)


def statuses(answers):
    """The statuses alone, sorted."""
    return sorted(one.status for one in answers)


def gone(arena, image_id):
    """The image is deleted, and whatever was to fill it has ended without."""
    assert arena.show(image_id).status == 404
    jobs = arena.ended()
    if image_id in jobs:
        assert jobs[image_id]["state"] in ("cancelled", "failed"), jobs[image_id]
        assert jobs[image_id]["attempt"] == 0


def test_of_uploads_into_one_image_one_wins(arena, rounds):
    for _ in rounds:
        image_id = arena.new()
        bodies = [random.randbytes(SIZE) for _ in range(4)]
        found = arena.race(*(lambda b=b: arena.upload(image_id, b) for b in bodies))
        assert statuses(found) == [204, 409, 409, 409]
        winner = next(n for n, one in enumerate(found) if one.status == 204)
        assert arena.download(image_id).body == bodies[winner]
        assert arena.delete(image_id).status == 204


def test_an_image_deleted_under_its_upload_is_gone(arena, rounds):
    for _ in rounds:
        image_id = arena.new()
        sent, deleted = arena.race(
            lambda: arena.upload(image_id, bytes(SIZE)), lambda: arena.delete(image_id)
        )
        assert deleted.status == 204
        assert sent.status in (204, 404, 410)
        gone(arena, image_id)


def test_of_an_upload_and_an_import_one_wins(arena, rounds):
    for _ in rounds:
        image_id, data = arena.new(), random.randbytes(SIZE)
        sent, brought = arena.race(
            lambda: arena.upload(image_id, data), lambda: arena.bring(image_id, "web-download")
        )
        assert (sent.status, brought.status) in ((204, 409), (409, 202))
        arena.ended()
        assert arena.show(image_id).body["status"] == "active"
        wanted = data if sent.status == 204 else FETCHED
        assert arena.download(image_id).body == wanted


def test_an_import_begins_with_all_of_the_staged_bytes_or_not_at_all(arena, rounds):
    for _ in rounds:
        image_id, data = arena.new(), random.randbytes(SIZE)
        sent, brought = arena.race(
            lambda: arena.stage(image_id, data), lambda: arena.bring(image_id, "glance-direct")
        )
        assert sent.status == 204
        if brought.status == 409:
            brought = arena.bring(image_id, "glance-direct")
        assert brought.status == 202
        arena.ended()
        assert arena.download(image_id).body == data


def test_of_imports_into_one_image_one_wins(arena, rounds):
    for _ in rounds:
        image_id = arena.new()
        found = arena.race(*[lambda: arena.bring(image_id, "web-download")] * 4)
        assert statuses(found) == [202, 409, 409, 409]
        arena.ended()
        assert len(arena.ids_of_jobs(image_id)) == 1
        assert arena.download(image_id).body == FETCHED


@pytest.mark.parametrize("method", ["web-download", "glance-direct"])
def test_an_image_deleted_under_its_import_is_gone(arena, rounds, method):
    for _ in rounds:
        image_id = arena.new()
        if method == "glance-direct":
            assert arena.stage(image_id, bytes(SIZE)).status == 204
        brought, deleted = arena.race(
            lambda: arena.bring(image_id, method), lambda: arena.delete(image_id)
        )
        assert deleted.status == 204
        assert brought.status in (202, 404)
        gone(arena, image_id)


def test_an_image_deleted_while_it_is_copied_is_gone_from_every_store(arena, rounds):
    for _ in rounds:
        image_id = arena.active()
        copied, deleted = arena.race(
            lambda: arena.bring(image_id, "copy-image", "admin", stores=["far"]),
            lambda: arena.delete(image_id),
        )
        assert deleted.status == 204
        assert copied.status in (202, 404)
        assert arena.show(image_id).status == 404
        arena.ended()


def test_a_deleted_image_has_no_member(arena, rounds):
    for _ in rounds:
        image_id = arena.new()
        body = {"member": arena.ids["other"]}
        shared, deleted = arena.race(
            lambda: arena.call("owner", "POST", f"/v2/images/{image_id}/members", body),
            lambda: arena.delete(image_id),
        )
        assert deleted.status == 204
        assert shared.status in (200, 404)
        with arena.database.read() as conn:
            assert member.count(conn, image_id) == 0


def test_an_offer_that_is_withdrawn_while_it_is_accepted_is_withdrawn(arena, rounds):
    for _ in rounds:
        image_id, other = arena.new(), arena.ids["other"]
        members = f"/v2/images/{image_id}/members"
        assert arena.call("owner", "POST", members, {"member": other}).status == 200
        accepted, withdrawn = arena.race(
            lambda: arena.call("other", "PUT", f"{members}/{other}", {"status": "accepted"}),
            lambda: arena.call("owner", "DELETE", f"{members}/{other}"),
        )
        assert withdrawn.status == 204
        assert accepted.status in (200, 404)
        assert arena.call("owner", "GET", members).body["members"] == []
        assert arena.show(image_id, "other").status == 404


def test_twenty_at_the_edge_of_a_quota_of_images_fill_it_exactly(arena, rounds):
    for _ in rounds:
        arena.limit(images=arena.used("images")[0] + 3)
        found = arena.race(*[lambda: arena.call("owner", "POST", "/v2/images", {})] * THREADS)
        assert statuses(found) == [201] * 3 + [413] * (THREADS - 3)
        found = arena.race(
            *(lambda i=one.body["id"]: arena.delete(i) for one in found if one.status == 201)
        )
        assert statuses(found) == [204] * 3


def test_twenty_at_the_edge_of_a_quota_of_bytes_fill_it_exactly(arena, rounds):
    images = [arena.new() for _ in range(THREADS)]
    for n in rounds:
        if n:
            images += [arena.new() for _ in range(3)]
        arena.limit(bytes=sum(arena.used("bytes")) + 3 * SIZE + SIZE // 2)
        found = arena.race(*(lambda i=i: arena.upload(i, bytes(SIZE)) for i in images))
        assert statuses(found) == [204] * 3 + [413] * (THREADS - 3)
        full = [i for i, one in zip(images, found, strict=True) if one.status == 204]
        images = [one for one in images if one not in full]


def test_each_of_many_jobs_is_done_by_one_worker_once(arena, rounds):
    for _ in rounds:
        images = [arena.new() for _ in range(6)]
        found = arena.race(*(lambda i=i: arena.bring(i, "web-download") for i in images))
        assert statuses(found) == [202] * 6
        jobs = arena.ended()
        assert {jobs[one]["state"] for one in images} == {"done"}
        assert {jobs[one]["attempt"] for one in images} == {0}
        fetches = collections.Counter(arena.fetches)
        assert {fetches[f"/{one}"] for one in images} == {1}
        for one in images:
            audit = f"/imagesvc/v1/audit?target_id={one}&action=image_import:complete"
            assert len(arena.call("admin", "GET", audit).body["events"]) == 1


def test_a_job_that_is_cancelled_while_it_ends_is_cancelled_or_done(arena, rounds):
    for _ in rounds:
        image_id = arena.new()
        assert arena.bring(image_id, "web-download").status == 202
        (job_id,) = arena.ids_of_jobs(image_id)
        path = f"/imagesvc/v1/jobs/{job_id}/cancel"
        found = arena.race(*[lambda: arena.call("owner", "POST", path)] * 2)
        assert set(statuses(found)) <= {202, 409}, found
        state = arena.ended()[image_id]["state"]
        shown = arena.show(image_id).body["status"]
        assert (state, shown) in (("cancelled", "queued"), ("done", "active"))
        assert arena.delete(image_id).status == 204


def test_jobs_that_are_purged_while_they_are_listed_are_listed_once_or_not(arena, rounds):
    def purge(count=2):
        with arena.database.write() as conn:
            return job_history.prune(conn, metadata.now(), count)

    for _ in rounds:
        purge(10_000)
        images = [arena.new() for _ in range(6)]
        for one in images:
            assert arena.bring(one, "web-download").status == 202
        arena.ended()
        path = "/imagesvc/v1/jobs?limit=1"
        first, second, *purged = arena.race(
            lambda: arena.walk(path, "jobs"), lambda: arena.walk(path, "jobs"), *[purge] * 3
        )
        assert sum(purged) == 6
        for found in (first, second):
            assert len(found) == len(set(found))


def test_a_walk_over_images_finds_each_that_stays_once_while_others_go(arena, rounds):
    for _ in rounds:
        images = [arena.new(name="walk") for _ in range(8)]
        path = "/v2/images?limit=1&name=walk"
        first, second, *deleted = arena.race(
            lambda: arena.walk(path, "images"),
            lambda: arena.walk(path, "images"),
            *(lambda i=i: arena.delete(i) for i in images[::2]),
        )
        assert statuses(deleted) == [204] * 4
        for found in (first, second):
            assert len(found) == len(set(found))
            assert set(images[1::2]) <= set(found) <= set(images)
        for one in images[1::2]:
            assert arena.delete(one).status == 204


def test_a_download_is_whole_or_refused_while_the_image_becomes_private(arena, rounds):
    for _ in rounds:
        data = random.randbytes(SIZE)
        image_id = arena.active(data, visibility="community")
        changed, *found = arena.race(
            lambda: arena.patch(image_id, "visibility", "private"),
            *[lambda: arena.download(image_id, "other")] * 3,
        )
        assert changed.status == 200
        for one in found:
            assert one.status == 404 or (one.status, one.body) == (200, data)
        assert arena.download(image_id, "other").status == 404
        assert arena.delete(image_id).status == 204


def test_of_changes_of_one_image_none_is_lost(arena, rounds):
    for _ in rounds:
        image_id = arena.new()
        path = f"/v2/images/{image_id}"
        found = arena.race(
            *(lambda n=n: arena.call("owner", "PUT", f"{path}/tags/t{n}") for n in range(4)),
            lambda: arena.patch(image_id, "name", "y"),
        )
        assert statuses(found) == [200, 204, 204, 204, 204]
        shown = arena.show(image_id).body
        assert (shown["name"], sorted(shown["tags"])) == ("y", ["t0", "t1", "t2", "t3"])
