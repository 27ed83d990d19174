"""Where processes are killed: at some points in each run of the tests, at all with the peers or soaks."""

import pytest


def thinned(points, *often, rest=pytest.mark.peer):
    """`points` as parameters; those that are not `often` are run with the `rest` alone."""
    assert set(often) <= set(points)
    return [point if point in often else pytest.param(point, marks=rest) for point in points]
