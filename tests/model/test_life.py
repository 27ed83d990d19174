"""Whatever order images are promised, deleted, undone and purged in: no promise breaks by itself."""

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from imagesvc import service as services
from tests import migrated
from tests.api.conftest import configure
from tests.model.life_machine import LifeMachine

SHORT = settings(
    max_examples=8,
    stateful_step_count=25,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
LONG = settings(SHORT, max_examples=300, stateful_step_count=60, derandomize=False)


@pytest.fixture
def machine(tmp_path):
    """The machine over a service of its own that keeps deleted images for an hour."""
    conf = configure(tmp_path, "[bin]\nterm_s = 3600\n")
    migrated.make(conf.database.url)
    service = services.build(conf, monitor=False)
    yield type("Life", (LifeMachine,), {"service": service})
    service.close()


def test_no_promise_is_broken_and_the_quota_ends_at_zero(machine):
    run_state_machine_as_test(machine, settings=SHORT)


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_no_promise_is_broken_for_long(machine):
    run_state_machine_as_test(machine, settings=LONG)
