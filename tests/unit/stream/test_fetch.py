"""The one fetch against servers that misbehave; all are real and on this machine."""

import gzip
import ipaddress
import itertools
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from imagesvc import errors, opts
from imagesvc.stream import fetch, fetch_address, fetch_rule, fetch_url
from imagesvc.worker import failure
from tests import web_server
from tests.web_server import answer, serving

BODY = bytes(range(256)) * 4096
LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"),)
COULD_NOT = "The service could not fetch the URL."


def rules(*ports: int, **changes: object) -> fetch_rule.FetchRules:
    """Rules for servers on this machine."""
    made = fetch_rule.FetchRules(
        allowed_ports=frozenset(ports),
        allowed_networks=LOOPBACK,
        answer_timeout_s=10.0,
        idle_timeout_s=10.0,
        total_timeout_s=20.0,
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def read(url: str, rules: fetch_rule.FetchRules, **options: object) -> bytes:
    with fetch.open_url(url, rules, **options) as body:  # type: ignore[arg-type]
        return b"".join(iter(lambda: body.read(100_000), b""))


def says(data: bytes) -> Callable[[bytes, socket.socket], None]:
    return lambda head, connection: connection.sendall(data)


def refusal(url: str, rules: fetch_rule.FetchRules, **options: object) -> errors.FetchFailed:
    """The failure of a fetch with little patience."""
    rules = replace(rules, answer_timeout_s=0.4, idle_timeout_s=0.4)
    with pytest.raises(errors.FetchFailed) as caught:
        read(url, rules, **options)
    assert caught.value.text == COULD_NOT
    return caught.value


@pytest.mark.parametrize("length", [-1, None])
def test_a_body_arrives_whole(length: int | None) -> None:
    with (
        serving(says(answer(BODY, "Content-Type: x/y", length=length))) as server,
        fetch.open_url(server.url(), rules(server.port)) as body,
    ):
        assert (body.size, body.content_type) == (len(BODY) if length else None, "x/y")
        assert b"".join(iter(lambda: body.read(1000), b"")) == BODY
        assert body.read(1) == b""


def test_a_chunked_body_arrives_whole() -> None:
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(c), c) for c in (BODY, b"x", BODY)) + b"0\r\n\r\n"
    data = answer(b"", "Transfer-Encoding: chunked", length=None) + chunks
    with serving(says(data)) as server:
        assert read(server.url(), rules(server.port)) == BODY + b"x" + BODY


