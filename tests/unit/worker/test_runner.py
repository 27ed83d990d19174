"""The engine itself, with steps made for the test."""

import threading
import time

import pytest
import sqlalchemy as sa

from imagesvc import errors
from imagesvc.db import job as job_rows
from imagesvc.db import metadata
from imagesvc.domain.job import JobType
from imagesvc.interface import errors as driver_errors
from imagesvc.worker import runner
from imagesvc.worker.flow import Step, Wait
from tests import poll
from tests.unit.worker.conftest import CALLER


class Told(Step):
    """Does what the test says, and writes down what was called."""

    def __init__(self, name, told=None, *, final=False, needed=True):
        self.name, self.final = name, final
        self.told = told or (lambda ctx: None)
        self.needed = needed
        self.calls = []
        self.untold = lambda ctx: None

    def applies(self, job):
        return self.needed

    def run(self, ctx):
        self.calls.append("run")
        return self.told(ctx)

    def undo(self, ctx):
        self.calls.append("undo")
        return self.untold(ctx)


@pytest.fixture
def submit(service):
    """Hand a job in."""

    def go():
        with service.database.write() as conn:
            return service.jobs.submit(conn, CALLER, JobType.CREATE_SERVERS, {})

    return go


@pytest.fixture
def run(service, submit, work):
    """Run a job of these steps to its end; the job then."""

    def go(*steps, rounds=60):
        job = submit()
        work(rounds, flows={JobType.CREATE_SERVERS: steps})
        return service.jobs.get(CALLER, job.id)

    return go


def lapse(service, times=1):
    """Another worker claims the job and dies, so many times."""
    for _ in range(times):
        with service.database.write() as conn:
            assert job_rows.claim(conn, "dead", -1, metadata.now(), None)


def raises(exc):
    """A step that fails."""

    def told(ctx):
        raise exc

    return told


def test_steps_run_in_order_and_the_result_is_kept(run):
    order = []
    first = Told("first", lambda ctx: order.append(1))
    skipped = Told("skipped", lambda ctx: order.append(2), needed=False)
    last = Told("last", lambda ctx: ctx.memo.put(result={"made": ctx.results["first"]["x"]}))
    first.told = lambda ctx: ctx.memo.put(x=7)
    job = run(first, skipped, last)
    assert (job.state, job.result, skipped.calls) == ("done", {"made": 7}, [])
    assert [step.state for step in job.steps] == ["done", "skipped", "done"]


def test_a_job_goes_on_with_the_steps_that_it_was_begun_with(service, submit, work):
    first, last, later = Told("first"), Told("last"), Told("later")
    first.told = lambda ctx: Wait(0) if len(first.calls) < 2 else None
    job = submit()
    work(1, flows={JobType.CREATE_SERVERS: (first, last)})
    work(flows={JobType.CREATE_SERVERS: (first, later, last)})  # of the next release
    job = service.jobs.get(CALLER, job.id)
    assert (job.state, later.calls, last.calls) == ("done", [], ["run"])
    assert [step.name for step in job.steps] == ["first", "last"]


def test_waiting_is_no_attempt_and_frees_the_thread(run):
    step = Told("wait")
    step.told = lambda ctx: Wait(0) if len(step.calls) < 20 else None
    job = run(step)
    assert (job.state, job.attempt, len(step.calls)) == ("done", 0, 20)


def test_the_request_token_stays_and_the_lease_token_rises(run):
    tokens = []

    def told(ctx):
        tokens.append((ctx.request_token, ctx.lease_token))
        return Wait(0) if len(tokens) < 3 else None

    run(Told("step", told))
    assert len({request for request, _ in tokens}) == 1
    assert [lease for _, lease in tokens] == [1, 2, 3]


def test_a_step_that_kills_its_workers_ends_the_job_dead(service, submit, work):
    step = Told("poison")
    job = submit()
    lapse(service, 6 - 1)  # the first claim is no attempt, the last is ours
    work(flows={JobType.CREATE_SERVERS: (step,)})
    job = service.jobs.get(CALLER, job.id)
    assert (job.state, job.error_text) == ("dead", "Its worker died on it 5 times.")
    assert step.calls == []


def test_an_undo_that_kills_its_workers_is_left_behind(service, submit, work):
    first, second = Told("first"), Told("second", raises(errors.Conflict("No.")))
    flows = {JobType.CREATE_SERVERS: (first, second)}
    second.untold = raises(driver_errors.Unavailable("away"))
    job = submit()
    work(1, flows=flows)
    lapse(service, 6)
    work(flows=flows)
    job = service.jobs.get(CALLER, job.id)
    assert (job.state, job.error_text) == ("failed", "No.")
    assert [step.state for step in job.steps] == ["undone", "failed"]


