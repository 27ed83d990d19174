"""A small audit sink, and sinks that each break one of its promises."""

import fcntl
import json
import threading
from pathlib import Path

from oslo_config import cfg

from imagesvc.interface import audit_sink, base
from imagesvc.interface.audit_sink import AuditSinkCapability


class LineSink(audit_sink.AuditSink):
    """One line an event; the last line may be torn by a kill and is then cut."""

    contract = base.Version(1, 0)
    OPTS = (cfg.StrOpt("path", required=True, help="File of the lines."),)

    def info(self):
        return base.DriverInfo("line", "test", "1")

    def health(self):
        return base.Health(base.HealthState.OK)

    def lines(self):
        """Whole lines of the file."""
        path = Path(self.options.path)
        text = path.read_text() if path.exists() else ""
        return text[: text.rfind("\n") + 1].splitlines()

    def known(self):
        """Ids of the events that are there."""
        return {json.loads(line)[0] for line in self.lines()}

    def line(self, event):
        """An event as one line."""
        return json.dumps([event.event_id, event.action, event.detail]) + "\n"

    def emit(self, events):
        with open(self.options.path, "a+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            lines = self.lines()
            file.truncate(sum(len(line) + 1 for line in lines))
            for event in {item.event_id: item for item in events}.values():
                if event.event_id not in self.known():
                    file.write(self.line(event))
                    file.flush()


class Repeating(LineSink):
    def known(self):
        return ()


class Forgetful(LineSink):
    """Knows only what it took itself."""

    def known(self):
        return self.__dict__.setdefault("mine", set())

    def line(self, event):
        self.known().add(event.event_id)
        return super().line(event)


class Backwards(LineSink):
    def emit(self, events):
        super().emit(events[::-1])


class Lazy(LineSink):
    """Returns before the batch is there."""

    def emit(self, events):
        self.__dict__.setdefault("later", []).extend(events)
        if len(self.later) > 60:
            super().emit(self.later)


class Chatty(LineSink):
    def emit(self, events):
        super().emit(events)
        if not events:
            Path(self.options.path).write_text('["nothing", "", {}]\n')


class Plain(LineSink):
    """Takes any text as it is."""

    def line(self, event):
        return f'["{event.event_id}", "{event.detail.get("name")}"]\n'

    def known(self):
        return {line[2:34] for line in self.lines()}


class Noting(LineSink):
    """Notes what it is about to send, and takes the note for the event."""

    def known(self):
        path = Path(self.options.path + ".noted")
        return path.read_text().split() if path.exists() else []

    def line(self, event):
        with open(self.options.path + ".noted", "a") as file:
            file.write(event.event_id + "\n")
        return super().line(event)


class Rewriting(LineSink):
    """Writes the whole file as it knew it first."""

    def emit(self, events):
        known = self.__dict__.setdefault("kept", self.lines())
        known += [self.line(event)[:-1] for event in events if event.event_id not in str(known)]
        Path(self.options.path).write_text("".join(f"{line}\n" for line in known))


class Claiming(LineSink):
    """Names a capability that is none of its kind."""

    def info(self):
        return base.DriverInfo("line", "test", "1", frozenset({"at-least-once!"}))


class Vague(LineSink):
    OPTS = (*LineSink.OPTS, cfg.StrOpt("speed"))


class Open(LineSink):
    OPTS = (*LineSink.OPTS, cfg.StrOpt("password", help="The password."))


class Newer(LineSink):
    contract = base.Version(1, audit_sink.VERSION.minor + 1)


class Restless(LineSink):
    def info(self):
        self.__dict__["times"] = self.__dict__.get("times", 0) + 1
        return base.DriverInfo("line", "test", str(self.times))


class LateInfo(LineSink):
    def open(self):
        self.version = "1"

    def info(self):
        return base.DriverInfo("line", "test", self.__dict__.get("version", "unknown"))


class Anonymous(LineSink):
    def __init__(self, options, *, backend_id):
        super().__init__(options, backend_id="sink")


class Down(LineSink):
    def health(self):
        return base.Health(base.HealthState.DOWN)


class OnceOnly(LineSink):
    def open(self):
        if self.__dict__.get("opened"):
            raise RuntimeError("opened twice")
        self.opened = True


class CloseOnce(LineSink):
    def close(self):
        if self.__dict__.get("closed"):
            raise RuntimeError("closed twice")
        self.closed = True


class Shared(LineSink):
    """Closes what all instances use."""

    working = True

    def open(self):
        Shared.working = True

    def close(self):
        Shared.working = False

    def health(self):
        return base.Health(base.HealthState.OK if Shared.working else base.HealthState.DOWN)


class OneThread(LineSink):
    """Answers the thread that opened it."""

    def health(self):
        main = threading.current_thread() is threading.main_thread()
        return base.Health(base.HealthState.OK if main else base.HealthState.DOWN)


class AtLeastOnce(LineSink):
    """Says that it repeats, and does."""

    def info(self):
        capabilities = frozenset({AuditSinkCapability.AT_LEAST_ONCE})
        return base.DriverInfo("line", "test", "1", capabilities)

    known = Repeating.known