def test_the_request_carries_no_credentials(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login secret password secret\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with serving(says(answer(b"x"))) as server:
        assert read(server.url("/p?q=1"), rules(server.port)) == b"x"
        lines = server.requests[0].decode().split("\r\n")
    assert lines[0] == "GET /p?q=1 HTTP/1.1"
    names = {line.partition(":")[0].lower() for line in lines[1:] if line}
    assert names == {"host", "user-agent", "accept", "accept-encoding", "connection"}
    assert "Accept-Encoding: identity" in lines


def test_headers_do_not_follow_to_another_host() -> None:
    with serving(says(answer(b"x"))) as second:
        there = answer(b"", f"Location: {second.url()}", status="302 Found")

        def script(head: bytes, connection: socket.socket) -> None:
            same = answer(b"", "Location: /again", status="301 Moved")
            connection.sendall(there if b"/again" in head else same)

        with serving(script) as first:
            allowed = rules(first.port, second.port)
            assert read(first.url(), allowed, headers={"X-Secret": "s"}) == b"x"
            assert [b"X-Secret: s" in head for head in first.requests] == [True, True]
            assert b"Secret" not in second.requests[0]


@pytest.mark.parametrize(
    "location",
    [
        "http://127.0.0.1:{other}/", "http://10.255.255.1:{port}/", "file:///etc/passwd",
        "http://[::1]:{port}/", "http://localhost.:{other}/", "http://2130706433:{port}/",
        "//127.0.0.2:{other}/", "ftp://127.0.0.1:{port}/", "http://user@127.0.0.1:{port}/", "",
        "/a\tb", "gopher://127.0.0.1:{port}/",
    ],
)  # fmt: skip
def test_a_redirect_is_judged_before_it_is_followed(location: str) -> None:
    with serving(says(answer(b"secret"))) as inner:
        target = location.format(port="{port}", other=inner.port)

        def script(head: bytes, connection: socket.socket) -> None:
            port = connection.getsockname()[1]
            where = target.format(port=port)
            connection.sendall(answer(b"", f"Location: {where}", status="302 Found"))

        with serving(script) as server:
            refusal(server.url(), rules(server.port))
            assert len(server.requests) == 1
        assert inner.requests == []


@pytest.mark.parametrize(("redirects", "arrives"), [(5, True), (6, False)])
def test_five_redirects_are_followed(redirects: int, arrives: bool) -> None:
    count = itertools.count()

    def script(head: bytes, connection: socket.socket) -> None:
        more = next(count) < redirects
        connection.sendall(
            answer(b"", "Location: /next", status="307 Go") if more else answer(b"there")
        )

    with serving(script) as server:
        if arrives:
            assert read(server.url(), rules(server.port)) == b"there"
        else:
            refusal(server.url(), rules(server.port))


def test_a_name_is_resolved_once_and_connected_to_where_it_was_judged() -> None:
    answers = itertools.chain([["127.0.0.1"]], itertools.repeat(["10.0.0.1"]))
    with serving(says(answer(b"good"))) as server:
        url = server.url(host="rebind.example")
        assert read(url, rules(server.port, resolve=lambda host, port: next(answers))) == b"good"
        assert f"Host: rebind.example:{server.port}".encode() in server.requests[0]


@pytest.mark.parametrize("addresses", [["127.0.0.1", "10.0.0.1"], ["::1"], [], ["fe80::1%eth0"]])
def test_every_address_of_a_name_must_be_allowed(addresses: list[str]) -> None:
    with serving(says(answer(b"good"))) as server:
        allowed = rules(server.port, resolve=lambda host, port: addresses)
        refusal(server.url(host="mixed.example"), allowed)
        assert server.requests == []


def test_each_redirect_resolves_anew_and_is_judged_anew() -> None:
    answers = iter([["127.0.0.1"], ["169.254.169.254"]])
    with serving(says(answer(b"", "Location: /next", status="302 Found"))) as server:
        allowed = rules(server.port, resolve=lambda host, port: next(answers))
        assert "169.254.169.254" in refusal(server.url(host="a.example"), allowed).operator_message
        assert len(server.requests) == 1


def test_an_allowed_host_may_have_an_inner_address_and_no_other_name_may() -> None:
    with serving(says(answer(b"mirror"))) as server:
        allowed = rules(
            server.port,
            allowed_networks=(),
            allowed_hosts=frozenset({"mirror.example"}),
            resolve=lambda host, port: ["127.0.0.1"],
        )
        assert read(server.url(host="Mirror.example"), allowed) == b"mirror"
        refusal(server.url(host="other.example"), allowed)
        denied = replace(allowed, denied_networks=LOOPBACK)
        refusal(server.url(host="mirror.example"), denied)
        assert len(server.requests) == 1


@pytest.mark.parametrize("host", ["127.0.0.1", "inner.example"])
def test_a_url_of_the_operators_is_read_where_users_may_not_and_leads_nowhere(host: str) -> None:
    users = rules(80, allowed_networks=(), resolve=lambda host, port: ["127.0.0.1"])
    both = [answer(b"inner"), answer(b"", "Location: /next", status="302 Found")]
    with serving(
        lambda head, connection: connection.sendall(both[len(server.requests) - 1])
    ) as server:
        url = server.url(host=host)
        own = users.trusting(fetch_url.parse(url))
        assert read(url, own) == b"inner"
        assert "too many redirects" in refusal(url, own).operator_message
        for other in (server.url(host="127.0.0.2"), f"http://{host}:1/", f"https://{host}/"):
            with pytest.raises((errors.FetchFailed, errors.InvalidRequest)):
                read(other, replace(own, answer_timeout_s=0.1))
        with pytest.raises((errors.FetchFailed, errors.InvalidRequest)):
            read(url, replace(own, denied_networks=LOOPBACK, answer_timeout_s=0.1))
        assert len(server.requests) == 2


def test_the_certificate_is_the_names_though_an_address_is_connected_to(tmp_path: Path) -> None:
    ca_file, context = web_server.certify(tmp_path, "mirror.example", "127.0.0.1")
    with serving(says(answer(BODY)), context) as server:
        allowed = rules(
            server.port, ca_file=str(ca_file),
            resolve=lambda host, port: ["127.0.0.1"],
        )  # fmt: skip
        assert read(server.url(host="mirror.example"), allowed) == BODY
        assert read(server.url(), allowed) == BODY
        refusal(server.url(host="b.example"), allowed)
        refusal(server.url(host="mirror.example"), replace(allowed, ca_file=None))
        assert len(server.requests) == 2


def test_https_does_not_lead_back_to_http(tmp_path: Path) -> None:
    ca_file, context = web_server.certify(tmp_path, "127.0.0.1")
    with serving(says(answer(b"x"))) as plain:
        there = answer(b"", f"Location: {plain.url()}", status="302 Found")
        with serving(says(there), context) as server:
            refusal(server.url(), rules(server.port, plain.port, ca_file=str(ca_file)))
        assert plain.requests == []


def drip(data: bytes, step: int, pause_s: float) -> Callable[[bytes, socket.socket], None]:
    def script(head: bytes, connection: socket.socket) -> None:
        stop = threading.Event()
        for at in range(0, len(data), step):
            connection.sendall(data[at : at + step])
            stop.wait(pause_s)

    return script


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 50,
        answer(BODY),
        answer(b"", "Transfer-Encoding: chunked", length=None) + b"0" * 5000,
        b"HTTP/1.1 100 Continue\r\n\r\n" * 90,
    ],
    ids=["head", "body", "chunk-size", "continue"],
)
def test_a_server_that_drips_is_left(data: bytes) -> None:
    with serving(drip(data, 2, 0.02)) as server:
        begun = time.monotonic()
        refusal(server.url(), rules(server.port))
        assert time.monotonic() - begun < 5