def test_an_undo_may_wait(run):
    step = Told("step", raises(errors.Conflict("No.")))
    step.untold = lambda ctx: Wait(0) if step.calls.count("undo") < 3 else None
    assert run(step).state == "failed"
    assert step.calls == ["run", "undo", "undo", "undo"]


def test_an_unknown_fault_fails_the_job_and_tells_the_caller_nothing(run):
    job = run(Told("step", raises(ZeroDivisionError("secret"))))
    assert job.state == "failed"
    assert "secret" not in job.error_text
    assert "secret" in job.operator_text


def test_a_backend_that_is_away_is_waited_for(run):
    step = Told("step")

    def told(ctx):
        if len(step.calls) < 3:
            raise errors.BackendFailed(kind="compute", backend_id="x")

    step.told = told
    job = run(step)
    assert (job.state, job.attempt) == ("done", 0)


def test_a_job_that_waits_for_a_backend_says_so_until_it_goes_on(service, submit, work):
    away = driver_errors.Unavailable("The store is away.", "connection refused")
    step, last = Told("step"), Told("last", lambda ctx: Wait(0) if len(last.calls) < 2 else None)

    def told(ctx):
        if len(step.calls) < 2:
            raise away

    step.told = told
    job, flows = submit(), {JobType.CREATE_SERVERS: (step, last)}
    work(1, flows=flows)
    waiting = service.jobs.get(CALLER, job.id)
    assert (waiting.state, waiting.attempt) == ("ready", 1)
    assert (waiting.error_text, waiting.operator_text) == (
        "The store is away.",
        "connection refused",
    )
    work(1, flows=flows)
    on = service.jobs.get(CALLER, job.id)
    assert (on.state, on.step, on.error_text, on.operator_text) == ("ready", 1, None, None)
    work(1, flows=flows)
    assert service.jobs.get(CALLER, job.id).state == "done"


def test_a_backend_is_waited_for_as_long_as_the_operator_says(service, submit, work):
    service.conf.set_override("retry_s", 3600.0, "worker")
    away = driver_errors.Unavailable("The store is away.")
    step = Told("step", raises(away))
    job, flows = submit(), {JobType.CREATE_SERVERS: (step,)}
    work(20, flows=flows)
    waiting = service.jobs.get(CALLER, job.id)
    assert (waiting.state, waiting.error_text) == ("ready", "The store is away.")
    assert len(step.calls) == 20
    lapse(service)  # a worker that dies now is not one too many
    service.conf.set_override("retry_s", 0.0, "worker")
    work(20, flows=flows)
    assert service.jobs.get(CALLER, job.id).state == "failed"


def test_the_cause_of_a_failure_outlives_an_undo_that_has_to_wait(service, submit, work):
    away = driver_errors.Unavailable("The store is away.")
    first, bad = Told("first"), Told("bad", raises(errors.Conflict("Bad.")))
    first.untold = lambda ctx: raises(away)(ctx) if first.calls.count("undo") < 2 else None
    job, flows = submit(), {JobType.CREATE_SERVERS: (first, bad)}
    work(1, flows=flows)
    assert service.jobs.get(CALLER, job.id).error_text == "Bad."
    work(1, flows=flows)
    failed = service.jobs.get(CALLER, job.id)
    assert (failed.state, failed.error_text) == ("failed", "Bad.")


def test_a_database_that_is_away_for_a_moment_is_waited_for(run):
    step = Told("step")

    def told(ctx):
        if len(step.calls) < 2:
            raise sa.exc.OperationalError("select", {}, Exception("gone"))

    step.told = told
    assert run(step).state == "done"


def test_nothing_is_undone_past_the_point_of_no_return(run):
    first, final = Told("first"), Told("final", final=True)
    last = Told("last", raises(errors.Conflict("No.")))
    job = run(first, final, last)
    assert (job.state, job.error_text) == ("done", None)
    assert [step.state for step in job.steps] == ["done", "done", "failed"]
    assert "undo" not in first.calls + final.calls + last.calls


def test_a_cancel_past_the_point_of_no_return_comes_too_late(service, submit, work):
    last = Told("last", lambda ctx: Wait(0) if len(last.calls) < 2 else None)
    flows = {JobType.CREATE_SERVERS: (Told("final", final=True), last)}
    job = submit()
    work(1, flows=flows)
    service.jobs.cancel(CALLER, job.id)
    work(flows=flows)
    assert service.jobs.get(CALLER, job.id).state == "done"


