"""Slow clients on raw sockets: they are cut off, leave nothing behind, and stop nobody else."""

import contextlib
import json
import os
import socket
import time

import pytest

from tests.client.conftest import started

pytestmark = pytest.mark.slow

WAIT_S = 60
IDLE_S = 2
TRANSFERS = 2
HOLDERS = 12
SIZE = 32 << 20
MORE = f"""
[api]
body_idle_timeout_s = {IDLE_S}
body_min_rate_bytes = 1000
reserved_threads = 4
"""


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    """One API process that moves two images at a time."""
    with started(tmp_path_factory.mktemp("slow"), threads=TRANSFERS + 4, more=MORE) as running:
        yield running


@pytest.fixture(scope="module")
def token(service):
    return service.openstack("token", "issue", "-f", "value", "-c", "id").strip()


@pytest.fixture
def stack():
    with contextlib.ExitStack() as opened:
        yield opened


def dial(service, stack, head=b"", *, buffer=None):
    """A connection on which `head` was sent."""
    sock = stack.enter_context(socket.socket())
    if buffer:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    sock.settimeout(WAIT_S)
    sock.connect(("127.0.0.1", service.port))
    sock.sendall(head)
    return sock


def head(token, method, path, *lines):
    named = (f"{method} {path} HTTP/1.1", "Host: h", f"X-Auth-Token: {token}", *lines)
    return "\r\n".join((*named, "", "")).encode()


def put(token, image_id, *lines):
    kind = "Content-Type: application/octet-stream"
    return head(token, "PUT", f"/v2/images/{image_id}/file", kind, *lines)


def everything(sock):
    """All bytes that come until the service hangs up."""
    pieces = []
    with contextlib.suppress(ConnectionResetError):
        while piece := sock.recv(1 << 20):
            pieces.append(piece)
    return b"".join(pieces)


def answer(sock):
    """All that comes until the service hangs up: status, head in lower case, body."""
    data = everything(sock)
    start, _, body = data.partition(b"\r\n\r\n")
    return (int(start.split()[1]), start.decode().lower(), body) if start else (0, "", b"")


def call(service, stack, token, method, path, body=None):
    """One short call; its status and JSON."""
    data = json.dumps(body).encode() if body is not None else b""
    lines = ("Connection: close", "Content-Type: application/json", f"Content-Length: {len(data)}")
    status, _, text = answer(dial(service, stack, head(token, method, path, *lines) + data))
    return status, json.loads(text) if text else None


def create(service, stack, token):
    body = {"name": "slow", "disk_format": "raw", "container_format": "bare"}
    status, image = call(service, stack, token, "POST", "/v2/images", body)
    assert status == 201
    return image["id"]


def until(found, wanted):
    """Poll until `found()` is `wanted`."""
    deadline = time.monotonic() + WAIT_S
    while (last := found()) != wanted:
        assert time.monotonic() < deadline, last
        time.sleep(0.05)


def stored(service):
    """Files of image bytes, finished or not."""
    return sorted(p.name for p in (service.folder / "store").rglob("*") if p.is_file())


def drip(sock, until_s=WAIT_S):
    """Send a byte now and then, until the other side has answered or gone."""
    deadline = time.monotonic() + until_s
    sock.settimeout(0.1)
    while time.monotonic() < deadline:
        with contextlib.suppress(TimeoutError):
            sock.recv(1, socket.MSG_PEEK)
            break
        try:
            sock.sendall(b"x")
        except OSError:
            break
    else:
        pytest.fail("a dripping client was never cut off")
    sock.settimeout(WAIT_S)


@pytest.mark.parametrize(
    ("framing", "way"),
    [
        ("plain", "dripping"),
        ("chunked", "silent"),
        pytest.param("plain", "silent", marks=pytest.mark.peer),
        pytest.param("chunked", "dripping", marks=pytest.mark.peer),
    ],
)
def test_a_slow_upload_ends_like_a_broken_one(service, stack, token, way, framing):
    before = stored(service)
    image_id = create(service, stack, token)
    line = "Transfer-Encoding: chunked" if framing == "chunked" else f"Content-Length: {SIZE}"
    start = b"%x\r\n" % SIZE if framing == "chunked" else b""
    sock = dial(service, stack, put(token, image_id, line) + start + b"x" * 100)
    if way == "dripping":
        drip(sock)
    status, text, _ = answer(sock)
    assert (status, "connection: close" in text) == (408, True)
    image = call(service, stack, token, "GET", f"/v2/images/{image_id}")[1]
    assert (image["status"], image["size"]) == ("queued", None)
    until(lambda: stored(service), before)
    length = "Content-Length: 5"
    again = dial(service, stack, put(token, image_id, length, "Connection: close") + b"whole")
    assert answer(again)[0] == 204


