"""Raw requests that two servers might read in two ways are refused; so are forged headers."""

import socket

import pytest

pytestmark = pytest.mark.slow

HEAD = b"GET /v2/images HTTP/1.1\r\nHost: h\r\n"
POST = b"POST /v3/auth/tokens HTTP/1.1\r\nHost: h\r\n"


def status(service, request):
    """The status of the one answer; 0 if the connection was closed without one."""
    with socket.create_connection(("127.0.0.1", service.port), timeout=10) as connection:
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
    assert answer.count(b"HTTP/1.1 ") <= 1, answer
    return int(answer.split()[1]) if answer else 0


@pytest.mark.parametrize(
    "request_",
    [
        POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + HEAD + b"\r\n",
        POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
        POST + b"Content-Length: +5\r\n\r\nhello",
        POST + b"Content-Length: -1\r\n\r\n",
        POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        POST + b"Content-Length : 5\r\n\r\nhello",
        b"GET /v2/images HTTP/1.1\nHost: h\n\n",
        b"GET /" + b"a" * 5000 + b" HTTP/1.1\r\nHost: h\r\n\r\n",
        HEAD + b"X: " + b"a" * 9000 + b"\r\n\r\n",
        HEAD + b"".join(b"X-%d: 1\r\n" % number for number in range(200)) + b"\r\n",
    ],
)
def test_ambiguous_and_oversize_requests_are_refused(running_service, request_):
    found = status(running_service, request_)
    assert found == 0 or 400 <= found < 600


def test_a_header_with_an_underscore_is_no_twin_of_the_dashed_one(running_service):
    token = running_service.openstack("token", "issue", "-f", "value", "-c", "id").strip()
    good = HEAD + b"X-Auth-Token: " + token.encode() + b"\r\nConnection: close\r\n\r\n"
    assert status(running_service, good) == 200
    assert status(running_service, good.replace(b"X-Auth-Token", b"X_Auth_Token")) == 401


def test_forged_identity_headers_change_nothing(running_service):
    forged = b"X-Roles: admin\r\nX-Identity-Status: Confirmed\r\nX-Project-Id: p\r\n"
    assert status(running_service, HEAD + forged + b"Connection: close\r\n\r\n") == 401
