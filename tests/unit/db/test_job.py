"""Jobs: claims, leases, fences, caps, cancel and retry."""

import contextlib
import dataclasses
import datetime
import threading

import pytest
import sqlalchemy as sa

from imagesvc import errors
from imagesvc.db import job as rows
from imagesvc.db import job_history, job_queue, job_table, metadata
from imagesvc.domain.job import JobStep, JobType
from imagesvc.domain.state import JobState, StepState
from tests.unit.db import make

LEASE_S = 30


def _insert(database, **facts):
    job = make.job(**facts)
    with database.write() as conn:
        rows.insert(conn, job)
    return job


def _claim(database, worker="w1", now=None, cap=None, known=None):
    with database.write() as conn:
        return rows.claim(conn, worker, LEASE_S, now or metadata.now(), cap, known)


def _get(database, job):
    with database.read() as conn:
        return rows.get(conn, job.id)


def _later(seconds=LEASE_S + 1):
    return metadata.now() + datetime.timedelta(seconds=seconds)


def test_a_job_comes_back_as_it_went_in(database):
    job = _insert(database, image_id="i", idempotency_key="k", args={"b": [1], "a": None})
    found = _get(database, job)
    assert found == dataclasses.replace(job, run_after=job.created_at)
    with database.read() as conn:
        assert rows.get(conn, job.id, "alpha") == found
        assert rows.get(conn, job.id, "beta") is None
        assert rows.by_idempotency(conn, "alpha", "k") == found
        assert rows.by_idempotency(conn, "beta", "k") is None


def test_an_idempotency_key_is_a_projects_own(database):
    _insert(database, idempotency_key="k")
    _insert(database, idempotency_key="k", project_id="beta")
    _insert(database)
    _insert(database)
    with pytest.raises(errors.Conflict):
        _insert(database, idempotency_key="k")


def test_jobs_are_claimed_once_by_priority_and_time(database):
    late = _insert(database)
    first = _insert(database, priority=1)
    _insert(database, run_after=_later(600))
    claimed = _claim(database)
    assert (claimed.id, claimed.state, claimed.worker) == (first.id, JobState.RUNNING, "w1")
    assert (claimed.lease_token, claimed.attempt) == (1, 0)
    assert claimed.started_at is not None
    assert _claim(database).id == late.id
    assert _claim(database) is None


def test_a_lapsed_lease_is_taken_over_and_the_first_holder_writes_no_more(database):
    _insert(database)
    old = _claim(database)
    assert _claim(database, "w2") is None
    new = _claim(database, "w2", _later())
    assert (new.id, new.lease_token, new.attempt, new.worker) == (old.id, 2, 1, "w2")
    step = JobStep(old.id, 0, "snapshot", StepState.RUNNING)
    writes = (
        lambda conn: rows.fence(conn, old),
        lambda conn: rows.renew(conn, old, LEASE_S),
        lambda conn: rows.save_step(conn, old, step),
        lambda conn: rows.advance(conn, old, 1),
        lambda conn: rows.unwind(conn, old),
        lambda conn: rows.park(conn, old, metadata.now(), 0),
        lambda conn: rows.finish(conn, old),
        lambda conn: rows.fail(conn, old),
        lambda conn: rows.die(conn, old),
        lambda conn: rows.cancel_done(conn, old),
    )
    for write in writes:
        with pytest.raises(errors.LeaseLost), database.write() as conn:
            write(conn)
    assert _get(database, old) == new
    with database.write() as conn:
        assert rows.renew(conn, new, LEASE_S) is False
        rows.finish(conn, new, {"server_ids": ["s"]})
    done = _get(database, new)
    assert (done.state, done.result, done.worker) == (JobState.DONE, {"server_ids": ["s"]}, None)
    with pytest.raises(errors.LeaseLost), database.write() as conn:
        rows.renew(conn, new, LEASE_S)


