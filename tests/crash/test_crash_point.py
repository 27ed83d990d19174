"""Each named point of the source is one where a test kills a process."""

import re
from pathlib import Path

from tests.crash import test_capture, test_failure, test_upload
from tests.driver import test_syslog_audit_sink, test_webhook_audit_sink
from tests.driver.test_qemu_compute import TestQemuCompute as Qemu

ROOT = Path(__file__).parent.parent.parent
POINT = re.compile(r"\bcrashpoint\(\"([a-z._]+)\"\)")


def test_every_crash_point_has_a_test_that_kills_there():
    named = {
        name
        for folder in ("imagesvc", "imagesvc_drivers")
        for path in (ROOT / folder).rglob("*.py")
        for name in POINT.findall(path.read_text("utf-8"))
    }
    tested = {
        *test_capture.CAPTURE_POINTS,
        *test_capture.CREATE_POINTS,
        *test_failure.UNWIND_POINTS,
        *test_failure.REAPER_POINTS,
        *test_upload.BEFORE,
        "upload.activated",
        *Qemu.CREATE_CRASH_POINTS,
        *Qemu.SNAPSHOT_CRASH_POINTS,
        *test_syslog_audit_sink.TestTcp.crashpoints,
        *test_webhook_audit_sink.TestWebhook.crashpoints,
    }
    assert named == tested
