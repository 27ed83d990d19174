"""Signatures against the examples of Amazon's documentation, and against Amazon's own library."""

import datetime

import botocore.auth
import botocore.awsrequest
import botocore.credentials
import pytest

from imagesvc.stream import fetch_url, s3_signature

KEY = "AKIAIOSFODNN7EXAMPLE"
SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
CREDENTIALS = s3_signature.Credentials("us-east-1", KEY, SECRET)
NOW = datetime.datetime(2013, 5, 24, tzinfo=datetime.UTC)
HOST = "https://examplebucket.s3.amazonaws.com"


def signature_of(text):
    """What stands at the end."""
    return text.rpartition("Signature=")[2]


def test_a_get_is_signed_as_in_the_documentation():
    """S3 API, "Signature Calculations for the Authorization Header", example GET Object."""
    url = fetch_url.parse(f"{HOST}/test.txt")
    sent = s3_signature.headers(CREDENTIALS, "GET", url, {"Range": "bytes=0-9"}, b"", NOW)
    expected = "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
    assert signature_of(sent["Authorization"]) == expected


def test_a_url_is_signed_as_in_the_documentation():
    """S3 API, "Authenticating Requests: Using Query Parameters"."""
    url = fetch_url.parse(f"{HOST}/test.txt")
    found = s3_signature.presigned(CREDENTIALS, url, NOW, 86400)
    expected = "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
    assert signature_of(found) == expected


@pytest.mark.parametrize("key", ["a b/c+d", "ü/&=?#", "x~y!z*('%20')", "a/b.qcow2"])
@pytest.mark.parametrize(
    ("method", "pairs", "body"),
    [
        ("PUT", (), b"data"),
        ("POST", (("uploads", ""),), b""),
        ("PUT", (("uploadId", "a/b=="), ("partNumber", "2")), b"x" * 1000),
        ("GET", (("prefix", "a b/ü"), ("list-type", "2"), ("a-b", ""), ("a", "1")), b""),
    ],
)
def test_requests_are_signed_as_the_library_does_it(monkeypatch, key, method, pairs, body):
    path = s3_signature.encode(f"/bucket/{key}", safe="/")
    tail = f"?{s3_signature.query(pairs)}" if pairs else ""
    url = fetch_url.parse(f"http://s3.example.com:8333{path}{tail}")
    ours = s3_signature.headers(CREDENTIALS, method, url, {}, body, NOW)

    class Clock(datetime.datetime):
        @classmethod
        def utcnow(cls):
            return NOW.replace(tzinfo=None)

        @classmethod
        def now(cls, tz=None):
            return NOW

    stamp = NOW.strftime("%Y%m%dT%H%M%SZ")
    request = botocore.awsrequest.AWSRequest(
        method=method, url=url.origin + url.target, data=body,
        headers={"X-Amz-Content-SHA256": ours["x-amz-content-sha256"], "X-Amz-Date": stamp},
    )  # fmt: skip
    request.context["timestamp"] = stamp
    library = botocore.auth.S3SigV4Auth(
        botocore.credentials.Credentials(KEY, SECRET), "s3", "us-east-1"
    )
    text = library.canonical_request(request)
    signed = library.signature(library.string_to_sign(request, text), request)
    assert signature_of(ours["Authorization"]) == signed


def test_the_keys_are_in_no_text_of_theirs():
    assert KEY not in repr(CREDENTIALS)
    assert SECRET not in repr(CREDENTIALS)