def test_steps_are_written_and_read_in_order(database):
    _insert(database)
    job = _claim(database)
    second = JobStep(job.id, 1, "store", StepState.PENDING)
    first = JobStep(job.id, 0, "snapshot", StepState.RUNNING, memo={"handle": "h"})
    with database.write() as conn:
        rows.save_step(conn, job, second)
        rows.save_step(conn, job, first)
        first = dataclasses.replace(first, state=StepState.DONE, done_bytes=5, total_bytes=5)
        rows.save_step(conn, job, first)
        rows.advance(conn, job, 1)
    found = _get(database, job)
    assert (found.step, found.steps) == (1, (first, second))


def test_a_parked_job_waits_and_is_no_attempt_but_keeps_its_place(database):
    _insert(database)
    job = _claim(database, cap=1)
    with database.write() as conn:
        rows.park(conn, job, _later(60), 0)
    other = _insert(database)
    assert _claim(database, cap=1) is None
    again = _claim(database, "w2", _later(61), cap=1)
    assert (again.id, again.attempt, again.lease_token) == (job.id, 0, 2)
    with database.write() as conn:
        rows.finish(conn, again)
    assert _claim(database, cap=1).id == other.id


def test_a_capped_project_does_not_hold_up_another(database):
    for _ in range(5):
        _insert(database)
    other = _insert(database, project_id="beta")
    assert _claim(database, cap=1).project_id == "alpha"
    assert _claim(database, cap=1).id == other.id
    assert _claim(database, cap=1) is None


def test_eight_claimers_keep_exactly_to_a_cap_of_two_a_project(database):
    for project in ("alpha", "beta"):
        for _ in range(20):
            _insert(database, project_id=project)
    table = rows.TABLE
    begun = (
        sa.select(table.c.project_id, sa.func.count())
        .where(table.c.started_at.is_not(None), table.c.finished_at.is_(None))
        .group_by(table.c.project_id)
    )
    barrier = threading.Barrier(8)
    seen, finished, faults = set(), [], []

    def work(n):
        try:
            barrier.wait()
            while len(finished) < 40:
                job = _claim(database, f"w{n}", cap=2)
                with database.read() as conn:
                    seen.update(count for _, count in conn.execute(begun))
                if job is None:
                    continue
                with database.write() as conn:
                    if job.lease_token == 1:  # it keeps its place while it waits
                        rows.park(conn, job, metadata.now(), 0)
                        continue
                    rows.finish(conn, job)
                finished.append(job.id)
        except Exception as exc:
            faults.append(exc)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    assert len(set(finished)) == len(finished) == 40
    assert max(seen) == 2


def test_jobs_of_unknown_types_and_newer_arguments_are_left_for_a_newer_worker(database):
    newer = _insert(database, args_version=2, priority=1)
    unknown = _insert(database, type="move-house", priority=1)
    plain = _insert(database)
    known = {"create-servers": 1}
    assert _claim(database, known=known).id == plain.id
    assert _claim(database, known=known) is None
    with database.read() as conn:
        told = job_queue.strangers(conn, known, metadata.now())
    assert told == [("create-servers", 2, 1), ("move-house", 1, 1)]
    taken = {_claim(database, known={"create-servers": 2, "move-house": 1}).id for _ in range(2)}
    assert taken == {newer.id, unknown.id}
    assert _claim(database, now=_later(), known=known).id == plain.id
    assert _claim(database, now=_later(), known=known) is None
    assert _get(database, unknown).type == "move-house"


def test_a_job_asked_to_stop_is_not_parked_for_long(database):
    _insert(database)
    job = _claim(database)
    with database.write() as conn:
        rows.request_cancel(conn, job.id)
        rows.park(conn, job, _later(600), 1, heed_cancel=True)
    again = _claim(database)
    assert (again.id, again.attempt) == (job.id, 1)
    with database.write() as conn:
        rows.park(conn, again, _later(600), 1)
    assert _claim(database) is None


