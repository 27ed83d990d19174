"""The shipped site of nginx in front of a real service: bytes, ranges, uploads, stalled readers."""

import contextlib
import hashlib
import os
import re
import socket
import subprocess
import time
from pathlib import Path

import pytest
import requests

from tests.client.conftest import free_port, started

pytestmark = pytest.mark.slow

SITE = Path(__file__).parents[2] / "etc" / "nginx" / "sites-available" / "imagesvc"
STALLED = 200
SIZE = 24 << 20  # more than the buffers of two sockets hold
THREADS = 6

NGINX = """
worker_processes 2; daemon off; pid {folder}/nginx.pid; error_log {folder}/nginx-error.log;
user root;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  {site}
}}
"""


class Front:
    """nginx before a service; `url` is where clients come."""

    def __init__(self, service, folder):
        self.service = service
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        site = SITE.read_text()
        for was, becomes in (
            ("listen 80;", f"listen 127.0.0.1:{self.port} backlog=1024;"),
            ("127.0.0.1:9292", f"127.0.0.1:{service.port}"),
            ("/var/lib/imagesvc/store/", f"{service.folder}/store/"),
        ):
            assert was in site
            site = site.replace(was, becomes)
        conf = folder / "nginx.conf"
        conf.write_text(NGINX.format(folder=folder, site=site))
        self.process = subprocess.Popen(["nginx", "-e", folder / "first.log", "-c", conf])

    def wait(self):
        """Until it answers."""
        deadline = time.monotonic() + 30
        while True:
            with contextlib.suppress(requests.ConnectionError):
                assert requests.get(f"{self.url}/healthcheck", timeout=10).status_code == 200
                return
            assert self.process.poll() is None, (self.folder / "first.log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.05)


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    """One API process with two threads for bytes."""
    folder = tmp_path_factory.mktemp("behind")
    more = f"[api]\naccel_locations = {folder}/store:/_imagesvc_bytes\n"
    with started(folder, threads=THREADS, more=more) as running:
        yield running


@pytest.fixture(scope="module")
def front(service, tmp_path_factory):
    nginx = Front(service, tmp_path_factory.mktemp("nginx"))
    try:
        nginx.wait()
        yield nginx
    finally:
        nginx.process.terminate()
        nginx.process.wait(30)


@pytest.fixture(scope="module")
def caller(service, front):
    session = requests.Session()
    token = service.openstack("token", "issue", "-f", "value", "-c", "id").strip()
    session.headers["X-Auth-Token"] = token
    return session


@pytest.fixture(scope="module")
def data():
    return os.urandom(SIZE)


@pytest.fixture(scope="module")
def file_url(front, caller, data):
    """The URL, through nginx, of an image that was uploaded through nginx."""
    body = {"name": "front", "disk_format": "raw", "container_format": "bare"}
    made = caller.post(f"{front.url}/v2/images", json=body, timeout=60)
    assert made.status_code == 201, made.text
    url = f"{front.url}/v2/images/{made.json()['id']}/file"
    octets = {"Content-Type": "application/octet-stream"}
    assert caller.put(url, data=data, headers=octets, timeout=120).status_code == 204
    return url


def head_of(caller, url):
    """What a GET with this URL sends."""
    path = re.sub(r"http://[^/]*", "", url)
    token = caller.headers["X-Auth-Token"]
    return f"GET {path} HTTP/1.1\r\nHost: h\r\nX-Auth-Token: {token}\r\n\r\n".encode()


def test_nginx_sends_the_bytes_and_the_service_says_what_they_are(caller, file_url, data):
    answer = caller.get(file_url, timeout=120)
    assert (answer.status_code, answer.content == data) == (200, True)
    assert answer.headers["Content-MD5"] == hashlib.md5(data).hexdigest()
    assert answer.headers["Content-Type"] == "application/octet-stream"
    assert answer.headers["Content-Length"] == str(SIZE)
    assert answer.headers["X-Openstack-Request-Id"].startswith("req-")
    assert "X-Accel-Redirect" not in answer.headers


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [("bytes=5-9", 5, 9), (f"bytes={SIZE - 7}-", SIZE - 7, SIZE - 1), ("bytes=-3", SIZE - 3, SIZE - 1)],
)  # fmt: skip
def test_a_range_is_that_range(caller, file_url, data, asked, first, last):
    answer = caller.get(file_url, headers={"Range": asked}, timeout=60)
    assert answer.status_code == 206
    assert answer.content == data[first : last + 1]
    assert answer.headers["Content-Range"] == f"bytes {first}-{last}/{SIZE}"