def test_a_body_without_end_stops_at_the_cap() -> None:
    def endless(head: bytes, connection: socket.socket) -> None:
        connection.sendall(answer(b"", length=None))
        while True:
            connection.sendall(BODY)

    with serving(endless) as server, pytest.raises(errors.TooLarge):
        read(server.url(), rules(server.port, max_bytes=3_000_000))


def test_a_length_above_the_cap_is_refused_before_a_byte_is_read() -> None:
    with (
        serving(says(answer(b"", length=1 << 50))) as server,
        pytest.raises(errors.TooLarge),
        fetch.open_url(server.url(), rules(server.port)),
    ):
        pass


def test_the_whole_time_ends_a_body_that_keeps_coming() -> None:
    with serving(drip(answer(BODY), 4000, 0.05)) as server:
        begun = time.monotonic()
        refusal(server.url(), rules(server.port, total_timeout_s=1.0, min_rate_bytes=0))
        assert time.monotonic() - begun < 8  # the whole takes thirteen


@pytest.mark.parametrize(
    "data",
    [
        answer(BODY[:100], length=200),
        answer(b"", "Transfer-Encoding: chunked", length=None) + b"64\r\nabc",
        answer(b"", "Transfer-Encoding: chunked", length=None) + b"3\r\nabc\r\n",
        answer(gzip.compress(BODY, mtime=0), "Content-Encoding: gzip"),
        answer(b"x", "Content-Length: 7"),
        answer(b"x", "Transfer-Encoding: chunked"),
        answer(b"x", "Transfer-Encoding: gzip, chunked", length=None),
        answer(b"x", "Content-Length: +1", length=None),
        answer(b"x", "Content-Length: -1", length=None),
        answer(b"x", status="404 Not Found"),
        answer(b"x", status="206 Partial"),
        answer(b"", status="204 Nothing"),
        answer(b"", status="304 Same"),
        answer(b"x", status="500 Broken"),
        answer(b"", status="302 Found"),
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 1000 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000 + b"\r\n\r\n",
    ],
)
def test_an_answer_that_is_not_the_whole_plain_thing_is_a_failure(data: bytes) -> None:
    with serving(says(data)) as server:
        refusal(server.url(), rules(server.port))