def test_ended_jobs_are_pruned_in_batches_after_their_children(database):
    past = metadata.now() - datetime.timedelta(days=40)
    before = metadata.now() - datetime.timedelta(days=30)
    old = {"created_at": past, "finished_at": past, "state": JobState.DONE}
    parent = _insert(database, **old | {"created_at": past - datetime.timedelta(days=1)})
    for _ in range(3):
        _insert(database, **old, parent_id=parent.id)
    for state in (JobState.FAILED, JobState.DEAD, JobState.CANCELLED):
        _insert(database, **old | {"state": state})
    kept = {
        _insert(database, created_at=past).id,
        _insert(database, created_at=past, finished_at=metadata.now(), state=JobState.DONE).id,
    }
    with database.write() as conn:
        step = JobStep(parent.id, 0, "s", StepState.DONE)
        values = {column.name: getattr(step, column.name) for column in job_table.STEP.columns}
        conn.execute(sa.insert(job_table.STEP).values(values | {"memo": {}}))
    removed = []
    while not removed or removed[-1]:
        with database.write() as conn:
            removed.append(job_history.prune(conn, before, 2))
    assert (max(removed), sum(removed)) == (2, 7)
    with database.read() as conn:
        assert set(conn.scalars(sa.select(rows.TABLE.c.id))) == kept
        assert conn.scalar(sa.select(sa.func.count()).select_from(job_table.STEP)) == 0


def test_a_job_that_nobody_began_is_cancelled_at_once(database):
    job = _insert(database)
    with database.write() as conn:
        ended = rows.request_cancel(conn, job.id, "alpha")
    assert (ended.state, ended.cancel_requested) == (JobState.CANCELLED, True)
    assert ended.finished_at is not None
    assert _claim(database) is None
    with pytest.raises(errors.StateConflict), database.write() as conn:
        rows.request_cancel(conn, job.id)


def test_a_running_job_learns_of_the_cancel_when_it_renews(database):
    _insert(database)
    job = _claim(database)
    with database.write() as conn:
        assert rows.request_cancel(conn, job.id).state is JobState.RUNNING
        assert rows.renew(conn, job, LEASE_S) is True
        rows.unwind(conn, job, error_text="because")
        rows.cancel_done(conn, job)
    found = _get(database, job)
    assert (found.state, found.error_text) == (JobState.CANCELLED, "because")


def test_a_parked_job_is_woken_by_the_cancel(database):
    _insert(database)
    job = _claim(database)
    with database.write() as conn:
        rows.park(conn, job, _later(3600), 2)
        assert rows.request_cancel(conn, job.id).state is JobState.READY
    woken = _claim(database)
    assert (woken.id, woken.cancel_requested, woken.attempt) == (job.id, True, 2)


def test_the_jobs_that_make_a_deleted_image_are_cancelled(database):
    job = _insert(database, image_id="i", type=JobType.CAPTURE_SYSTEM_DISK)
    reader = _insert(database, image_id="i")
    other = _insert(database, image_id="j", type=JobType.CAPTURE_SYSTEM_DISK)
    with database.write() as conn:
        rows.cancel_for_image(conn, "i", rows.hold_for_image(conn, "i"))
    assert _get(database, job).state is JobState.CANCELLED
    assert _get(database, reader).state is JobState.READY
    assert _get(database, other).state is JobState.READY


def test_only_an_ended_job_is_retried_and_from_its_beginning(database):
    job = _insert(database)
    with pytest.raises(errors.StateConflict), database.write() as conn:
        rows.retry(conn, job.id)
    claimed = _claim(database)
    with database.write() as conn:
        rows.save_step(conn, claimed, JobStep(job.id, 0, "s", StepState.FAILED))
        rows.advance(conn, claimed, 1)
        rows.fail(conn, claimed, error_code="c", error_text="t", operator_text="o")
    failed = _get(database, job)
    assert (failed.error_code, failed.error_text, failed.operator_text) == ("c", "t", "o")
    with pytest.raises(errors.JobNotFound), database.write() as conn:
        rows.retry(conn, job.id, "beta")
    with database.write() as conn:
        ready = rows.retry(conn, job.id, "alpha")
    assert (ready.state, ready.step, ready.attempt, ready.steps) == (JobState.READY, 0, 0, ())
    assert (ready.error_text, ready.started_at, ready.finished_at) == (None, None, None)
    assert _get(database, job) == ready
    assert _claim(database).lease_token == 2