def test_a_slow_json_body_and_a_slow_head_are_cut_off(service, stack, token):
    body = dial(service, stack, head(token, "POST", "/v2/images", "Content-Length: 100") + b"{")
    start = dial(service, stack, b"GET /v2/images HTTP/1.1\r\nHost: h\r\nX-")
    assert answer(body)[0] == 408
    assert answer(start)[0] in (0, 400)


def test_stalled_uploads_leave_threads_for_short_calls(service, stack, token):
    ids = [create(service, stack, token) for _ in range(HOLDERS)]
    line = f"Content-Length: {SIZE}"
    socks = [dial(service, stack, put(token, one, line) + b"x") for one in ids]
    assert call(service, stack, token, "GET", "/v2/images?limit=1")[0] == 200
    answers = [answer(sock) for sock in socks]
    statuses = sorted(status for status, _, _ in answers)
    assert statuses == [408] * TRANSFERS + [503] * (HOLDERS - TRANSFERS)
    refused = next(text for status, text, _ in answers if status == 503)
    assert "retry-after: " in refused
    assert "connection: close" in refused
    for one in ids:
        image = call(service, stack, token, "GET", f"/v2/images/{one}")[1]
        assert image["status"] == "queued"


def all_go(service, stack, request):
    """Whether as many transfers as may go at a time go; none of them goes on."""
    begun = [dial(service, stack, request, buffer=4096) for _ in range(TRANSFERS)]
    found = [one.recv(12) == b"HTTP/1.1 200" for one in begun]
    for one in begun:
        one.close()
    return all(found)


def test_readers_that_stop_leave_threads_and_are_cut_off(service, stack, token):
    image_id = create(service, stack, token)
    whole = put(token, image_id, f"Content-Length: {SIZE}", "Connection: close")
    sock = dial(service, stack, whole)
    sock.sendall(os.urandom(1 << 20) * (SIZE >> 20))
    assert answer(sock)[0] == 204
    path = f"/v2/images/{image_id}/file"
    stalled = [
        dial(service, stack, head(token, "GET", path), buffer=4096) for _ in range(TRANSFERS)
    ]
    for one in stalled:
        assert one.recv(12) == b"HTTP/1.1 200"
    last = head(token, "GET", path, "Connection: close")
    status, text, _ = answer(dial(service, stack, last))
    assert (status, "retry-after: " in text) == (503, True)
    assert call(service, stack, token, "GET", f"/v2/images/{image_id}")[0] == 200
    until(lambda: answer(dial(service, stack, last))[0], 200)
    until(lambda: all_go(service, stack, head(token, "GET", path)), True)  # all others are cut off
    for one in stalled:
        assert len(everything(one)) < SIZE


def test_connections_that_say_nothing_hold_no_thread(service, stack, token):
    for _ in range(200):
        dial(service, stack)
    assert call(service, stack, token, "GET", "/v2/images?limit=1")[0] == 200


@pytest.mark.parametrize("start", [b"", b"GET / HTTP/1.1\r\nHost: h\r\n\r\n", b"\r\n\r\n"])
def test_heads_that_do_not_end_hold_no_thread(service, stack, token, start):
    """Also those of later requests on one connection, and those that hide behind empty lines.

    If each held one of the threads until it is cut off, the call would get no answer in time.
    """
    for _ in range(400):
        dial(service, stack, start + b"GET /v2/images HTTP/1.1\r\nHost: h\r\nX-")
    assert call(service, stack, token, "GET", "/v2/images?limit=1")[0] == 200


def test_a_head_in_pieces_is_served(service, stack, token):
    whole = head(token, "GET", "/v2/images?limit=1", "Connection: close")
    sock = dial(service, stack)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for n in range(0, len(whole), 20):
        sock.sendall(whole[n : n + 20])
    assert answer(sock)[0] == 200


def test_two_requests_in_one_piece_are_both_served(service, stack, token):
    one = head(token, "GET", "/v2/images?limit=1")
    last = head(token, "GET", "/v2/images?limit=1", "Connection: close")
    sock = dial(service, stack, one + last[:50])
    first = sock.recv(12)
    sock.sendall(last[50:])
    assert (first + everything(sock)).count(b"HTTP/1.1 200") == 2


def test_requests_that_follow_at_once_are_each_served(service, stack, token):
    """More than one thread serves in a row, from clients that are more than its threads."""
    one = head(token, "GET", "/v2/images?limit=1")
    clients = [(sock, sock.makefile("rb")) for sock in (dial(service, stack) for _ in range(40))]
    for _ in range(20):
        for sock, _ in clients:
            sock.sendall(one)
        for _, reader in clients:
            assert reader.readline().startswith(b"HTTP/1.1 200")
            lines = [line.lower() for line in iter(reader.readline, b"\r\n")]
            (length,) = (
                int(line.split(b":")[1]) for line in lines if line.startswith(b"content-length")
            )
            assert len(reader.read(length)) == length
    for _, reader in clients:
        reader.close()
