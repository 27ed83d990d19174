"""Uploads into a bucket of somebody else's: what its endpoint may answer."""

import time

import pytest

from imagesvc.stream import bucket_upload
from imagesvc.stream.bucket import Answer


class Endpoint:
    """In place of a bucket, since no S3 server gives such answers."""

    def __init__(self, body):
        self._body = body

    def call(self, method, key="", **_):
        return Answer(200, {}, self._body)


def listing(*uploads):
    """What S3 answers to the question for the uploads that are begun."""
    made = (f"<Upload><Key>{key}</Key><UploadId>{one}</UploadId></Upload>" for key, one in uploads)
    return f"<ListMultipartUploadsResult>{''.join(made)}</ListMultipartUploadsResult>".encode()


def test_the_uploads_of_this_key_alone_are_listed():
    told = listing(("a&amp;b", "1"), ("a&amp;bc", "2"), ("a&amp;b", "3&lt;"), ("x", "4"))
    assert bucket_upload.unfinished(Endpoint(told), "a&b") == {"1", "3<"}
    assert bucket_upload.unfinished(Endpoint(b""), "a&b") == frozenset()


@pytest.mark.parametrize(
    "piece",
    [b"<Upload>", b"<Key>", b"<UploadId>", b"<Upload><Key>", b"</Upload>", b"<Upload><Key>&#1"],
)
def test_a_listing_without_an_end_costs_no_time(piece):
    told = b"<Upload>" + piece * ((1 << 20) // len(piece))
    start = time.process_time()
    assert bucket_upload.unfinished(Endpoint(told), "a") == frozenset()
    assert time.process_time() - start < 1


def test_a_listing_of_more_uploads_than_a_page_has_is_cut():
    told = listing(*(("a", number) for number in range(1200)))
    assert len(bucket_upload.unfinished(Endpoint(told), "a")) == 1000


def test_a_name_that_is_a_number_without_an_end_is_no_name():
    assert (
        bucket_upload.unfinished(Endpoint(listing((f"&#{'1' * 5000};", "1"))), "a") == frozenset()
    )
