"""Where processes are killed: at some points in each run of the tests, at all with the peers."""

import pytest


def thinned(points, *often):
    """`points` as parameters; those that are not `often` are run with the peers alone."""
    assert set(often) <= set(points)
    return [
        point if point in often else pytest.param(point, marks=pytest.mark.peer) for point in points
    ]
