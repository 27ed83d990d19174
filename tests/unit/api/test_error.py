"""The error table covers every exception that is not a bug."""

import itertools

import pytest
import sqlalchemy as sa

from imagesvc import errors
from imagesvc.api import error
from imagesvc.errors import Reason
from imagesvc.interface import converter, identity
from imagesvc.interface import errors as driver_errors


def _family(root):
    yield root
    for child in root.__subclasses__():
        yield from _family(child)


ALL = [
    kind
    for kind in itertools.chain(_family(errors.ImagesvcError), _family(driver_errors.DriverError))
    if kind.__module__.startswith(("imagesvc.errors", "imagesvc.interface"))
]


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__qualname__)
def test_every_exception_has_a_row_of_its_own_kind(kind):
    rows = {row.exception for row in error.ERRORS}
    assert kind in rows, f"{kind.__qualname__} needs a row in imagesvc/api/error.py"


def test_the_walk_found_them_all():
    assert {errors.ImageNotFound, identity.Unauthenticated, converter.UnsafeImage} <= set(ALL)


def test_a_row_stands_once():
    keys = [(row.exception, row.reason, row.event) for row in error.ERRORS]
    assert len(keys) == len(set(keys))


@pytest.mark.parametrize(
    ("raised", "glance"),
    [
        (errors.InvalidRequest(), 400),
        (errors.InvalidRequest(reason=Reason.RANGE), 416),
        (errors.InvalidRequest(reason=Reason.RANGES), 400),
        (errors.InvalidRequest(reason=Reason.MEDIA_TYPE), 415),
        (errors.StateConflict("x"), 409),
        (errors.InvalidRequest("x", reason=Reason.FORMAT_MISSING), 400),
        (errors.StateConflict("x", event="deactivate"), 403),
        (errors.Conflict(reason=Reason.PROPERTY_MISSING), 409),
        (errors.ImageNotFound(image_id="x"), 404),
        (driver_errors.NoSpace("x"), 413),
        (KeyError("x"), 500),
    ],
)
def test_the_most_specific_row_wins(raised, glance):
    assert error.find(raised).glance == glance


def test_a_caller_reads_nothing_of_an_unknown_exception():
    raised = KeyError("/secret/path")
    assert "secret" not in error.text(raised, error.find(raised))


def test_a_caller_reads_the_user_text_of_a_driver_alone():
    raised = driver_errors.Unavailable("Storage does not answer.", "10.0.0.1 refused")
    assert error.text(raised, error.find(raised)) == "Storage does not answer."


@pytest.mark.parametrize(
    "raised",
    [
        sa.exc.OperationalError("SELECT secret", {}, Exception("database is locked")),
        sa.exc.TimeoutError("QueuePool secret"),
    ],
)
def test_a_database_that_is_away_or_busy_is_503_without_a_word_of_sql(raised):
    row = error.find(raised)
    assert (row.glance, row.native, row.retry_after_s) == (503, 503, error.RETRY_AFTER_S)
    assert "secret" not in error.text(raised, row)
    assert "locked" not in error.text(raised, row)


def test_a_statement_that_is_wrong_is_a_fault():
    raised = sa.exc.IntegrityError("INSERT", {}, Exception("constraint"))
    assert error.find(raised).glance == 500