def test_a_cancel_in_the_middle_of_a_step_is_noticed_there(service, submit, work):
    service.conf.set_override("lease_s", 1.0, group="worker")
    noticed = threading.Event()

    def told(ctx):
        service.jobs.cancel(CALLER, ctx.job.id)
        while True:
            try:
                ctx.progress(1, 2)
            except errors.Cancelled:
                noticed.set()
                raise
            noticed.wait(0.02)

    step = Told("step", told)
    job = submit()
    work(flows={JobType.CREATE_SERVERS: (step,)})
    assert noticed.is_set()
    assert service.jobs.get(CALLER, job.id).state == "cancelled"
    assert step.calls == ["run", "undo"]


def test_a_cancel_between_two_steps_is_noticed_before_the_second(service, submit, work):
    first = Told("first", lambda ctx: service.jobs.cancel(CALLER, ctx.job.id) and None)
    second = Told("second")
    job = submit()
    work(1, flows={JobType.CREATE_SERVERS: (first, second)})
    assert service.jobs.get(CALLER, job.id).state == "cancelled"
    assert (first.calls, second.calls) == (["run", "undo"], [])


def test_a_cancel_cuts_the_pause_before_another_try_short(service, submit):
    def told(ctx):
        service.jobs.cancel(CALLER, ctx.job.id)
        raise driver_errors.Unavailable("away")

    job = submit()
    worker = runner.Runner(service, "here", flows={JobType.CREATE_SERVERS: (Told("s", told),)})
    assert (worker.run_once(), worker.run_once(), worker.run_once()) == (True, True, False)
    assert service.jobs.get(CALLER, job.id).state == "cancelled"


def test_a_worker_that_lost_its_lease_changes_nothing(service, submit, work):
    second = Told("second")

    def overtaken(ctx):
        with service.database.write() as conn:
            later = metadata.now() + (metadata.now() - ctx.job.created_at) * 10_000_000
            assert job_rows.claim(conn, "winner", 30, later, None).id == ctx.job.id

    job = submit()
    work(1, flows={JobType.CREATE_SERVERS: (Told("first", overtaken), second)})
    now = service.jobs.get(CALLER, job.id)
    assert (now.state, now.worker, now.steps[0].state) == ("running", "winner", "running")
    assert second.calls == []


def test_a_stopping_worker_gives_its_job_back_in_the_middle_of_a_step(service, submit):
    job, stop, begun = submit(), threading.Event(), threading.Event()

    def told(ctx):
        begun.set()
        while True:
            ctx.check()
            begun.wait(0.01)

    step = Told("long", told)
    service.conf.set_override("drain_s", 0.2, group="worker")
    worker = runner.Runner(service, "here", flows={JobType.CREATE_SERVERS: (step,)})
    thread = threading.Thread(target=worker.run_forever, args=(stop,))
    thread.start()
    assert begun.wait(20)
    stop.set()
    thread.join(20)
    assert not thread.is_alive()
    now = service.jobs.get(CALLER, job.id)
    assert (now.state, now.attempt, now.steps[0].state) == ("ready", 0, "running")
    assert step.calls == ["run"]


def test_a_step_that_hangs_is_let_go_of_when_its_worker_ends(service, submit, work):
    job, begun, on = submit(), threading.Event(), threading.Event()

    def told(ctx):
        begun.set()
        assert on.wait(20)
        ctx.memo["late"] = True

    step = Told("hangs", told)
    worker = runner.Runner(service, "here", flows={JobType.CREATE_SERVERS: (step,)})
    thread = threading.Thread(target=worker.run_once)
    thread.start()
    assert begun.wait(20)
    worker.give_back()
    given = service.jobs.get(CALLER, job.id)
    on.set()
    thread.join(20)
    worker.give_back()
    assert (given.state, given.attempt) == ("ready", 0)
    assert service.jobs.get(CALLER, job.id) == given


def test_of_the_runners_of_an_idle_worker_one_alone_asks_and_all_of_them_work(service, submit):
    pause_s, threads = 0.05, 6
    service.conf.set_override("poll_interval_s", pause_s, "worker")
    together, done, stop, asked = threading.Barrier(threads), [], threading.Event(), []
    sa.event.listen(service.database.engine, "begin", lambda conn: asked.append(conn))

    def meet(ctx):
        together.wait(30)
        done.append(ctx.job.id)

    flows = {JobType.CREATE_SERVERS: (Told("meet", meet),)}
    turn = threading.Lock()
    runners = [
        threading.Thread(
            target=runner.Runner(service, f"one-{number}", flows=flows, turn=turn).run_forever,
            args=(stop,),
        )
        for number in range(threads)
    ]
    began = time.monotonic()
    for one in runners:
        one.start()
    poll.until(lambda: len(asked) > 5, 30)
    assert len(asked) <= (time.monotonic() - began) / pause_s + 1
    for _ in range(threads):
        submit()
    poll.until(lambda: len(done) == threads, 60)
    stop.set()
    for one in runners:
        one.join(30)
