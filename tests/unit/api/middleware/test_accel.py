"""Which answers are left to nginx."""

import falcon
import falcon.testing
import pytest

from imagesvc import errors
from imagesvc.api.middleware import accel

ASKED = {"X-Sendfile-Type": "X-Accel-Redirect"}


class File:
    """Answers with an open file."""

    def __init__(self, path):
        self.path = path
        self.delete = False

    def on_get(self, req, resp):
        resp.stream = self.path.open("rb", buffering=0)
        resp.content_length = self.path.stat().st_size
        if self.delete:
            self.path.unlink()


@pytest.fixture
def store(tmp_path):
    folder = tmp_path / "store"
    folder.mkdir()
    return folder


@pytest.fixture
def file(store):
    path = store / "a+b c"
    path.write_bytes(b"bytes")
    return File(path)


@pytest.fixture
def client(store, file):
    app = falcon.App(middleware=[accel.Accel({str(store): "/_bytes"})])
    app.add_route("/", file)
    return falcon.testing.TestClient(app)


def test_a_stored_file_is_named_as_a_url_path(client):
    answer = client.simulate_get("/", headers=ASKED)
    assert (answer.content, answer.headers["x-accel-redirect"]) == (b"", "/_bytes/a%2Bb%20c")


@pytest.mark.parametrize("header", ["If-Range", "If-Match", "If-Unmodified-Since", "Content-Range"])
def test_what_nginx_would_judge_otherwise_is_sent_from_here(client, header):
    assert client.simulate_get("/", headers={**ASKED, header: "x"}).content == b"bytes"


def test_nobody_is_redirected_who_did_not_come_through_nginx(client):
    answer = client.simulate_get("/")
    assert answer.content == b"bytes"
    assert "x-accel-redirect" not in answer.headers


def test_a_file_that_was_deleted_while_it_was_opened_is_sent_from_here(client, file):
    file.delete = True
    assert client.simulate_get("/", headers=ASKED).content == b"bytes"


def test_a_file_elsewhere_is_sent_from_here(client, file, tmp_path):
    file.path = tmp_path / "storehouse"
    file.path.write_bytes(b"other")
    assert client.simulate_get("/", headers=ASKED).content == b"other"


def test_a_location_that_nginx_cannot_have_is_refused():
    with pytest.raises(errors.ConfigurationError, match="begins with"):
        accel.Accel({"/store": "_bytes"})
