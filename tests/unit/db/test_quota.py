"""Quotas: no change passes the limit, reservations end once, counters are what the rows say."""

import threading
from datetime import timedelta

import pytest

from imagesvc import errors
from imagesvc.db import image, image_disk, job, metadata, pending, quota, quota_count
from imagesvc.domain.quota import Change, Resource
from imagesvc.domain.state import JobState
from tests.unit.db import make

BYTES, IMAGES, UPLOADS = Resource.STORED_BYTES, Resource.IMAGES, Resource.UPLOADS


def held(amount, project="alpha", resource=BYTES):
    return Change(project, resource, reserved=amount)


def used(amount, project="alpha", resource=BYTES):
    return Change(project, resource, used=amount)


def look(database, resource=BYTES, project="alpha", defaults=None):
    """(used, reserved, limit)."""
    with database.read() as conn:
        found = {one.resource: one for one in quota.usage(conn, project, defaults or {})}
    return found[resource].used, found[resource].reserved, found[resource].limit


def test_without_a_limit_everything_fits_and_is_counted(database):
    with database.write() as conn:
        quota.reserve(conn, "one", [held(2**50)], {})
        quota.change(conn, [used(2**50)], {})
    assert look(database) == (2**50, 2**50, -1)


def test_a_reservation_is_settled_or_released_once(database):
    with database.write() as conn:
        quota.set_limit(conn, "alpha", BYTES, 10)
        quota.reserve(conn, "one", [held(6), held(1, resource=UPLOADS)], {})
        quota.reserve(conn, "one", [held(6), held(1, resource=UPLOADS)], {})
        quota.reserve(conn, "two", [held(4)], {})
        assert sorted(quota_count.orphans(conn, metadata.now())) == ["one", "two"]
    assert look(database) == (0, 10, 10)
    assert look(database, UPLOADS) == (0, 1, -1)
    with database.write() as conn:
        quota.end(conn, ["one"], [used(5)], {})
        quota.end(conn, ["two"], [], {})
        quota.end(conn, ["two"], [], {})
    assert look(database) == (5, 0, 10)
    assert look(database, UPLOADS) == (0, 0, -1)
    with database.write() as conn:
        quota.change(conn, [used(-5)], {})
    assert look(database) == (0, 0, 10)


@pytest.mark.parametrize("first", [0, 8])
def test_what_passes_the_limit_is_refused_and_changes_nothing(database, first):
    with database.write() as conn:
        quota.set_limit(conn, "alpha", BYTES, 10)
        if first:
            quota.change(conn, [used(first)], {})
    with pytest.raises(errors.QuotaExceeded) as caught, database.write() as conn:
        quota.reserve(conn, "two", [held(11), held(1, resource=UPLOADS)], {})
    assert caught.value.facts["used"] == first
    assert str(caught.value) == (
        f"Quota for stored_bytes exceeded: {first} of 10 bytes used, 11 more asked."
    )
    assert look(database) == (first, 0, 10)
    assert look(database, UPLOADS) == (0, 0, -1)
    with database.read() as conn:
        assert quota_count.orphans(conn, metadata.now()) == ()


def test_of_several_changes_all_or_none_happen(database):
    with database.write() as conn:
        quota.set_limit(conn, "beta", BYTES, 10)
        quota.change(conn, [used(20)], {})
    moved = [used(-11), used(11, "beta"), used(-1, resource=IMAGES), used(1, "beta", IMAGES)]
    with pytest.raises(errors.QuotaExceeded), database.write() as conn:
        quota.change(conn, moved, {})
    assert look(database) == (20, 0, -1)
    assert look(database, IMAGES, "beta") == (0, 0, -1)


def test_a_settlement_above_what_was_held_must_fit(database):
    with database.write() as conn:
        quota.set_limit(conn, "alpha", BYTES, 10)
        quota.reserve(conn, "one", [held(4)], {})
    with pytest.raises(errors.QuotaExceeded), database.write() as conn:
        quota.end(conn, ["one"], [used(11)], {})
    assert look(database) == (0, 4, 10)
    with database.write() as conn:
        quota.set_limit(conn, "alpha", BYTES, 1)
        quota.end(conn, ["one"], [used(4)], {})
    assert look(database) == (4, 0, 1)