def test_conditions_are_judged_by_the_service(caller, file_url, data):
    etag = caller.head(file_url, timeout=60).headers["ETag"]
    assert caller.get(file_url, headers={"If-None-Match": etag}, timeout=60).status_code == 304
    for tag, wanted in ((etag, data[:4]), ('"another"', data)):
        answer = caller.get(
            file_url, headers={"Range": "bytes=0-3", "If-Range": tag}, timeout=120
        )  # fmt: skip
        assert answer.content == wanted
    several = caller.get(file_url, headers={"Range": "bytes=0-1,4-5"}, timeout=60)
    assert several.status_code == 400


def test_nobody_comes_to_the_bytes_without_the_service(front, caller, service, file_url):
    (stored,) = [path for path in (service.folder / "store").rglob("*") if path.is_file()]
    inner = f"{front.url}/_imagesvc_bytes/{stored.relative_to(service.folder / 'store')}"
    assert caller.get(inner, timeout=60).status_code == 404
    assert requests.get(file_url, timeout=60).status_code == 401


def test_who_says_that_he_is_nginx_reads_nothing_else(service, caller, file_url):
    """Only the place of a file that the caller may read anyway."""
    direct = file_url.replace(
        re.match(r"http://[^/]*", file_url)[0], f"http://127.0.0.1:{service.port}"
    )
    claim = {"X-Sendfile-Type": "X-Accel-Redirect"}
    answer = caller.get(direct, headers=claim, timeout=60)
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["X-Accel-Redirect"].startswith("/_imagesvc_bytes/")
    assert requests.get(direct, headers=claim, timeout=60).status_code == 401


def test_stalled_readers_hold_no_thread(front, caller, file_url, data):
    with contextlib.ExitStack() as stack:
        for _ in range(STALLED):
            sock = stack.enter_context(socket.socket())
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sock.settimeout(60)
            sock.connect(("127.0.0.1", front.port))
            sock.sendall(head_of(caller, file_url))
            assert sock.recv(16).startswith(b"HTTP/1.1 200"), "one more than threads was refused"
        took = []
        for _ in range(40):
            begun = time.monotonic()
            assert requests.get(f"{front.url}/healthcheck", timeout=20).status_code == 200
            took.append(time.monotonic() - begun)
        answer = caller.get(file_url, timeout=120)
        assert (answer.status_code, answer.content == data) == (200, True)
    print(f"healthcheck beside {STALLED} stalled readers: {sorted(took)[-2] * 1000:.0f} ms at most")


def test_an_upload_reaches_the_service_while_it_goes_on(front, caller, service):
    """Not kept by nginx first: the service has bytes before the last one was sent."""
    body = {"name": "streamed", "disk_format": "raw", "container_format": "bare"}
    image_id = caller.post(f"{front.url}/v2/images", json=body, timeout=60).json()["id"]
    url = f"{front.url}/v2/images/{image_id}"
    seen = []

    def pieces():
        yield bytes(8 << 20)
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and "saving" not in seen:
            seen.append(requests.get(url, headers=caller.headers, timeout=20).json()["status"])
            time.sleep(0.05)
        yield b"end"

    octets = {"Content-Type": "application/octet-stream"}
    assert caller.put(f"{url}/file", data=pieces(), headers=octets, timeout=120).status_code == 204
    assert "saving" in seen
    assert caller.get(url, timeout=60).json()["size"] == (8 << 20) + 3
