"""Refused attempts: a few are recorded, a flood is counted, and its number recorded."""

import pytest

from imagesvc import errors
from imagesvc.context import RequestContext
from imagesvc.manager import refusal
from imagesvc.manager.operation import Operation
from imagesvc.manager.refusal import OTHERS, Refusal, Refusals

CALLER = RequestContext("user", "project", frozenset({"member"}), request_id="req-1")


class Clock:
    """Time that stands until it is moved."""

    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def refusals(clock):
    return Refusals(clock)


def alike(user="user", action="image:delete"):
    return Refusal("project", user, action, "image", "failure", "ImageNotFound")


def test_the_first_are_recorded_and_the_rest_counted(refusals, clock):
    admitted = [refusals.admit(alike()) for _ in range(refusal.EACH_MAX + 7)]
    assert admitted == [True] * refusal.EACH_MAX + [False] * 7
    assert refusals.admit(alike(action="image:update"))
    assert refusals.take() == {}
    clock.now = refusal.WINDOW_S
    assert refusals.take() == {alike(): 7}
    assert refusals.take() == {}
    assert refusals.admit(alike())


def test_many_callers_cannot_do_what_one_cannot(refusals):
    admitted = [refusals.admit(alike(f"user-{n}")) for n in range(refusal.ALL_MAX * 3)]
    assert sum(admitted) == refusal.ALL_MAX
    counts = refusals.take(now=True)
    assert len(counts) == refusal.KINDS_MAX + 1
    assert sum(counts.values()) == refusal.ALL_MAX * 2
    assert counts[OTHERS] == refusal.ALL_MAX * 2 - refusal.KINDS_MAX


def test_counts_that_could_not_be_recorded_come_again(refusals):
    for _ in range(refusal.EACH_MAX + 2):
        refusals.admit(alike())
    counts = refusals.take(now=True)
    refusals.give_back(counts)
    assert refusals.take() == counts


@pytest.fixture
def operation(service):
    """One of its own on the service's database."""
    made = Operation(service.database, service.audit_key)
    yield made
    made.close()


def refuse(operation, count, ctx=CALLER):
    for n in range(count):
        with pytest.raises(errors.Forbidden), operation.look(ctx, "job:list", "job", f"j{n}"):
            raise errors.Forbidden(action="job:list")


def test_a_flood_leaves_few_records_and_one_with_the_number(service, operation):
    refuse(operation, refusal.EACH_MAX + 30)
    events = service.audits.query(CALLER, action="job:list")
    assert len(events) == refusal.EACH_MAX
    assert {(event.outcome, event.detail["cause"]) for event in events} == {("denied", "Forbidden")}
    operation.close()
    last, *rest = service.audits.query(CALLER, action="job:list")
    assert len(rest) == refusal.EACH_MAX
    assert (last.outcome, last.detail) == ("denied", {"cause": "Forbidden", "more": 30})


def test_counts_are_recorded_without_another_request(service, operation, monkeypatch):
    monkeypatch.setattr(refusal, "WINDOW_S", 0.05)
    monkeypatch.setattr(refusal, "EACH_MAX", 0)
    refuse(operation, 3)
    operation._timer.join(30)
    more = [event.detail["more"] for event in service.audits.query(CALLER, action="job:list")]
    assert sum(more) == 3


def test_counts_outlive_a_database_that_is_away(service, operation, monkeypatch):
    refuse(operation, refusal.EACH_MAX + 1)

    def away():
        raise OSError("away")

    monkeypatch.setattr(operation.database, "write", away)
    operation.record_counts(now=True)
    monkeypatch.undo()
    operation.record_counts()
    assert service.audits.query(CALLER, action="job:list")[0].detail["more"] == 1


def test_a_reading_that_goes_well_leaves_nothing(service, operation):
    with operation.look(CALLER, "job:get", "job", "j"):
        pass
    with pytest.raises(errors.InvalidRequest), operation.look(CALLER, "job:get", "job", "j"):
        raise errors.InvalidRequest
    assert service.audits.query(CALLER) == ()
