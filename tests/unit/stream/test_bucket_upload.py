"""Uploads into a bucket of somebody else's: what its endpoint may answer."""

import time
import tracemalloc

import pytest

from imagesvc import errors
from imagesvc.stream import bucket_upload
from imagesvc.stream.bucket import Answer

MIB = 1 << 20


class Endpoint:
    """In place of a bucket, since no S3 server gives such answers."""

    def __init__(self, body):
        self._body = body

    def call(self, method, key="", **_):
        return Answer(200, {}, self._body)


class Slow:
    """In place of a bucket that takes less than comes, since a server here takes it at once."""

    name = "slow"

    def __init__(self):
        self.sizes = {}

    def call(self, method, key="", *, query=(), body=b"", **_):
        if method == "PUT":
            time.sleep(0.05)
            self.sizes[dict(query)["partNumber"]] = len(body)
        return Answer(200, {"etag": "e"}, b"<UploadId>1</UploadId>")


def upload(place, size_bytes):
    """An upload in parts."""
    return bucket_upload.BucketUpload(
        place, "key", size_bytes=size_bytes, mark="m", replace=True,
        beginning=lambda: None, begun=lambda _: None,
    )  # fmt: skip


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


@pytest.mark.parametrize(("held_mib", "parts"), [(4, 1), (14, 2), (19, 3)])
def test_no_more_is_held_than_may_be_or_one_part(monkeypatch, held_mib, parts):
    monkeypatch.setattr(bucket_upload, "PART_BYTES", 5 * MIB)
    monkeypatch.setattr(bucket_upload, "HELD_BYTES", held_mib * MIB)
    place, block = Slow(), bytes(MIB)
    tracemalloc.start()
    try:
        with upload(place, 30 * MIB) as one:
            for _ in range(31):
                one.write(block)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert set(place.sizes.values()) == {5 * MIB}
    # A buffer that grows has an eighth more than it needs, which nobody writes to.
    assert peak < (parts * 6 + 2) * MIB


def test_what_no_object_store_takes_is_refused_before_its_first_byte():
    with pytest.raises(errors.TooLarge):
        upload(Slow(), (5 << 40) + 1)
    with upload(Slow(), 5 << 40):
        pass
