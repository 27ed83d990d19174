"""Bodies read off gunicorn's socket are the ones that gunicorn would give."""

import contextlib
import io
import os
import socket
import threading

import pytest
from gunicorn.config import Config
from gunicorn.http import RequestParser
from gunicorn.http import body as gunicorn_body

from imagesvc import errors
from imagesvc.api import direct_body, media

BODY = os.urandom(3_000_017)
NEXT = b"GET /next HTTP/1.1\r\nHost: h\r\n\r\n"


@pytest.fixture
def requests():
    """gunicorn's parser over a connection on which somebody sends some pieces and goes."""
    with contextlib.ExitStack() as stack:

        def parser(pieces):
            ours, theirs = (stack.enter_context(one) for one in socket.socketpair())
            sender = threading.Thread(target=_send, args=(theirs, pieces))
            sender.start()
            stack.callback(sender.join)
            stack.callback(ours.close)  # before the join: nobody reads any more
            return RequestParser(Config(), ours, ("", 0))

        yield parser


def _send(connection, pieces):
    with connection, contextlib.suppress(OSError):  # the reader may go first
        for piece in pieces:
            connection.sendall(piece)


def head(length):
    return b"PUT /file HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % length


@pytest.mark.parametrize("size", [1, 1000, 65536, 1 << 20, 5 << 20])
@pytest.mark.parametrize("early", [0, 1, 4000, 200_000])
def test_the_same_bytes_and_the_next_request_after_them(requests, size, early):
    body = BODY if size > 1 else BODY[:5000]
    parser = requests([head(len(body)) + body[:early], body[early:] + NEXT])
    reader = direct_body.of(next(parser).body)
    got = io.BytesIO()
    while piece := reader.read(size):
        assert len(piece) <= size
        got.write(piece)
    assert got.getvalue() == body
    assert next(parser).path == "/next"


def test_what_the_server_buffered_comes_first(requests):
    parser = requests([head(len(BODY)), BODY, NEXT])
    body = next(parser).body
    line = body.readline(10)
    rest = direct_body.of(body)
    assert line + b"".join(iter(lambda: rest.read(1 << 20), b"")) == BODY
    assert next(parser).path == "/next"


def test_blocks_are_full_however_the_bytes_arrive(requests):
    parser = requests([head(len(BODY)), *(BODY[n : n + 7000] for n in range(0, len(BODY), 7000))])
    reader = direct_body.of(next(parser).body)
    sizes = [len(piece) for piece in iter(lambda: reader.read(1 << 20), b"")]
    assert sizes == [1 << 20, 1 << 20, len(BODY) - (2 << 20)]


def test_a_client_that_goes_leaves_a_short_body_and_no_next_request(requests):
    parser = requests([head(len(BODY)), BODY[:1_500_000]])
    body = next(parser).body
    reader = direct_body.of(body)
    assert len(reader.read(2 << 20)) == 1_500_000
    assert body.failed


def test_a_reset_connection_means_that_the_client_is_gone(requests):
    body = next(requests([head(len(BODY)), BODY[:10]])).body
    body.reader.unreader.sock.close()
    with pytest.raises(errors.InvalidRequest, match="broke off"):
        media.BodyReader(direct_body.of(body)).read(1 << 20)


def test_chunked_and_foreign_bodies_are_left_to_the_server(requests):
    chunked = (
        b"PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    )
    body = next(requests([chunked])).body
    assert isinstance(body, gunicorn_body.Body)
    assert direct_body.of(body) is None
    assert direct_body.of(io.BytesIO(b"abc")) is None


def test_another_major_version_of_the_server_is_not_touched(requests, monkeypatch):
    body = next(requests([head(3) + b"abc"])).body
    monkeypatch.setattr("gunicorn.version_info", (28, 0, 0))
    assert direct_body.of(body) is None
