"""Each law of sinks, and each common law, is broken by a driver that breaks its promise."""

import json

import pytest

from imagesvc.testing.conformance.audit_sink import AuditSinkConformance
from tests.unit.testing import sink_fault
from tests.unit.testing.law import broken

CASES = [
    ("Repeating", "a_batch_given_again_is_told"),
    ("Forgetful", "a_batch_given_again_is_told"),
    ("Forgetful", "what_was_told_survives_a_new_start"),
    ("Backwards", "a_batch_arrives_in_order"),
    ("Lazy", "a_batch_arrives_in_order"),
    ("Chatty", "an_empty_batch_is_fine"),
    ("Plain", "any_text_survives"),
    ("Noting", "a_batch_cut_short_by_a_kill_is_told_by_its_repetition"),
    ("Rewriting", "threads_and_processes_may_emit_at_once"),
    ("Claiming", "info_is_complete_and_the_same_each_time"),
    ("Vague", "every_option_is_explained"),
    ("Open", "secret_looking_options_are_marked_secret"),
    ("Newer", "the_driver_was_written_for_this_contract"),
    ("Restless", "info_is_complete_and_the_same_each_time"),
    ("LateInfo", "info_needs_no_open"),
    ("Anonymous", "the_backend_id_is_kept"),
    ("Down", "a_driver_that_works_is_healthy"),
    ("OnceOnly", "open_can_be_repeated"),
    ("CloseOnce", "close_can_be_repeated_and_undone"),
    ("Shared", "two_instances_live_side_by_side"),
    ("OneThread", "one_instance_serves_many_threads"),
]


class Sink(AuditSinkConformance):
    """The suite without pytest's machinery."""

    driver = None

    def received(self, driver):
        """Ids in the file."""
        return [json.loads(line)[0] for line in driver.lines()]


class TestLineSink(Sink):
    """The sound one keeps all laws."""

    @pytest.fixture
    def driver(self, tmp_path):
        """It writes one file."""
        return self.make(sink_fault.LineSink, path=str(tmp_path / "lines"))


class TestRepeatingSink(TestLineSink):
    """One that says that it repeats keeps them too."""

    @pytest.fixture
    def driver(self, tmp_path):
        """It writes one file."""
        return self.make(sink_fault.AtLeastOnce, path=str(tmp_path / "lines"))


@pytest.mark.parametrize(("fault", "law"), CASES)
def test_a_fault_breaks_its_law(tmp_path, fault, law):
    suite = Sink()
    driver = suite.make(getattr(sink_fault, fault), path=str(tmp_path / "lines"))
    with broken():
        getattr(suite, f"test_{law}")(driver)


def test_every_law_has_a_fault():
    laws = {name.removeprefix("test_") for name in dir(Sink) if name.startswith("test_")}
    # Kills at the driver's own named points; the faults of the law of its lines are the same.
    laws.remove("a_batch_of_a_killed_process_is_whole_when_given_again")
    assert laws == {law for _, law in CASES}