def test_the_list_pages_newest_first_within_a_project(database):
    jobs = [
        _insert(database, created_at=make.START + datetime.timedelta(seconds=n // 2))
        for n in range(6)
    ]
    _insert(database, project_id="beta")
    expected = sorted(jobs, key=lambda job: (job.created_at, job.id), reverse=True)
    with make.counted(database) as seen, database.read() as conn:
        first = rows.list_page(conn, "alpha", limit=4)
    assert len(seen) == 2
    with database.read() as conn:
        rest = rows.list_page(conn, "alpha", marker=first[-1].id, limit=4)
        assert [job.id for job in (*first, *rest)] == [job.id for job in expected]
        assert len(rows.list_page(conn, None, limit=100)) == 7
        assert rows.list_page(conn, "alpha", state="done") == ()
        assert len(rows.list_page(conn, "alpha", type="create-servers")) == 6
        with pytest.raises(errors.InvalidRequest) as caught:
            rows.list_page(conn, "beta", marker=first[0].id)
    assert caught.value.reason is errors.Reason.MARKER


@pytest.fixture
def ten_thousand(database):
    """That many jobs are ready, all of one project."""
    values = make.job()
    columns = [column.name for column in rows.TABLE.columns]
    base = {name: getattr(values, name) for name in columns} | {"run_after": make.START}
    with database.write() as conn:
        conn.execute(
            sa.insert(rows.TABLE), [base | {"id": f"j{n:05}", "result": {}} for n in range(10_000)]
        )
    with database.write() as conn:
        conn.exec_driver_sql("ANALYZE")


@contextlib.contextmanager
def _noted(conn):
    """The statements that are executed meanwhile, with their parameters."""
    taken = []

    def note(conn, cursor, statement, parameters, context, executemany):
        taken.append((statement, parameters))

    sa.event.listen(conn, "before_cursor_execute", note)
    yield taken
    sa.event.remove(conn, "before_cursor_execute", note)


def _plan(database, conn, taken):
    """How the engine goes about a statement."""
    explain = "EXPLAIN QUERY PLAN " if database.dialect == "sqlite" else "EXPLAIN "
    statement, parameters = taken
    return [str(r[-1]) for r in conn.exec_driver_sql(explain + statement, parameters)]


@pytest.mark.parametrize("begun", [0, 2])
def test_with_ten_thousand_ready_jobs_a_claim_stays_on_its_index(database, ten_thousand, begun):
    known = {"create-servers": 1, "capture-system-disk": 1}
    for _ in range(begun):
        assert _claim(database, cap=2) is not None
    with database.write() as conn:
        with _noted(conn) as taken:
            job = rows.claim(conn, "w", LEASE_S, metadata.now(), 2, known)
        # Two looks, and one for lanes; of a job that is found the update and its steps.
        # PostgreSQL: the lock.
        wanted = (3 if begun else 5) + (database.dialect == "postgresql")
        assert ((job is None), len(taken)) == (begun == 2, wanted)
        looks = [item for item in taken if item[0].startswith("SELECT job.id")]
        for look, index in zip(looks, ("lapsed", "ready"), strict=True):
            lines = _plan(database, conn, look)
            assert f"ix_job_{index}" in "\n".join(lines)
            assert not [line for line in lines if "Seq Scan" in line or line == "SCAN job"]
            assert not [line for line in lines if "Sort" in line or "TEMP B-TREE FOR ORDER" in line]


def test_to_look_for_strangers_reads_no_ended_jobs(database, ten_thousand):
    with database.write() as conn:
        conn.execute(sa.update(rows.TABLE).values(state="done"))
    _insert(database, type="move-house", lane="a lane")
    with database.write() as conn:
        conn.exec_driver_sql("ANALYZE")
    with database.write() as conn:
        with _noted(conn) as taken:
            found = job_queue.strangers(conn, {"create-servers": 1}, _later())
        lines = "\n".join(_plan(database, conn, taken[0]))
    assert found == [("move-house", 1, 1)]
    for name in ("ready", "queued", "lapsed"):
        assert f"ix_job_{name}" in lines, lines


def test_pruning_stays_on_the_index_of_ages(database, ten_thousand):
    before = metadata.now() - datetime.timedelta(days=30)
    with database.write() as conn:
        with _noted(conn) as taken:
            assert job_history.prune(conn, before, 100) == 0
        [look] = taken
        lines = _plan(database, conn, look)
    assert "ix_job_newest" in "\n".join(lines)
    assert not [line for line in lines if line.startswith("SCAN job") and "INDEX" not in line]


WEST, NORTH, SOUTH = (f"copies into region {name}" for name in ("West", "North", "South"))


def _claim_laned(database, worker="w1", known=None):
    with database.write() as conn:
        return rows.claim(conn, worker, LEASE_S, metadata.now(), 10, known, 2)


def _insert_copy(database, lane=WEST, **facts):
    return _insert(database, type=JobType.COPY_TO_REGION, lane=lane, **facts)


def test_no_more_jobs_of_a_lane_begin_than_its_cap_and_others_go_on(database):
    copies = [_insert_copy(database) for _ in range(3)]
    first, second = _claim_laned(database), _claim_laned(database, "w2")
    assert {first.id, second.id} == {one.id for one in copies[:2]}
    assert _claim_laned(database, "w3") is None
    other = _insert(database)
    assert _claim_laned(database, "w3").id == other.id
    with database.write() as conn:  # one that waits has its place, and takes it again
        rows.park(conn, first, metadata.now(), 0)
    assert _claim_laned(database, "w4").id == first.id
    with database.write() as conn:
        rows.finish(conn, second)
    assert _claim_laned(database, "w5").id == copies[2].id


def test_a_lane_whose_jobs_are_all_parked_holds_up_no_other(database):
    for _ in range(3):
        _insert_copy(database)
    for _ in range(2):
        job = _claim_laned(database)
        with database.write() as conn:
            rows.park(conn, job, _later(60), 0, cause=("Region West is away.", ""))
    north = _insert_copy(database, NORTH)
    assert _claim_laned(database).id == north.id
    assert _claim_laned(database) is None


def test_a_job_that_waits_for_a_place_says_so_until_it_begins(database):
    job = _insert_copy(database)
    assert "waits for a place" in _get(database, job).cause
    claimed = _claim_laned(database)
    assert claimed.cause is None
    with database.write() as conn:
        rows.park(conn, claimed, _later(60), 0, cause=("Region West is away.", ""))
    assert _get(database, job).cause == "Region West is away."


def test_projects_take_turns_within_a_lane(database):
    many = [_insert_copy(database) for _ in range(4)]
    one = _insert_copy(database, project_id="beta")
    assert _claim_laned(database).id == many[0].id
    assert _claim_laned(database, "w2").id == one.id


def test_lanes_and_other_jobs_begin_in_the_order_of_all(database):
    made = [
        _insert_copy(database, WEST),
        _insert(database),
        _insert_copy(database, NORTH),
        _insert_copy(database, WEST),
    ]
    first = _insert_copy(database, SOUTH, priority=1)
    claimed = [_claim_laned(database).id for _ in range(5)]
    assert claimed == [one.id for one in (first, *made)]


@pytest.mark.parametrize("begun", [0, 2])
def test_with_ten_thousand_jobs_in_a_lane_a_claim_stays_on_its_indexes(
    database, ten_thousand, begun
):
    with database.write() as conn:
        conn.execute(sa.update(rows.TABLE).values(lane=WEST))
    with database.write() as conn:
        conn.exec_driver_sql("ANALYZE")
    known = {"create-servers": 1, "capture-system-disk": 1}
    for _ in range(begun):
        assert _claim_laned(database, known=known) is not None
    with database.write() as conn:
        with _noted(conn) as taken:
            job = rows.claim(conn, "w", LEASE_S, metadata.now(), 10, known, 2)
        assert (job is None) == (begun == 2)
        looks = [item for item in taken if item[0].startswith("SELECT") and "FROM job " in item[0]]
        # Those that lapsed, that are due, the lane, that there is no other, its jobs; its head.
        names = ("lapsed", "ready", "queued", "queued", "open", *(() if begun else ("queued",)))
        for look, name in zip(looks, names, strict=True):
            lines = _plan(database, conn, look)
            assert f"ix_job_{name}" in "\n".join(lines), lines
            assert not [line for line in lines if "Seq Scan" in line or line == "SCAN job"]
            sorts = [line for line in lines if "Sort" in line or "FOR ORDER" in line]
            assert sorts == [] or name == "open"  # those are few
