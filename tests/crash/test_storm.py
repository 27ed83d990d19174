"""Workers killed at random: no job is lost, nothing is done twice."""

import random
import signal
import time

import pytest
import sqlalchemy as sa

from imagesvc.db import job_table
from tests.crash.ledger_compute import DISK
from tests.crash.paper_station import CALLER
from tests.crash.station import DEADLINE_S

WORKERS = 4
PAUSE_S = (0.05, 0.4)


def storm(station, seed, jobs, kills):
    """Run that many jobs while workers are killed; then check what there is."""
    print(f"seed {seed}")
    chance = random.Random(seed)
    image = station.image()
    captures = [station.capture() for _ in range(jobs * 3 // 4)]
    creations = [station.create(image) for _ in range(jobs - len(captures))]
    # The storm may hit one step more often than a poison job is allowed.
    with station.service.database.write() as conn:
        conn.execute(sa.update(job_table.TABLE).values(attempts_max=1000))
    for _ in range(WORKERS):
        station.start()
    hits = 0
    for _ in range(kills):
        time.sleep(chance.uniform(*PAUSE_S))  # the storm's own rhythm
        victim = at_work(station, chance)
        if victim is None:
            break
        station.workers.remove(victim)
        victim.kill()
        victim.join()
        hits += victim.pid in holders(station)
        victim.close()
        station.start()
        check_visible(station, captures)
    print(f"{hits} kills in the middle of a job")
    assert hits >= min(kills, jobs) // 2
    station.ended([*captures, *creations])
    # A worker that was only being started has no handler for the signal, and no job.
    assert set(station.stop()) <= {0, -signal.SIGTERM}
    check(station, captures, creations)


def at_work(station, chance):
    """A living worker that has a job just now; None once all jobs have ended."""
    table = job_table.TABLE
    open_jobs = sa.select(table.c.id).where(table.c.finished_at.is_(None)).limit(1)
    end = time.monotonic() + DEADLINE_S
    while time.monotonic() < end:
        busy = holders(station)
        found = [one for one in station.workers if one.pid in busy]
        if found:
            return chance.choice(found)
        with station.service.database.read() as conn:
            if conn.scalar(open_jobs) is None:
                return None
        time.sleep(0.003)
    raise AssertionError("no worker took a job in time")


def holders(station):
    """Ids of the processes that hold a job, or died on it."""
    with station.service.database.read() as conn:
        names = conn.scalars(sa.select(job_table.TABLE.c.worker).where(job_table.RUNNING)).all()
    return {int(name.split("-")[-3]) for name in names}


def check_visible(station, captures):
    """An image is active with all of its bytes, or it is not active."""
    for job in captures:
        image = station.service.images.get(CALLER, job.image_id)
        if image.status == "active":
            assert station.bytes_of(image.id) == DISK


def check(station, captures, creations):
    """Each effect was had once."""
    jobs = [station.job(job) for job in (*captures, *creations)]
    assert {(job.state, job.error_text) for job in jobs} == {("done", None)}
    assert {step.state for job in jobs for step in job.steps} == {"done"}
    works = station.compute.rows("work")
    for job in jobs:
        assert sum(job.id in handle for handle in works) == 1
    assert len(works) == len(jobs)
    for what in ("snapshot made", "snapshot deleted"):
        subjects = [subject for _, subject in station.compute.events(what)]
        assert len(set(subjects)) == len(subjects) == len(captures)
    assert station.compute.rows("snapshot") == set()
    named = [made["server_id"] for job in jobs for made in job.result.get("servers", ())]
    made = [subject for _, subject in station.compute.events("server made")]
    assert sorted(named) == sorted(made)
    assert station.compute.events("server deleted") == []
    for job in captures:
        image = station.service.images.get(CALLER, job.image_id)
        assert (image.status, image.size_bytes) == ("active", len(DISK))
        assert station.bytes_of(image.id) == DISK
    for action, subjects in (
        ("job:end", [job.id for job in jobs]),
        ("capture:complete", [job.image_id for job in captures]),
    ):
        events = station.service.audits.query(CALLER, action=action, limit=1000)
        assert sorted(event.target_id for event in events) == sorted(subjects)
    station.check_clean()


def test_jobs_come_through_a_storm_of_kills_once(paper):
    storm(paper(), random.randrange(1 << 32), jobs=12, kills=12)


@pytest.mark.soak
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("seed", range(5))
def test_forty_jobs_come_through_a_long_storm_once(paper, seed):
    storm(paper(), seed, jobs=40, kills=120)
