"""Laws of audit sinks; see `imagesvc.interface.audit_sink`."""

import abc
import datetime
import signal
import threading
import uuid
from collections import Counter
from collections.abc import Sequence
from typing import ClassVar

from imagesvc.interface import audit_sink
from imagesvc.interface.audit_sink import AuditEvent, AuditSink, AuditSinkCapability
from imagesvc.testing.conformance import child
from imagesvc.testing.conformance.base import DriverConformance


def event(number: int = 0, **detail: object) -> AuditEvent:
    """A fresh event."""
    return AuditEvent(
        event_id=uuid.uuid4().hex,
        created_at=datetime.datetime(2026, 1, 2, 3, 4, 5, number, datetime.UTC),
        action="image:create",
        outcome="success",
        target_type="image",
        target_id=str(uuid.uuid4()),
        project_id=uuid.uuid4().hex,
        user_id=None,
        request_id=f"req-{uuid.uuid4()}",
        detail=detail,
    )


class AuditSinkConformance(DriverConformance):
    """Derive, give `driver` and `received`; `crashpoints` are those inside the driver's `emit`."""

    crashpoints: ClassVar[tuple[str, ...]] = ()
    VERSION = audit_sink.VERSION
    CAPABILITY = AuditSinkCapability

    @abc.abstractmethod
    def received(self, driver: AuditSink) -> Sequence[str]:
        """Ids of the events at the other side, in the order of their arrival."""

    def expect(self, driver: AuditSink, events: Sequence[AuditEvent]) -> None:
        """Every event is there; once, unless the driver says AT_LEAST_ONCE; in order."""
        wanted = [item.event_id for item in events]
        found = [one for one in self.received(driver) if one in set(wanted)]
        assert list(dict.fromkeys(found)) == wanted
        if not self.has(driver, AuditSinkCapability.AT_LEAST_ONCE):
            assert max(Counter(found).values(), default=1) == 1

    def test_a_batch_arrives_in_order(self, driver: AuditSink) -> None:
        """`emit` returns when all of the batch is there."""
        events = [event(number) for number in range(50)]
        driver.emit(events)
        self.expect(driver, events)

    def test_an_empty_batch_is_fine(self, driver: AuditSink) -> None:
        """Nothing is sent."""
        before = list(self.received(driver))
        driver.emit([])
        assert list(self.received(driver)) == before

    def test_a_batch_given_again_is_told(self, driver: AuditSink) -> None:
        """Repeated event ids are dropped, also by another process and when mixed with new ones."""
        events = [event(number) for number in range(6)]
        driver.emit(events[:3])
        driver.emit(events[:3])
        self.again(driver).emit(events[1:4])
        driver.emit([*events, events[0]])
        self.expect(driver, events)

    def test_any_text_survives(self, driver: AuditSink) -> None:
        """Line ends, quotes and other scripts in `detail` cannot forge or break an event."""
        events = [
            event(1, name='a\nb\r\n"c"\\ \u2028 \0', deep={"list": [1, None, "é"]}),
            event(2),
        ]
        driver.emit(events)
        self.expect(driver, events)

    def test_a_batch_cut_short_by_a_kill_is_told_by_its_repetition(self, driver: AuditSink) -> None:
        """Killed at lines of the driver's `emit`; the same batch again is there, in order."""
        recipe = self.recipe(driver)
        steps = child.steps_of(recipe, "emit", [event(number) for number in range(5)])
        for step in steps:
            batch = [event(number, step=str(step)) for number in range(5)]
            child.run_to_step(recipe, step, "emit", batch)
            self.again(driver).emit(batch)
            self.expect(driver, batch)
        self.note(f"killed at {len(steps)} lines")

    def test_what_was_told_survives_a_new_start(self, driver: AuditSink) -> None:
        """`emit` returned: a new instance finds the events, and drops them when repeated."""
        events = [event(number) for number in range(3)]
        driver.emit(events)
        driver.close()
        self.again(driver).emit(events)
        driver.open()
        self.expect(driver, events)

    def test_threads_and_processes_may_emit_at_once(self, driver: AuditSink) -> None:
        """No event is lost or mixed with another."""
        batches = [[event(number) for number in range(20)] for _ in range(6)]
        sinks = [driver, self.again(driver)] * 3
        threads = [
            threading.Thread(target=sink.emit, args=(batch,))
            for sink, batch in zip(sinks, batches, strict=True)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for batch in batches:
            self.expect(driver, batch)

    def test_a_batch_of_a_killed_process_is_whole_when_given_again(self, driver: AuditSink) -> None:
        """A process killed at any crash point in `emit` loses nothing and mixes nothing up."""
        for point in self.crashpoints:
            before, events = [event(0)], [event(number) for number in range(1, 30)]
            driver.emit(before)
            code = child.run_to_crash_point(self.recipe(driver), point, "emit", events)
            assert code == -signal.SIGKILL, point
            driver.emit(events)
            driver.emit(after := [event(30)])
            self.expect(driver, [*before, *events, *after])
