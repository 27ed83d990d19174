"""Two API processes, one database: whatever happens, they do what a small model does."""

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.model.image_machine import ImageMachine
from tests.model.pair import Pair

SHORT = settings(
    max_examples=3,
    stateful_step_count=40,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.generate],  # to shrink would start processes for an hour
    suppress_health_check=list(HealthCheck),
)
LONG = settings(SHORT, max_examples=30, stateful_step_count=40, derandomize=False)


@pytest.fixture(params=[pytest.param("sqlite", marks=pytest.mark.peer), "postgresql"])
def pair(request, tmp_path):
    """Running processes on a database of each kind."""
    server = request.param == "postgresql" and request.getfixturevalue("postgresql_server")
    made = Pair(tmp_path, server.create() if server else None)
    yield made
    made.stop()


def machine(pair, deaths_max):
    """The machine over these processes."""
    return type("Images", (ImageMachine,), {"pair": pair, "deaths_max": deaths_max})


def test_two_processes_do_as_the_model_does(pair):
    run_state_machine_as_test(machine(pair, 1), settings=SHORT)


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_two_processes_do_as_the_model_does_for_long(pair):
    run_state_machine_as_test(machine(pair, 6), settings=LONG)
