"""Quotas: reservations never pass the limit, and end once."""

import threading

import pytest

from imagesvc import errors
from imagesvc.db import metadata, quota


def _usage(database):
    with database.read() as conn:
        return quota.usage(conn, "alpha", "bytes")


def test_without_a_limit_everything_fits(database):
    with database.write() as conn:
        quota.reserve(conn, "alpha", "bytes", 2**50, "one")
        quota.reserve(conn, "alpha", "bytes", 2**50, "two")
    assert _usage(database) == (0, 2**51, quota.UNLIMITED)


def test_a_reservation_is_settled_or_released_once(database):
    with database.write() as conn:
        quota.set_limit(conn, "alpha", "bytes", 10)
        quota.reserve(conn, "alpha", "bytes", 6, "one")
        quota.reserve(conn, "alpha", "bytes", 6, "one")
        quota.reserve(conn, "alpha", "bytes", 4, "two")
        assert sorted(quota.stale(conn, metadata.now())) == ["one", "two"]
        quota.settle(conn, "one", 5)
        quota.settle(conn, "one", 5)
        quota.release(conn, "two")
        quota.release(conn, "two")
    assert _usage(database) == (5, 0, 10)
    with database.write() as conn:
        quota.give_back(conn, "alpha", "bytes", 5)
    assert _usage(database) == (0, 0, 10)


@pytest.mark.parametrize("first", [0, 8])
def test_what_passes_the_limit_is_refused_and_changes_nothing(database, first):
    with database.write() as conn:
        quota.set_limit(conn, "alpha", "bytes", 10)
        if first:
            quota.reserve(conn, "alpha", "bytes", first, "first")
    with pytest.raises(errors.QuotaExceeded) as caught, database.write() as conn:
        quota.reserve(conn, "alpha", "bytes", 11, "two")
    assert caught.value.facts["used"] == first
    assert _usage(database) == (0, first, 10)


def test_racing_reservations_stop_at_the_limit(database):
    with database.write() as conn:
        quota.set_limit(conn, "alpha", "image", 5)
    outcomes = []

    def take(n):
        try:
            database.run(lambda conn: quota.reserve(conn, "alpha", "image", 1, f"t{n}"))
            outcomes.append(True)
        except errors.QuotaExceeded:
            outcomes.append(False)

    threads = [threading.Thread(target=take, args=(n,)) for n in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (outcomes.count(True), outcomes.count(False)) == (5, 7)
