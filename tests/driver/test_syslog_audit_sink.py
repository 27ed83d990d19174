"""The syslog sink against receivers on real sockets."""

import json
import os
import re
import socket
import socketserver
import threading

import pytest

from imagesvc.interface import base, errors
from imagesvc.testing.conformance.audit_sink import AuditSinkConformance, event
from imagesvc_drivers.audit_sink.syslog import SyslogAuditSink
from tests.poll import until

HEADER = re.compile(
    rb"<(\d+)>1 (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z) ([!-~]{1,255}) ([!-~]{1,48}) (\d+) "
    rb"([!-~]{1,32}) - (\{.*\})",
    re.DOTALL,
)


class TcpReceiver(socketserver.ThreadingTCPServer):
    """Takes frames by octet counting (RFC 6587), keeps the order of each connection."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, port=0):
        super().__init__(("127.0.0.1", port), FrameHandler)
        self.messages = []
        self.lock = threading.Lock()
        self.frames_max = None  # after so many a connection is reset
        self.silent = False  # reads all and never ends its side
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self):
        """End it and free its port."""
        self.shutdown()
        self.server_close()


class FrameHandler(socketserver.StreamRequestHandler):
    """One connection."""

    def handle(self):
        count = 0
        while (length := self.length()) is not None:
            message = self.rfile.read(length)
            if len(message) < length:
                return  # torn by a kill
            with self.server.lock:
                self.server.messages.append(message)
            count += 1
            if count == self.server.frames_max:
                linger = b"\1\0\0\0\0\0\0\0"
                self.request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                self.request.close()
                return
        if self.server.silent:
            threading.Event().wait(10)

    def length(self):
        """The octet count before a frame; None at the end."""
        digits = b""
        while (one := self.rfile.read(1)).isdigit():
            digits += one
        return int(digits) if digits and one == b" " else None


class DatagramReceiver:
    """Takes datagrams into memory."""

    def __init__(self, family, address):
        self.socket = socket.socket(family, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self.socket.bind(address)
        self.messages = []
        threading.Thread(target=self.take, daemon=True).start()

    def take(self):
        """Until it is stopped."""
        while True:
            message = self.socket.recv(65536)
            if message == b"stop":
                return self.socket.close()
            self.messages.append(message)

    def stop(self):
        """End the thread, which closes the socket."""
        with socket.socket(self.socket.family, socket.SOCK_DGRAM) as last:
            last.sendto(b"stop", self.socket.getsockname())


class SyslogConformance(AuditSinkConformance):
    """What holds for every transport."""

    crashpoints = ("audit_sink.syslog.sent", "audit_sink.syslog.taken")

    def received(self, driver):
        """Ids, once the receiver had the time to read: the last event of all marks the end."""
        return [facts["event_id"] for _, facts in self.parsed()]

    def parsed(self):
        """(header fields, JSON) of each message."""
        found = [HEADER.fullmatch(message) for message in list(self.receiver.messages)]
        assert all(found)
        return [(match.groups(), json.loads(match[7])) for match in found]

    def expect(self, driver, events):
        """Datagrams are read a little later."""
        until(lambda: {one.event_id for one in events} <= set(self.received(driver)))
        super().expect(driver, events)

    def test_a_message_is_one_of_rfc_5424(self, driver):
        one = event(7, name="é")
        driver.emit([one])
        self.expect(driver, [one])
        ((fields, facts),) = self.parsed()
        assert fields[0] == b"85"  # authpriv, notice
        assert fields[1] == b"2026-01-02T03:04:05.000007Z"
        assert fields[3:6] == (b"imagesvc", str(os.getpid()).encode(), b"image:create")
        assert facts["detail"] == {"name": "é"}
        assert (facts["user_id"], facts["target_id"]) == (None, one.target_id)

    def test_a_long_event_goes_without_its_detail_and_says_so(self, driver):
        one = event(1, text="x" * 10_000)
        driver.emit([one])
        self.expect(driver, [one])
        ((_, facts),) = self.parsed()
        assert facts["detail"] == {"left_out_bytes": 10_011}


class TestTcp(SyslogConformance):
    @pytest.fixture
    def driver(self):
        self.receiver = TcpReceiver()
        host, port = self.receiver.server_address
        yield self.make(SyslogAuditSink, transport="tcp", address=f"{host}:{port}", timeout_s=2.0)
        self.receiver.stop()

    def test_a_receiver_that_breaks_off_in_a_batch_gets_it_again(self, driver):
        events = [event(number) for number in range(50)]
        self.receiver.frames_max = 10
        with pytest.raises(errors.Unavailable) as caught:
            driver.emit(events)
        assert caught.value.retryable
        self.receiver.frames_max = None
        driver.emit(events)
        self.expect(driver, events)

    def test_a_batch_that_the_receiver_does_not_end_counts_as_not_taken(self, driver):
        self.receiver.silent = True
        with pytest.raises(errors.Timeout):
            driver.emit([event()])

    def test_a_receiver_that_is_away_is_down_and_comes_back(self, driver):
        port = self.receiver.server_address[1]
        self.receiver.stop()
        assert driver.health().state is base.HealthState.DOWN
        with pytest.raises(errors.Unavailable):
            driver.emit([event()])
        self.receiver = TcpReceiver(port)
        driver.emit(events := [event()])
        self.expect(driver, events)


class TestUnix(SyslogConformance):
    @pytest.fixture
    def driver(self, tmp_path):
        path = str(tmp_path / "log")
        self.receiver = DatagramReceiver(socket.AF_UNIX, path)
        yield self.make(SyslogAuditSink, address=path)
        self.receiver.stop()


class TestUdp(SyslogConformance):
    @pytest.fixture
    def driver(self):
        self.receiver = DatagramReceiver(socket.AF_INET, ("127.0.0.1", 0))
        host, port = self.receiver.socket.getsockname()
        yield self.make(SyslogAuditSink, transport="udp", address=f"{host}:{port}")
        self.receiver.stop()

    def test_it_says_that_it_may_lose(self, driver):
        assert driver.health().state is base.HealthState.DEGRADED


@pytest.mark.parametrize(
    ("transport", "address"),
    [("unix", "log"), ("tcp", "host"), ("tcp", ":514"), ("udp", "host:x"), ("tcp", "host:70000")],
)
def test_a_wrong_address_is_refused(transport, address):
    with pytest.raises(errors.InvalidConfiguration, match="address"):
        TestUdp().construct(SyslogAuditSink, transport=transport, address=address)
