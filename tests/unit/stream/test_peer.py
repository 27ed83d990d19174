"""What another region, or something before it, answers: whether it is what was asked for."""

import contextlib
import io
import json
import threading
import wsgiref.simple_server

import pytest

from imagesvc import errors
from imagesvc.stream.peer import Peer
from imagesvc.stream.peer_option import PeerOptions

PAGE = ("200 OK", [("Content-Type", "text/html")], b"<html>Back soon.</html>")


class Quiet(wsgiref.simple_server.WSGIRequestHandler):
    """Writes no log."""

    def log_message(self, *args):
        """Nothing."""


@pytest.fixture
def ask():
    """A session with a peer that signs everybody in, and answers all else alike."""
    with contextlib.ExitStack() as stack:

        def go(status, headers, body):
            def app(environ, start):
                environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
                if environ["PATH_INFO"].endswith("/auth/tokens"):
                    start("201 Created", [("X-Subject-Token", "t")])
                    return [b"{}"]
                start(status, headers)
                return [body]

            server = wsgiref.simple_server.make_server("127.0.0.1", 0, app, handler_class=Quiet)
            stack.callback(server.server_close)
            stack.callback(server.shutdown)
            threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
            url = f"http://127.0.0.1:{server.server_port}"
            facts = dict.fromkeys(PeerOptions.__slots__, "")
            facts |= {
                "name": "West", "endpoint": url, "auth_url": f"{url}/v3", "ca_file": None,
                "connect_timeout_s": 2.0, "timeout_s": 2.0,
            }  # fmt: skip
            return stack.enter_context(Peer(PeerOptions(**facts)).session())

        yield go


@pytest.mark.parametrize(
    "call",
    [
        lambda session: session.get_image("t"),
        lambda session: session.put_image("t", {}),
        lambda session: session.delete_image("t"),
        lambda session: session.offset("u"),
        lambda session: session.send("u", 0, io.BytesIO(b"abc"), 3, lambda done: None),
    ],
)
def test_a_page_of_something_before_the_region_is_no_answer_and_may_pass(ask, call):
    with pytest.raises(errors.RegionAway) as caught:
        call(ask(*PAGE))
    assert caught.value.text.startswith("Region West does not ")


DISK = {
    "index": 0, "role": "system", "disk_format": "raw", "size_bytes": 1, "upload_id": "u",
    "stored_bytes": None, "hash_algorithm": None, "hash_value": None,
}  # fmt: skip
IMAGE = {
    "image_id": "i", "project_id": "p", "status": "killed", "cause": None, "has_namesake": False,
    "disks": [DISK],
}  # fmt: skip


def saying(ask, image):
    """A session with a peer that says this of every image."""
    body = json.dumps({"region_image": image}).encode()
    return ask("200 OK", [("Content-Type", "application/json")], body)


@pytest.mark.parametrize(
    "wrong",
    [{"image_id": "../other"}, {"image_id": 7}, {"image_id": "i\x1b[2J"}, {"project_id": ""},
     {"status": ["active"]}, {"status": {}}, {"cause": 1}, {"has_namesake": "no"}, {"disks": {}},
     {"disks": [None]}, {"disks": [{"index": 0}]}, {"disks": [{**DISK, "upload_id": "u/../v"}]},
     {"disks": [{**DISK, "upload_id": None}]}, {"disks": [{**DISK, "index": True}]},
     {"disks": [{**DISK, "stored_bytes": -1}]}, {"disks": [{**DISK, "hash_value": [1]}]},
     {"disks": [DISK] * 65}],
)  # fmt: skip
def test_an_image_of_which_a_fact_is_nonsense_is_no_answer(ask, wrong):
    assert saying(ask, IMAGE).get_image("t") == IMAGE
    with pytest.raises(errors.RegionAway, match="does not answer as this service does"):
        saying(ask, {**IMAGE, **wrong}).get_image("t")
    for name in IMAGE:
        less = {key: value for key, value in IMAGE.items() if key != name}
        with pytest.raises(errors.RegionAway):
            saying(ask, less).get_image("t")


def test_a_cause_is_one_line_that_steers_no_terminal(ask):
    found = saying(ask, {**IMAGE, "cause": "\x1b[2Jgone\n" + "x" * 1000}).get_image("t")
    assert found["cause"].startswith(" [2Jgone x")
    assert len(found["cause"]) == 500


@pytest.mark.parametrize("said", ["-1", "1e3", "", "0x1", "9" * 5000])
def test_an_offset_that_is_no_number_is_no_answer(ask, said):
    session = ask("200 OK", [("Upload-Offset", said)], b"")
    with pytest.raises(errors.RegionAway, match="where the upload stands"):
        session.offset("u")


@pytest.mark.parametrize("stands", ["0", "4", "2", "9"])
def test_an_upload_that_stands_where_it_stood_or_beyond_is_told(ask, stands):
    session = ask("204 No Content", [("Upload-Offset", stands)], b"")

    def send():
        return session.send("u", 4, io.BytesIO(b"abcd"), 4, lambda done: None)

    with pytest.raises(errors.RegionAway, match="does not get on"):
        send()


def test_an_upload_that_got_further_goes_on_from_there(ask):
    session = ask("204 No Content", [("Upload-Offset", "6")], b"")
    assert session.send("u", 4, io.BytesIO(b"abcd"), 4, lambda done: None) == 6
