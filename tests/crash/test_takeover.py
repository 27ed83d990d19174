"""Workers that hang, die for ever, end in the middle, or share the work: real processes."""

import os
import signal

import sqlalchemy as sa

from tests.crash.ledger_compute import DISK
from tests.crash.paper_station import CALLER
from tests.crash.station import until


def reading(station, times=1):
    """Wait until a snapshot is being read; the process that does."""
    until(lambda: len(station.compute.events("snapshot opened")) >= times)
    return station.compute.events("snapshot opened")[-1][0]


def stop_between_transactions(station, job, pid):
    """Stop a process where it holds no lock: the others would wait for that as long as it sleeps."""
    url = station.service.conf.database.url
    quick = {"timeout": 0} if url.startswith("sqlite") else {}
    ask = (
        "BEGIN IMMEDIATE" if quick else f"SELECT 1 FROM job WHERE id = '{job.id}' FOR UPDATE NOWAIT"
    )
    engine = sa.create_engine(url, connect_args=quick)

    def stopped():
        os.kill(pid, signal.SIGSTOP)
        try:
            with engine.connect() as conn:
                conn.exec_driver_sql(ask)
        except sa.exc.OperationalError:
            os.kill(pid, signal.SIGCONT)
            return False
        return True

    until(stopped)
    engine.dispose()


def test_a_stopped_worker_that_wakes_after_a_takeover_changes_nothing(paper):
    station = paper()
    station.hold.touch()
    job = station.capture()
    first = station.start()
    assert reading(station) == first.pid
    stop_between_transactions(station, job, first.pid)
    station.hold.unlink()
    second = station.start()
    (done,) = station.ended([job])
    assert (done.state, done.error_text) == ("done", None)
    assert station.compute.events("snapshot opened")[-1][0] == second.pid
    before, objects = station.rows(), station.service.backends.storage().list()
    os.kill(first.pid, signal.SIGCONT)
    until(lambda: f"job lost to another worker job_id={job.id}" in first.log.read_text())
    assert station.stop() == [0, 0]
    assert station.rows() == before
    assert station.service.backends.storage().list() == objects
    assert station.bytes_of(job.image_id) == DISK
    assert len(station.compute.events("snapshot made")) == 1
    station.check_clean()


def test_a_job_that_kills_every_worker_ends_dead_and_the_others_go_on(paper):
    station = paper()
    jobs = [station.capture("poison"), station.capture(), station.capture()]
    for _ in range(30):
        worker = station.start()
        until(lambda w=worker: w.exitcode is not None or station.job(jobs[0]).finished_at)
        if station.job(jobs[0]).finished_at:
            break
    poison, *others = station.ended(jobs)
    assert (poison.state, poison.error_text) == ("dead", "Its worker died on it 5 times.")
    assert [job.state for job in others] == ["done", "done"]
    image = station.service.images.get(CALLER, poison.image_id)
    assert (image.status, image.cause) == ("killed", poison.error_text)
    opened = [subject for _, subject in station.compute.events("snapshot opened")]
    assert sum("poison" in subject for subject in opened) == 5
    assert station.compute.rows("snapshot") == set()
    assert [code for code in station.stop() if code not in (0, -signal.SIGKILL)] == []
    station.check_clean()


def test_a_worker_asked_to_end_finishes_its_step_and_another_goes_on_at_once(paper):
    station = paper(lease_s=600, drain_s=60)
    station.hold.touch()
    job = station.capture()
    first = station.start()
    reading(station)
    first.terminate()
    until(lambda: "worker stops" in first.log.read_text())
    station.hold.unlink()
    first.join(60)
    assert first.exitcode == 0
    given = station.job(job)
    assert (given.state, given.worker, given.lease_until) == ("ready", None, None)
    assert [step.state for step in given.steps[:3]] == ["done", "done", "pending"]
    station.start()
    (done,) = station.ended([job])  # long before the lease of 600 s would lapse
    assert (done.state, done.attempt) == ("done", 0)
    assert len(station.compute.events("snapshot opened")) == 1
    assert station.stop() == [0, 0]
    station.check_clean()


def test_a_worker_asked_to_end_gives_a_step_back_that_hangs(paper):
    station = paper(lease_s=600, drain_s=0)
    station.hold.touch()
    job = station.capture()
    first = station.start()
    reading(station)
    first.terminate()
    first.join(60)
    assert first.exitcode == 0
    assert (station.job(job).state, station.job(job).steps[1].state) == ("ready", "running")
    station.hold.unlink()
    station.start()
    (done,) = station.ended([job])
    assert (done.state, done.attempt) == ("done", 0)
    assert station.bytes_of(job.image_id) == DISK
    assert station.stop() == [0, 0]
    station.check_clean()


def test_workers_share_the_load(paper):
    station = paper(lease_s=30)
    station.hold.touch()
    jobs = [station.capture() for _ in range(12)]
    for _ in range(3):
        station.start()
    # Each reads a snapshot of its own, and none goes on until all three do.
    until(lambda: len(station.compute.events("snapshot opened")) == 3)
    opened = station.compute.events("snapshot opened")
    assert {pid for pid, _ in opened} == {one.pid for one in station.workers}
    assert len({subject for _, subject in opened}) == 3
    station.hold.unlink()
    done = station.ended(jobs)
    assert {(job.state, job.attempt) for job in done} == {("done", 0)}
    subjects = [subject for _, subject in station.compute.events("snapshot opened")]
    assert len(set(subjects)) == len(subjects) == 12
    assert station.stop() == [0, 0, 0]
    station.check_clean()
