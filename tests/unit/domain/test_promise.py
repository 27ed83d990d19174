"""Until when a value promises."""

import pytest

from imagesvc import errors
from imagesvc.domain import promise


@pytest.mark.parametrize(
    ("value", "until"),
    [
        ("2030-06-30", "2030-07-01T00:00:00+00:00"),
        ("20300630", "2030-07-01T00:00:00+00:00"),
        ("2030-W26-7", "2030-07-01T00:00:00+00:00"),
        ("2030-06-30T10:00:00", "2030-06-30T10:00:00+00:00"),
        ("2030-06-30T10:00:00+02:00", "2030-06-30T08:00:00+00:00"),
        ("20300630T1000Z", "2030-06-30T10:00:00+00:00"),
    ],
)
def test_a_day_is_kept_to_its_end_and_a_time_to_the_second(value, until):
    assert promise.moment(value).isoformat() == until


@pytest.mark.parametrize("value", [None, "none", "notice"])
def test_some_words_promise_nothing(value):
    assert promise.moment(value) is None


@pytest.mark.parametrize(
    "value",
    ["", "soon", "2030-13-01", "9999-12-31", "0001-01-01T00:00+14:00", "2030-06-30\0", "\u0662030"],
)
def test_anything_else_is_refused(value):
    with pytest.raises(errors.InvalidRequest):
        promise.moment(value)
