"""The webhook sink against a real HTTP receiver."""

import hashlib
import hmac
import http.server
import json
import ssl
import subprocess
import threading
import time

import pytest

from imagesvc.interface import base, errors
from imagesvc.testing.conformance.audit_sink import AuditSinkConformance, event
from imagesvc_drivers.audit_sink.webhook import WebhookAuditSink

SECRET = "a secret of the two"


class Receiver(http.server.ThreadingHTTPServer):
    """Keeps what is signed rightly; answers as told."""

    daemon_threads = True

    def __init__(self, context=None):
        super().__init__(("127.0.0.1", 0), Handler)
        if context:
            self.socket = context.wrap_socket(self.socket, server_side=True)
        self.batches = []
        self.answers = []  # statuses of the next requests; "drop" takes the batch unanswered
        self.lock = threading.Lock()
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    def handle_error(self, request, client_address):
        """A killed client is no fault of ours."""

    def stop(self):
        """End it and free its port."""
        self.shutdown()
        self.server_close()


class Handler(http.server.BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        """Check, keep, answer."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        timestamp = self.headers["X-Imagesvc-Timestamp"]
        signed = hmac.new(SECRET.encode(), timestamp.encode() + b"." + body, hashlib.sha256)
        if self.headers["X-Imagesvc-Signature"] != f"sha256={signed.hexdigest()}":
            return self.answer(401)
        with self.server.lock:
            status = self.server.answers.pop(0) if self.server.answers else 204
            if status in (204, "drop"):
                self.server.batches.append((abs(time.time() - int(timestamp)), json.loads(body)))
        if status == "drop":
            self.close_connection = True
            return None
        return self.answer(status)

    def do_GET(self):
        """Where a redirect would lead: all is well there, and nothing is kept."""
        self.answer(204)

    def answer(self, status):
        """No body."""
        self.send_response(status)
        if status == 302:
            self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args):
        """Quiet."""


class TestWebhook(AuditSinkConformance):
    crashpoints = ("audit_sink.webhook.posted",)

    @pytest.fixture
    def receiver(self):
        made = Receiver()
        yield made
        made.stop()

    @pytest.fixture
    def driver(self, receiver):
        self.receiver = receiver
        url = f"http://127.0.0.1:{receiver.server_port}/audit?token=hidden"
        return self.make(WebhookAuditSink, url=url, secret=SECRET, batch_max=7, timeout_s=2.0)

    def received(self, driver):
        return [one["event_id"] for _, batch in self.receiver.batches for one in batch["events"]]

    def test_a_batch_has_all_facts_and_the_time_of_its_signature(self, driver, receiver):
        one = event(7, name="é")
        driver.emit([one])
        ((age_s, batch),) = receiver.batches
        (facts,) = batch["events"]
        assert age_s < 120
        assert facts["created_at"] == "2026-01-02T03:04:05.000007+00:00"
        assert facts["detail"] == {"name": "é"}
        assert (facts["user_id"], facts["target_id"]) == (None, one.target_id)

    def test_batches_are_no_longer_than_asked(self, driver, receiver):
        driver.emit([event(number) for number in range(15)])
        assert [len(batch["events"]) for _, batch in receiver.batches] == [7, 7, 1]

    @pytest.mark.parametrize("answer", [500, 503, 429, 400, 302, "drop"])
    def test_events_after_any_failure_come_again_in_order(self, driver, receiver, answer):
        events = [event(number) for number in range(20)]
        receiver.answers = [204, answer]
        with pytest.raises(errors.Unavailable) as caught:
            driver.emit(events)
        assert caught.value.retryable
        assert "hidden" not in caught.value.operator_message
        driver.emit(events)
        self.expect(driver, events)

    def test_another_secret_is_refused_by_the_receiver(self, driver, receiver):
        url = f"http://127.0.0.1:{receiver.server_port}/"
        other = self.make(WebhookAuditSink, url=url, secret="x" * 20)
        with pytest.raises(errors.AccessDenied):
            other.emit([event()])
        assert receiver.batches == []

    def test_a_receiver_that_is_away_is_down(self, driver, receiver):
        receiver.server_close()
        receiver.shutdown()
        assert driver.health().state is base.HealthState.DOWN
        with pytest.raises(errors.Unavailable):
            driver.emit([event()])

    @pytest.mark.parametrize("url", [None, "ftp://host/", "http://", "http://host:x/"])
    def test_a_wrong_url_is_refused(self, url):
        with pytest.raises(errors.InvalidConfiguration, match="url"):
            self.construct(WebhookAuditSink, url=url, secret=SECRET)

    @pytest.mark.parametrize("secret", [None, "short"])
    def test_a_missing_or_short_secret_is_refused(self, secret):
        with pytest.raises(errors.InvalidConfiguration, match="secret"):
            self.construct(WebhookAuditSink, url="http://host/", secret=secret)


class TestHttps:
    """Over TLS, the receiver's certificate must be signed by the named file."""

    def test_only_a_known_certificate_is_believed(self, tmp_path):
        key, cert = tmp_path / "key.pem", tmp_path / "cert.pem"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
             "-keyout", key, "-out", cert, "-subj", "/CN=localhost",
             "-addext", "subjectAltName=IP:127.0.0.1"],
            check=True, capture_output=True, timeout=60,
        )  # fmt: skip
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cert, key)
        receiver = Receiver(context)
        url = f"https://127.0.0.1:{receiver.server_port}/"
        made = TestWebhook()
        try:
            with pytest.raises(errors.Unavailable):
                made.make(WebhookAuditSink, url=url, secret=SECRET).emit([event()])
            made.make(WebhookAuditSink, url=url, secret=SECRET, ca_file=str(cert)).emit([event()])
        finally:
            receiver.stop()
        assert len(receiver.batches) == 1
