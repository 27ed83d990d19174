"""Tests that share something costly run in one process: groups hold with the versions used."""

import os

import pytest


@pytest.mark.xdist_group("together")
@pytest.mark.skipif("PYTEST_XDIST_WORKER" not in os.environ, reason="runs in one process anyway")
def test_a_group_is_known_to_the_scheduler(request):
    """pytest-xdist puts the group behind the name; under some versions of pytest it cannot."""
    assert request.node.nodeid.endswith("@together")
