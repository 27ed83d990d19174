"""The file sink: the laws of audit sinks, and what is its own."""

import json
import os
import stat

import pytest

from imagesvc.interface import base, errors
from imagesvc.testing.conformance.audit_sink import AuditSinkConformance, event
from imagesvc_drivers.audit_sink.file import FileAuditSink


class TestFileAuditSink(AuditSinkConformance):
    @pytest.fixture
    def path(self, tmp_path):
        return tmp_path / "audit" / "audit.jsonl"

    @pytest.fixture
    def driver(self, path):
        return self.make(FileAuditSink, path=str(path), rotate_bytes=4096)

    def files(self, driver):
        path = driver._path
        rotated = sorted(path.parent.glob(f"{path.name}.[0-9]*"))
        return [*rotated, *([path] if path.exists() else [])]

    def lines(self, driver):
        return [
            json.loads(line)
            for file in self.files(driver)
            for line in file.read_text().split("\n")
            if line
        ]

    def received(self, driver):
        return [line["event_id"] for line in self.lines(driver)]

    def test_a_line_has_all_facts(self, driver):
        one = event(7, name="x")
        driver.emit([one])
        (line,) = self.lines(driver)
        assert line["created_at"] == "2026-01-02T03:04:05.000007+00:00"
        assert line["detail"] == {"name": "x"}
        assert (line["user_id"], line["target_id"]) == (None, one.target_id)

    def test_the_file_is_rotated_and_nothing_is_lost(self, driver, path):
        events = [event(number) for number in range(40)]
        for one in events:
            driver.emit([one])
        assert len(self.files(driver)) > 2
        assert all(file.stat().st_size < 8192 for file in self.files(driver))
        self.expect(driver, events)

    def test_a_batch_given_again_over_a_rotation_is_dropped(self, driver, path):
        events = [event(number, pad="x" * 2000) for number in range(3)]
        driver.emit(events)
        assert not path.exists()
        driver.emit(events)
        self.expect(driver, events)

    def test_old_files_are_removed_only_if_asked(self, path):
        driver = self.make(FileAuditSink, path=str(path), rotate_bytes=4096, files_max=2)
        for number in range(40):
            driver.emit([event(number)])
        assert len(list(path.parent.glob("audit.jsonl.[0-9]*"))) == 2

    def test_a_line_torn_by_a_kill_is_cut_and_written_again(self, driver, path):
        events = [event(number) for number in range(2)]
        driver.emit(events[:1])
        with path.open("ab") as file:
            file.write(b'{"event_id":"' + events[1].event_id.encode())
        driver.emit(events)
        self.expect(driver, events)
        assert path.read_bytes().count(b"\n") == 2

    def test_a_batch_that_did_not_reach_the_disk_leaves_nothing(self, driver, monkeypatch):
        """A mock, since a failing disk cannot be had."""

        def refuse(_):
            raise OSError("disk")

        one = event()
        monkeypatch.setattr(os, "fsync", refuse)
        with pytest.raises(errors.Unavailable):
            driver.emit([one])
        assert self.received(driver) == []
        monkeypatch.undo()
        driver.emit([one])
        self.expect(driver, [one])

    def test_the_trail_is_for_the_service_alone(self, driver, path):
        driver.emit([event()])
        for file in path.parent.iterdir():
            assert stat.S_IMODE(file.stat().st_mode) == 0o600

    def test_a_relative_path_is_refused(self):
        with pytest.raises(errors.InvalidConfiguration, match="path"):
            self.construct(FileAuditSink, path="audit.jsonl")

    def test_a_lost_folder_is_down(self, driver, path):
        path.parent.rename(path.parent.with_name("gone"))
        assert driver.health().state is base.HealthState.DOWN
