"""What a unique constraint says of a change, in the service's words."""

import contextlib
from collections.abc import Iterator

import sqlalchemy as sa

from imagesvc import errors


@contextlib.contextmanager
def guard(text: str) -> Iterator[None]:
    """Raises Conflict with `text` if a statement within meets a constraint.

    The transaction is of no more use then. No other reference may be broken within: a lock on
    what the rows belong to sees to that.
    """
    try:
        yield
    except sa.exc.IntegrityError as error:  # nothing but the constraint decides a race
        raise errors.Conflict(text) from error
