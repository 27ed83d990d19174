"""How a broken law shows."""

import pytest


def broken():
    """The block must end as a failing test does: a law is free to fail by any exception."""
    return pytest.raises((AssertionError, pytest.fail.Exception, Exception))
