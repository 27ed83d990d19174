"""What the suites and the table after a run say to the author of a driver."""

import re
import subprocess
import sys

import pytest

from imagesvc.testing.conformance.audit_sink import AuditSinkConformance
from imagesvc.testing.conformance.compute import ComputeConformance
from imagesvc.testing.conformance.identity import IdentityConformance
from tests.unit.testing.sink_fault import LineSink

TEST = """
import json
import pytest
from imagesvc.testing.conformance.audit_sink import AuditSinkConformance
from tests.unit.testing.sink_fault import {sink}

class TestSink(AuditSinkConformance):
    @pytest.fixture
    def driver(self, tmp_path):
        return self.make({sink}, path=str(tmp_path / "lines"))

    def received(self, driver):
        return [json.loads(line)[0] for line in driver.lines()]

    def test_of_its_own(self, driver):
        pytest.skip("no moon tonight")

    def test_a_batch_cut_short_by_a_kill_is_told_by_its_repetition(self, driver):
        self.note("left out here")
"""


@pytest.mark.parametrize(
    ("suite", "lacking"),
    [
        (AuditSinkConformance, "driver, received"),
        (ComputeConformance, "driver, image_source"),
        (IdentityConformance, "driver"),
    ],
)
def test_a_class_that_lacks_something_is_refused(suite, lacking):
    with pytest.raises(TypeError, match=f"^TestMine has to give: {lacking}$"):
        type("TestMine", (suite,), {})


def test_a_class_between_may_lack_something():
    type("Between", (AuditSinkConformance,), {})


def test_a_required_option_without_a_value_is_told():
    suite = type("Sink", (AuditSinkConformance,), {"driver": None, "received": None})()
    with pytest.raises(Exception, match="option path is not set"):
        suite.make(LineSink)


@pytest.mark.parametrize(
    ("processes", "sink", "sound"), [("0", "LineSink", True), ("2", "Backwards", False)]
)
def test_the_run_ends_with_a_table(tmp_path, processes, sink, sound):
    (tmp_path / "test_sink.py").write_text(TEST.format(sink=sink))
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-n", processes, "-c", "/dev/null"),
            *("-p", "imagesvc.testing.plugin", "--rootdir", str(tmp_path)),
            str(tmp_path / "test_sink.py"),
        ],
        capture_output=True,
        text=True,
        timeout=120,
    )
    table = done.stdout.partition("laws of TestSink")[2]
    assert "1 passed   a batch cut short by a kill is told by its repetition  [left out" in table
    assert "1 skipped  of its own  [Skipped: no moon tonight]" in table
    failed = len(re.findall(r"^1 failed ", table, re.MULTILINE))
    assert (failed == 0) is (done.returncode == 0) is sound
    passed = len(re.findall(r"^1 passed ", table, re.MULTILINE))
    assert f"TestSink: {passed} passed, {failed} failed, 1 skipped" in table
    if failed:  # the law's own assertion shows what it compared
        assert re.search(r"^E +(AssertionError: )?assert \[", done.stdout, re.MULTILINE)
