"""The connection to another region: what is its failure, and what is ours."""

import contextlib
import io
import socket
import threading

import pytest

from imagesvc import errors
from imagesvc.interface.errors import IntegrityError
from imagesvc.stream.peer_link import PeerLink
from imagesvc.stream.peer_option import PeerOptions

MIB = 1 << 20
GOOD = b'HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n{"a": 1}'
REFUSED = (
    b'HTTP/1.1 403 No\r\nConnection: close\r\n\r\n{"error": {"reason": "r", "message": "not so"}}'
)


class Server:
    """Hands each connection to a script of its own, one after the other."""

    def __init__(self, *scripts):
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.heads, self.count, self._kept = [], 0, []
        self._thread = threading.Thread(target=self._serve, args=(scripts,), daemon=True)
        self._thread.start()

    def _serve(self, scripts):
        for script in scripts:
            with contextlib.suppress(OSError):  # the test is over, or the client went
                connection, _ = self._listener.accept()
                self.count += 1
                self._kept.append(connection)
                script(self, connection)

    def head(self, connection):
        """Read a request's head."""
        data = b""
        while b"\r\n\r\n" not in data:
            data += connection.recv(1)
        self.heads.append(data)

    def close(self):
        """End all."""
        for one in (self._listener, *self._kept):
            with contextlib.suppress(OSError):  # whoever waits for it goes on
                one.shutdown(socket.SHUT_RDWR)
        self._thread.join(5)
        for one in (self._listener, *self._kept):
            one.close()


@pytest.fixture
def serve():
    """Makes servers, and a link to each."""
    made = []

    def go(*scripts):
        server = Server(*scripts)
        facts = dict.fromkeys(PeerOptions.__slots__, "")
        facts |= {"name": "West", "ca_file": None, "connect_timeout_s": 2.0, "timeout_s": 0.5}
        link = PeerLink(PeerOptions(**facts), server.url)
        made.extend([link, server])
        return server, link

    yield go
    for one in made:
        one.close()


def answers(server, connection):
    """One good answer, and the connection stays."""
    server.head(connection)
    connection.sendall(GOOD)


def answers_and_closes(server, connection):
    """One good answer, after which the connection is closed without a word."""
    answers(server, connection)
    connection.close()


def says_nothing(server, connection):
    """Take the request, and no more."""
    server.head(connection)


def refuses_early(server, connection):
    """Answer before the body has come, and read what still comes."""
    server.head(connection)
    connection.sendall(REFUSED)
    connection.shutdown(socket.SHUT_WR)
    while connection.recv(MIB):
        pass


def reads(server, connection):
    """Read all that comes, and say nothing."""
    server.head(connection)
    while connection.recv(MIB):
        pass


def test_an_answer_is_decoded(serve):
    server, link = serve(answers)
    found = link.ask("PUT", "/x", {"A": "b"}, {"c": 1})
    assert (found.status, found.document) == (200, {"a": 1})
    assert b"PUT /x HTTP/1.1" in server.heads[0]
    assert b"A: b" in server.heads[0]


def test_an_idle_connection_that_was_closed_is_replaced(serve):
    server, link = serve(answers_and_closes, answers)
    assert link.ask("GET", "/", {}).status == 200
    assert link.ask("GET", "/", {}).status == 200
    assert server.count == 2


def test_silence_is_told_as_such(serve):
    _, link = serve(says_nothing)
    with pytest.raises(errors.RegionAway, match="Region West does not answer in time"):
        link.ask("GET", "/", {})


def test_a_port_that_nobody_listens_at_is_told_as_such(serve):
    server, link = serve()
    server.close()
    with pytest.raises(errors.RegionAway, match="cannot be reached") as caught:
        link.ask("GET", "/", {})
    assert server.url in caught.value.operator_message


def test_a_refusal_before_the_end_of_the_body_is_heard(serve):
    _, link = serve(refuses_early)
    found = link.send("PATCH", "/", {}, io.BytesIO(bytes(4 * MIB)), 4 * MIB, lambda done: None)
    assert (found.status, found.reason, found.text) == (403, "r", "not so")


def test_what_our_own_side_raises_goes_on_as_it_is(serve):
    class Broken:
        def read(self, size):
            raise IntegrityError("broken")

    def cancelled(done):
        raise errors.Cancelled(job_id="j")

    _, link = serve(reads, reads, reads)
    with pytest.raises(IntegrityError):
        link.send("PATCH", "/", {}, Broken(), MIB, lambda done: None)
    with pytest.raises(errors.Cancelled):
        link.send("PATCH", "/", {}, io.BytesIO(bytes(MIB)), MIB, cancelled)
    with pytest.raises(errors.ImagesvcError, match="ends early"):
        link.send("PATCH", "/", {}, io.BytesIO(b"x"), MIB, lambda done: None)


def test_a_text_of_many_lines_is_one_line_of_bounded_length(serve):
    body = b'{"error": {"message": "a\\nb' + b"c" * 9000 + b'"}}'

    def talks(server, connection):
        server.head(connection)
        connection.sendall(b"HTTP/1.1 400 No\r\nContent-Length: %d\r\n\r\n" % len(body) + body)

    _, link = serve(talks)
    text = link.ask("GET", "/", {}).text
    assert text.startswith("a b")
    assert len(text) == 500