def test_more_than_the_announced_length_is_not_read() -> None:
    with serving(says(answer(b"abcdef", length=3))) as server:
        assert read(server.url(), rules(server.port)) == b"abc"


def ranged(
    body: bytes, breaks: int, etag: str, lies: Mapping[str, str] | None = None
) -> Callable[[bytes, socket.socket], None]:
    """A server that cuts its first answers short and knows ranges."""
    seen = itertools.count()
    lies = lies or {}

    def script(head: bytes, connection: socket.socket) -> None:
        found = re.search(rb"Range: bytes=(\d+)-", head)
        begin = int(found[1]) if found else 0
        part = body[begin:]
        headers = [f"ETag: {lies.get('etag', etag) if begin else etag}"]
        if begin:
            span = f"bytes {begin}-{len(body) - 1}/{len(body)}"
            headers.append(f"Content-Range: {lies.get('span', span)}")
        status = lies.get("status", "206 Part") if begin else "200 OK"
        sent = part[: len(part) // 2] if next(seen) < breaks else part
        connection.sendall(answer(sent, *headers, status=status, length=len(part)))

    return script


def test_a_broken_body_goes_on_in_the_same_bytes() -> None:
    with serving(ranged(BODY, 3, '"v1"')) as server:
        assert read(server.url(), rules(server.port)) == BODY
        assert len(server.requests) == 4
        assert b'If-Range: "v1"' in server.requests[1]


@pytest.mark.parametrize(
    ("breaks", "etag", "lies", "asked"),
    [
        (4, '"v1"', {}, 4),
        (1, 'W/"v1"', {}, 1),
        (1, "v1", {}, 1),
        (1, '"v1"', {"etag": '"v2"'}, 2),
        (1, '"v1"', {"status": "200 OK"}, 2),
        (1, '"v1"', {"span": "bytes 0-9/10"}, 2),
        (1, '"v1"', {"span": ""}, 2),
    ],
)
def test_other_bytes_are_never_put_together(
    breaks: int, etag: str, lies: Mapping[str, str], asked: int
) -> None:
    with serving(ranged(BODY, breaks, etag, lies)) as server:
        refusal(server.url(), rules(server.port))
        assert len(server.requests) == asked


def test_a_fetch_may_begin_where_an_earlier_one_ended() -> None:
    with serving(ranged(BODY, 0, '"v1"')) as server:
        options = {"offset": 1000, "headers": {"If-Range": '"v1"'}}
        assert read(server.url(), rules(server.port), **options) == BODY[1000:]
        options["headers"] = {"If-Range": '"v0"'}
        refusal(server.url(), rules(server.port), **options)
    with pytest.raises(ValueError, match="strong ETag"):
        read("http://example.org/", rules(80), offset=1)


def begun(server: web_server.WebServer, begin: int) -> tuple[int, bytes]:
    """Where a fetch that asks for a part begins, and what comes."""
    with fetch.open_url(server.url(), rules(server.port), begin=begin) as body:
        return body.at, b"".join(iter(lambda: body.read(1000), b""))


@pytest.mark.parametrize("breaks", [0, 1])
def test_a_part_may_be_asked_for_of_whatever_is_there(breaks: int) -> None:
    with serving(ranged(BODY, breaks, '"v1"')) as server:
        assert begun(server, 1000) == (1000, BODY[1000:])
        assert b"If-Range" not in server.requests[0]


def test_a_server_that_knows_no_parts_is_read_from_its_start() -> None:
    with serving(lambda head, connection: connection.sendall(answer(BODY))) as server:
        assert begun(server, 1000) == (0, BODY)


@pytest.mark.parametrize("span", ["bytes 0-9/10", "", "bytes 1001-9999/10000"])
def test_another_part_than_was_asked_for_is_a_failure(span: str) -> None:
    with serving(ranged(BODY, 0, '"v1"', {"span": span})) as server:
        refusal(server.url(), rules(server.port), begin=1000)


@pytest.fixture
def silent() -> Iterator[int]:
    """A port that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def test_open_closed_silent_and_refused_hosts_look_alike(silent: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        closed = listener.getsockname()[1]
    with serving(says(b"SSH-2.0-x\r\n")) as ssh, serving(says(answer(status="404 No"))) as web:
        allowed = rules(closed, silent, ssh.port, web.port, resolve=lambda host, port: ["10.0.0.1"])
        seen = set()
        for url in (
            f"http://127.0.0.1:{closed}/",
            f"http://127.0.0.1:{silent}/",
            ssh.url(),
            web.url(),
            web.url(host="inner.example"),
        ):
            begun = time.monotonic()
            failed = refusal(url, allowed)
            took_s = time.monotonic() - begun
            assert took_s >= 0.4
            cause = failure.of(failed)
            seen.add((cause.code, cause.text, cause.retryable))
            assert failed.operator_message not in cause.text
        assert seen == {("failed", COULD_NOT, False)}


def test_the_path_of_a_url_is_in_no_message() -> None:
    with serving(says(answer(status="403 No"))) as server:
        failed = refusal(server.url("/secret?Signature=secret"), rules(server.port))
    assert "secret" not in failed.operator_message


def test_the_rules_come_from_the_configuration(tmp_path: Path) -> None:
    path = tmp_path / "imagesvc.conf"
    path.write_text(
        "[fetch]\nallowed_ports = 80,8080\nallowed_hosts = Mirror.Example.\n"
        "allowed_networks = 10.0.0.0/8\ndenied_networks = 10.1.0.0/16,2600::/16\n"
    )
    made = fetch_rule.from_conf(opts.load(path))
    fetch.check_url("http://10.0.0.1:8080/", made)
    for url in ("http://10.1.0.1/", "http://[2600::1]/", "http://10.0.0.1:443/"):
        with pytest.raises(errors.InvalidRequest):
            fetch.check_url(url, made)
    assert made.allowed_hosts == {"mirror.example"}


@pytest.mark.parametrize(
    "line", ["allowed_schemes = ftp", "allowed_ports = http", "denied_networks = 10.0.0.1/8"]
)
def test_a_rule_that_is_none_is_a_fault_of_the_configuration(tmp_path: Path, line: str) -> None:
    path = tmp_path / "imagesvc.conf"
    path.write_text(f"[fetch]\n{line}\n")
    with pytest.raises(errors.ConfigurationError, match=r"\[fetch\]"):
        fetch_rule.from_conf(opts.load(path))


@pytest.fixture
def hanging() -> Iterator[Callable[[str, int], list[str]]]:
    """A resolver that does not answer before the test is over."""
    over = threading.Event()

    def resolve(host: str, port: int) -> list[str]:
        over.wait(60)
        return ["127.0.0.1"]

    yield resolve
    over.set()


def test_a_name_that_nobody_answers_for_ends_with_the_time_for_an_answer(
    hanging: Callable[[str, int], list[str]],
) -> None:
    with serving(says(answer(b"good"))) as server:
        allowed = rules(server.port, resolve=hanging)
        failed = refusal(server.url(host="silent.example"), allowed)
        assert "silent.example" in failed.operator_message
        assert server.requests == []


def test_names_that_nobody_answers_for_hold_a_bounded_number_of_threads(
    hanging: Callable[[str, int], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch_address, "_LOOKUPS", threading.BoundedSemaphore(2))
    allowed = rules(80, resolve=hanging)
    before = set(threading.enumerate())
    for n in range(4):
        failed = refusal(f"http://silent{n}.example/", allowed)
    assert len(set(threading.enumerate()) - before) == 2
    assert "too many names" in failed.operator_message
