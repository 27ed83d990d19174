"""What the client makes of answers; a scripted server stands in for the service."""

import http.server
import json
import threading

import pytest

from imagesvc.shell import client, cloud


class Handler(http.server.BaseHTTPRequestHandler):
    """Signs anyone in, then answers as the server's script says."""

    def do_POST(self):
        """Sign in, or take a body."""
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.seen.append((self.path, dict(self.headers)))
        if self.path == "/v3/auth/tokens":
            url = f"http://127.0.0.1:{self.server.server_port}/v2"
            endpoint = {"interface": "public", "region_id": "R", "url": url}
            catalog = [{"type": "image", "endpoints": [endpoint]}]
            self._answer(201, {"token": {"catalog": catalog}}, {"X-Subject-Token": "t0"})
        else:
            self._answer(*self.server.script.pop(0))

    def do_GET(self):
        """Answer from the script."""
        self.server.seen.append((self.path, dict(self.headers)))
        self._answer(*self.server.script.pop(0))

    def _answer(self, status, body, headers=None):
        data = json.dumps(body).encode()
        self.send_response(status)
        kinds = {"Content-Type": "application/json", "Content-Length": str(len(data))}
        for name, value in {**kinds, **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args):
        """Stay silent."""


@pytest.fixture
def server():
    """The scripted server."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as made:
        made.script, made.seen = [], []
        thread = threading.Thread(target=made.serve_forever)
        thread.start()
        yield made
        made.shutdown()
        thread.join()


@pytest.fixture
def caller(server):
    """A client of it."""
    url = f"http://127.0.0.1:{server.server_port}/v3"
    made = client.Client(
        cloud.Cloud("c", url, "u", "p", {"id": "default"}, {"name": "p"}, "R", "public", True)
    )
    yield made
    made.close()


def test_requests_go_below_the_image_endpoint_with_the_token(server, caller):
    server.script.append((200, {"job": {"id": "1"}}))
    assert caller.get("/jobs/1") == {"job": {"id": "1"}}
    path, headers = server.seen[-1]
    assert path == "/imagesvc/v1/jobs/1"
    assert headers["X-Auth-Token"] == "t0"


def test_an_error_is_the_servers_sentence_and_its_request_id(server, caller):
    error = {"code": 404, "reason": "x", "message": "No job 1 was found.", "request_id": "req-7"}
    server.script.append((404, {"error": error}))
    with pytest.raises(cloud.ShellError, match=r"^No job 1 was found\. \(HTTP 404, req-7\)$"):
        caller.get("/jobs/1")


def test_a_list_is_read_over_its_pages_up_to_the_limit(server, caller):
    server.script += [
        (200, {"jobs": [1, 2], "next": "2"}),
        (200, {"jobs": [3], "next": "3"}),
    ]
    assert caller.items("/jobs", "jobs", 3) == [1, 2, 3]
    assert server.seen[-1][0] == "/imagesvc/v1/jobs?marker=2&limit=1"


def test_a_name_that_two_servers_have_is_refused(server, caller):
    two = [{"id": "1", "name": "a"}, {"id": "2", "name": "a"}]
    server.script += [(200, {"servers": two, "next": None})] * 2
    with pytest.raises(cloud.ShellError, match="Several servers are called a"):
        caller.find_server("a")
    assert caller.find_server("2") == "2"


def test_a_submission_carries_a_key_of_its_own(server, caller):
    server.script += [(202, {}), (202, {})]
    caller.post("/servers", {}, idempotent=True)
    caller.post("/servers", {}, idempotent=True)
    first, second = (headers["Idempotency-Key"] for _, headers in server.seen[-2:])
    assert first != second


def test_a_server_that_is_not_there_is_one_sentence():
    gone = cloud.Cloud("c", "http://127.0.0.1:9", "u", "p", {}, {}, None, "public", True)
    with pytest.raises(cloud.ShellError, match="does not answer: no connection"):
        client.Client(gone).get("/jobs")
