"""Transactions that are done once more, and those that are not."""

import threading
import time

import pytest
import sqlalchemy as sa

from imagesvc.db import attempt, image
from tests.unit.db import make


def rename(conn, image_id, name):
    """Change a row, and hold it until the transaction ends."""
    image.update(conn, image_id, {"name": name})


@pytest.fixture
def pair(database):
    """Two images."""
    made = (make.image(), make.image())
    with database.write() as conn:
        for one in made:
            image.insert(conn, one)
    return [one.id for one in made]


@pytest.mark.parametrize("state", ["40001", "40P01"])
def test_a_transaction_is_done_again_when_postgresql_asks_for_it(postgresql, state):
    calls = []

    @attempt.again
    def act():
        with postgresql.write() as conn:
            calls.append(1)
            if len(calls) < 3:
                conn.exec_driver_sql(f"DO $$ BEGIN RAISE SQLSTATE '{state}'; END $$")
            return len(calls)

    assert act() == 3


def test_a_transaction_that_never_goes_through_ends(postgresql):
    calls = []

    @attempt.again
    def act():
        with postgresql.write() as conn:
            calls.append(1)
            conn.exec_driver_sql("DO $$ BEGIN RAISE SQLSTATE '40P01'; END $$")

    with pytest.raises(sa.exc.DBAPIError):
        act()
    assert len(calls) == 5


def test_two_that_wait_in_a_circle_both_end_well(database, pair):
    met, calls = threading.Barrier(2), []

    @attempt.again
    def act(first, second):
        calls.append(first)
        with database.write() as conn:
            rename(conn, first, first)
            if len(calls) <= 2 and database.dialect == "postgresql":
                met.wait(30)
            rename(conn, second, first)

    threads = [threading.Thread(target=act, args=order) for order in (pair, pair[::-1])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(calls) == (3 if database.dialect == "postgresql" else 2)
    with database.read() as conn:
        names = {image.get(conn, one).name for one in pair}
    assert len(names) == 1  # one after the other, each wholly


def test_what_is_committed_is_not_done_twice(database, pair):
    calls = []

    @attempt.again
    def act():
        calls.append(1)
        with database.write() as conn:
            rename(conn, pair[0], "once")
        raise attempt.Again

    with pytest.raises(attempt.Again):
        act()
    assert len(calls) == 1


def test_what_another_thread_commits_does_not_count(database, pair):
    calls = []

    def other():
        with database.write() as conn:
            rename(conn, pair[0], "other")

    @attempt.again
    def act():
        calls.append(1)
        if len(calls) == 1:
            thread = threading.Thread(target=other)
            thread.start()
            thread.join()
            raise attempt.Again

    act()
    assert len(calls) == 2


def test_an_error_of_another_kind_is_not_tried_again(database, pair):
    calls = []

    @attempt.again
    def act():
        calls.append(1)
        with database.write() as conn:
            conn.exec_driver_sql("SELECT nothing FROM nowhere")

    with pytest.raises(sa.exc.DBAPIError):
        act()
    assert len(calls) == 1


def test_a_locked_sqlite_is_tried_again_but_not_after_the_engine_waited_in_vain(
    sqlite_url, monkeypatch
):
    made = sa.create_engine(sqlite_url, connect_args={"timeout": 0})
    calls = []

    @attempt.again
    def act():
        calls.append(1)
        with made.connect() as conn:
            conn.exec_driver_sql("BEGIN IMMEDIATE")

    with made.connect() as holder:
        holder.exec_driver_sql("BEGIN IMMEDIATE")
        with pytest.raises(sa.exc.OperationalError):
            act()
        assert len(calls) == 5
        began, moments = time.monotonic(), iter([0.0, attempt.PATIENCE_S])
        monkeypatch.setattr(attempt.time, "monotonic", lambda: began + next(moments))
        calls.clear()
        with pytest.raises(sa.exc.OperationalError):
            act()
        assert len(calls) == 1
    made.dispose()
