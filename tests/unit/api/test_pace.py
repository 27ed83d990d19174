"""Who is cut off, on real connections; the clock is the test's."""

import contextlib
import socket

import pytest

from imagesvc import errors
from imagesvc.api import media, pace

LIMITS = pace.Limits(idle_s=10.0, rate_bytes=100, transfers=2)
PLENTY = b"x" * 10_000


class Pair:
    """Both ends of a connection under watch."""

    def __init__(self, stack):
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        self.client = stack.enter_context(socket.create_connection(listener.getsockname()))
        self.server = stack.enter_context(listener.accept()[0])
        self.server.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        self.server.settimeout(10)
        self.pacer = pace.Pacer(LIMITS)
        self.watch = stack.enter_context(self.pacer.watch(self.server))
        self.start = self.watch._moved_at

    def send(self, data):
        """From the client, until the server's thread has read it."""
        self.client.sendall(data)
        left = len(data)
        while left:
            left -= len(self.server.recv(left))

    def sweep(self, second):
        """Judge at a moment; whether the client is cut off."""
        self.pacer.sweep(self.start + second)
        return self.watch.too_slow

    def fill(self):
        """Send until the client, who does not read, lets no more through."""
        self.server.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                self.server.send(PLENTY)


@pytest.fixture
def pair():
    with contextlib.ExitStack() as stack:
        yield Pair(stack)


def test_a_silent_client_is_cut_off_when_its_time_is_over(pair):
    assert not pair.sweep(9.9)
    assert pair.sweep(10.1)
    assert pair.server.recv(10) == b""
    pair.server.sendall(b"too slow")
    assert pair.client.recv(100) == b"too slow"


def test_a_client_that_drips_is_cut_off_for_its_rate(pair):
    cut = []
    for second in range(1, 12):
        pair.send(b"x" * 10)
        cut.append(pair.sweep(second))
    assert cut == [False] * 9 + [True, True]


def test_a_client_that_keeps_the_rate_goes_on(pair):
    for second in range(1, 60):
        pair.send(b"x" * 200)
        assert not pair.sweep(second)


def test_a_client_whose_turn_it_is_not_is_let_alone(pair):
    pair.watch.receiving = False
    assert not pair.sweep(1000)
    with pair.watch.receive():
        assert not pair.sweep(1009)
        assert pair.sweep(1011)


def test_bytes_that_the_service_does_not_read_are_not_the_clients_fault(pair):
    pair.client.sendall(PLENTY)
    while not pair.server.recv(1, socket.MSG_PEEK):
        pass
    assert not pair.sweep(1000)


def test_a_client_that_does_not_read_is_cut_off(pair):
    pair.watch.receiving = False
    pair.fill()
    assert not pair.sweep(1)
    assert not pair.sweep(9)
    assert pair.sweep(12)
    with pytest.raises(BrokenPipeError):
        pair.server.send(b"more")


def test_a_cut_off_body_is_the_clients_fault(pair):
    pair.sweep(11)
    with pair.server.makefile("rb") as stream, pytest.raises(errors.InvalidRequest) as caught:
        media.BodyReader(stream).read(10)
    assert caught.value.reason is errors.Reason.CLIENT_SLOW


def test_transfers_leave_threads_and_give_theirs_back(pair):
    with contextlib.ExitStack() as stack:
        for _ in range(LIMITS.transfers):
            stack.enter_context(pair.pacer.watch(pair.server)).begin_transfer()
        with pytest.raises(errors.Overloaded):
            pair.watch.begin_transfer()
    pair.watch.begin_transfer()