def test_the_default_counts_until_a_project_has_a_limit_of_its_own(database):
    defaults = {IMAGES: 1}
    with database.write() as conn:
        quota.change(conn, [used(1, resource=IMAGES)], defaults)
    with pytest.raises(errors.QuotaExceeded), database.write() as conn:
        quota.change(conn, [used(1, resource=IMAGES)], defaults)
    with database.write() as conn:
        quota.set_limit(conn, "alpha", IMAGES, 2)
        quota.change(conn, [used(1, resource=IMAGES)], defaults)
        quota.set_limit(conn, "alpha", IMAGES, None)
    assert look(database, IMAGES, defaults=defaults) == (2, 0, 1)


def test_limits_of_other_projects_and_resources_do_not_count(database):
    with database.write() as conn:
        for project, resource, maximum in (
            ("alpha", BYTES, 10), ("alpha", UPLOADS, 1), ("beta", BYTES, 0), ("beta", IMAGES, 0)
        ):  # fmt: skip
            quota.set_limit(conn, project, resource, maximum)
        for _ in range(2):
            quota.change(conn, [used(1, "gamma"), used(5), used(1, resource=IMAGES)], {IMAGES: 2})
    with pytest.raises(errors.QuotaExceeded), database.write() as conn:
        quota.change(conn, [used(1)], {})
    assert look(database) == (10, 0, 10)
    assert look(database, project="gamma") == (2, 0, -1)


def test_less_is_always_allowed_above_a_limit_that_was_lowered(database):
    with database.write() as conn:
        quota.change(conn, [used(9)], {})
        quota.set_limit(conn, "alpha", BYTES, 3)
        quota.change(conn, [used(-2)], {})
        quota.reserve(conn, "empty", [held(0)], {})
    assert look(database) == (7, 0, 3)


def test_racing_changes_stop_at_the_limit(database):
    with database.write() as conn:
        quota.set_limit(conn, "alpha", IMAGES, 5)
    outcomes = []

    def take(n):
        try:
            with database.write() as conn:
                quota.change(conn, [used(1, resource=IMAGES)], {})
            outcomes.append(True)
        except errors.QuotaExceeded:
            outcomes.append(False)

    threads = [threading.Thread(target=take, args=(n,)) for n in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (outcomes.count(True), outcomes.count(False)) == (5, 7)


def test_crossing_moves_between_two_projects_do_not_wait_for_each_other(database):
    failures = []

    def move(one, other):
        def work(conn):
            quota.change(conn, [used(-1, one), used(1, other)], {})

        try:
            for _ in range(20):
                with database.write() as conn:
                    work(conn)
        except Exception as exc:
            failures.append(exc)

    pairs = [("alpha", "beta"), ("beta", "alpha")] * 3
    threads = [threading.Thread(target=move, args=pair) for pair in pairs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert look(database)[0] == look(database, project="beta")[0] == 0


def fill(conn):
    """Images of alpha: one with 7 bytes, one killed, one deleted; and what is held."""
    whole, killed, deleted = (make.image(owner="alpha") for _ in range(3))
    for one in (whole, killed, deleted):
        image.insert(conn, one)
    image_disk.insert_disk(conn, whole.id, make.disk(size_bytes=7))
    image.transition(conn, killed.id, "job_failed")
    image.transition(conn, deleted.id, "delete")
    quota.reserve(conn, "token", [held(5)], {})


def test_counters_that_went_astray_are_found_and_mended(database):
    with database.write() as conn:
        fill(conn)
        quota.change(conn, [used(7), used(3, resource=IMAGES), used(2, "ghost")], {})
    with database.read() as conn:
        found = {
            (one.project_id, one.resource): (one.counted, one.actual)
            for one in quota_count.differences(conn)
        }
    assert found == {
        ("alpha", IMAGES): ((3, 0), (1, 0)),
        ("ghost", BYTES): ((2, 0), (0, 0)),
    }
    with database.write() as conn:
        for wrong in quota_count.differences(conn):
            quota_count.lock(conn, wrong.project_id)
            quota_count.mend(conn, wrong)
        assert quota_count.differences(conn) == ()
    assert look(database, IMAGES) == (1, 0, -1)
    assert look(database) == (7, 5, -1)


def test_what_nobody_answers_for_is_an_orphan(database):
    running, ended = make.job(), make.job(state=JobState.DONE)
    with database.write() as conn:
        job.insert(conn, running)
        job.insert(conn, ended)
        pending.insert(conn, "store", "key", "image", "noted")
        for token in (running.id, ended.id, "noted", "lost"):
            quota.reserve(conn, token, [held(1)], {})
        now = metadata.now()
        assert set(quota_count.orphans(conn, now)) == {ended.id, "lost"}
        assert quota_count.orphans(conn, now - timedelta(minutes=1)) == ()
