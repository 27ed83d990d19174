"""The hardened JSON decoder."""

import io

import falcon.testing
import pytest

from imagesvc import errors
from imagesvc.api import media
from imagesvc.errors import Reason

HOSTILE = [
    b"",
    b"  ",
    b"{",
    b"{} {}",
    b"\xff",
    b"\xef\xbb\xbf{}",
    b'{"a": NaN}',
    b'{"a": Infinity}',
    b'{"a": -Infinity}',
    b'{"a": 1e999}',
    b'{"a": 1, "a": 2}',
    b'{"b": {"a": 1, "\\u0061": 2}}',
    b'{"a": "\\ud800"}',
    b'{"\\udfff": "a"}',
    b'{"a": "\\u0000"}',
    b'{"\\u0000": "a"}',
    b'["\\u0000"]',
    b'{"a": 9223372036854775808}',
    b'{"a": -9223372036854775809}',
    b'{"a": ' + b"9" * 5000 + b"}",
    b"[" * 33 + b"]" * 33,
    b"[" * 100_000,
    b'{"a":' * 20_000,
]


@pytest.mark.parametrize("body", HOSTILE, ids=lambda body: repr(body[:24]))
def test_hostile_json_is_a_malformed_request(body):
    with pytest.raises(errors.InvalidRequest) as caught:
        media.decode(body)
    assert caught.value.reason is Reason.MALFORMED


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b"[" * 32 + b"]" * 32, None),
        (b'{"a": "[[[[{{{{\\"[[["}', {"a": '[[[[{{{{"[[['}),
        (b'{"a": "\\ud83d\\ude00"}', {"a": "\U0001f600"}),
        ('{"a": "\U0001f600é"}'.encode(), {"a": "\U0001f600é"}),
        (b'{"a": 9223372036854775807}', {"a": 2**63 - 1}),
        (b'{"a": -9223372036854775808}', {"a": -(2**63)}),
        (b"[1.5, true, null]", [1.5, True, None]),
    ],
)
def test_honest_json_is_decoded(body, value):
    found = media.decode(body)
    assert value is None or found == value


def test_a_body_over_the_limit_is_too_large():
    media.read(media.BodyReader(io.BytesIO(b"x" * 10)), 10)
    with pytest.raises(errors.TooLarge) as caught:
        media.read(media.BodyReader(io.BytesIO(b"x" * 11)), 10)
    assert caught.value.reason is Reason.BODY_TOO_LARGE


def test_a_broken_body_means_that_the_client_is_gone():
    class Broken(io.RawIOBase):
        def read(self, size=-1):
            raise ConnectionResetError

    with pytest.raises(errors.InvalidRequest) as caught:
        media.BodyReader(Broken()).read(1)
    assert caught.value.reason is Reason.CLIENT_GONE


def test_a_chunked_body_is_read_when_the_server_ends_it():
    environ = falcon.testing.create_environ(method="PUT", body="abc")
    del environ["CONTENT_LENGTH"]
    assert media.body(media.Request(environ)).read(10) == b""
    environ["wsgi.input_terminated"] = True
    assert media.body(media.Request(environ)).read(10) == b"abc"


@pytest.mark.parametrize("kind", ["text/plain", "application/octet-stream", "application/xml"])
def test_another_media_type_is_refused(kind):
    req = falcon.testing.create_req(method="POST", body="{}", headers={"Content-Type": kind})
    with pytest.raises(errors.InvalidRequest) as caught:
        media.load(req)
    assert caught.value.reason is Reason.MEDIA_TYPE


@pytest.mark.parametrize("kind", ["application/json", "Application/JSON; charset=utf-8"])
def test_json_is_taken(kind):
    req = falcon.testing.create_req(method="POST", body="{}", headers={"Content-Type": kind})
    assert media.load(req) == {}
