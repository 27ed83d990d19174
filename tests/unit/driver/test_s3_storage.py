"""The S3 store's names, sizes of parts and errors, without a server."""

import subprocess
import sys

import botocore.exceptions
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagesvc.interface import errors, storage
from imagesvc.testing.conformance.options import options_of
from imagesvc_drivers.storage.s3 import S3Storage, fault, object_name, part_size

MIB = part_size.MIB
SEGMENT = st.text("abAB09._-", min_size=1, max_size=6).filter(lambda text: text not in (".", ".."))
KEY = st.lists(SEGMENT, min_size=1, max_size=4).map("/".join)


@given(KEY)
def test_a_key_comes_back_from_its_name_and_makes_no_folder(key):
    assert object_name.decode(object_name.encode(key)) == key
    assert "/" not in object_name.encode(key)


@given(KEY, KEY)
def test_names_sort_as_keys_do(one, other):
    assert (one < other) == (object_name.encode(one) < object_name.encode(other))


@given(KEY, KEY)
def test_a_beginning_of_a_key_is_the_beginning_of_its_name(one, other):
    begun = object_name.encode(other).startswith(object_name.encode(one))
    assert begun == other.startswith(one)


@pytest.mark.parametrize("name", ["", "a b", "a.", "a.b", "._", "a._._b", ".-"])
def test_what_is_no_name_of_ours_has_no_key(name):
    assert object_name.decode(name) is None


def test_parts_grow_with_their_number():
    sizes = [part_size.of(16 * MIB, number) for number in range(1, part_size.PARTS_MAX + 1)]
    assert sizes == sorted(sizes)
    assert sizes[:1000] == [16 * MIB] * 1000
    assert sizes[1000] == 32 * MIB
    assert sizes[-1] == 160 * MIB
    assert sum(sizes) == part_size.total(16 * MIB) == 55_000 * 16 * MIB


@pytest.mark.parametrize("object_tib", [1, 5, 20])
def test_an_announced_length_always_fits(object_tib):
    size = object_tib << 40
    first = part_size.first(16 * MIB, size)
    assert part_size.total(first) >= size
    assert first % MIB == 0
    assert part_size.of(first, part_size.PARTS_MAX) <= 5 << 30  # the largest part of S3


@pytest.mark.parametrize("size", [None, 0, 1, 100 << 30])
def test_a_length_that_fits_changes_nothing(size):
    assert part_size.first(16 * MIB, size) == 16 * MIB


def answer(status, code, message=""):
    facts = {
        "Error": {"Code": code, "Message": message},
        "ResponseMetadata": {"HTTPStatusCode": status},
    }
    return botocore.exceptions.ClientError(facts, "PutObject")


@pytest.mark.parametrize(
    ("exc", "expected", "retryable"),
    [
        (answer(404, "NoSuchKey"), errors.NotFound, False),
        (answer(404, "NoSuchBucket"), errors.Unavailable, False),
        (answer(403, "AccessDenied"), errors.AccessDenied, False),
        (answer(403, "RequestTimeTooSkewed"), errors.AccessDenied, False),
        (answer(412, "PreconditionFailed"), errors.AlreadyExists, False),
        (answer(416, "InvalidRange"), errors.InvalidArgument, False),
        (answer(507, "Whatever"), errors.NoSpace, False),
        (answer(500, "InternalError", "no free volumes left"), errors.NoSpace, False),
        (answer(403, "QuotaExceeded"), errors.NoSpace, False),
        (answer(503, "SlowDown"), errors.Unavailable, True),
        (answer(500, "InternalError"), errors.Unavailable, True),
        (answer(400, "BadDigest"), errors.Unavailable, True),
        (answer(501, "NotImplemented"), errors.Unavailable, False),
        (
            botocore.exceptions.ReadTimeoutError(endpoint_url="http://x/?sig=1"),
            errors.Timeout,
            True,
        ),
        (botocore.exceptions.SSLError(endpoint_url="x", error="y"), errors.Unavailable, False),
        (botocore.exceptions.NoCredentialsError(), errors.Unavailable, False),
        (ConnectionResetError("x"), errors.Unavailable, True),
    ],
)
def test_what_the_library_says_becomes_an_error_of_the_contract(exc, expected, retryable):
    found = fault.translate(exc, "cannot write k", "http://store")
    assert type(found) is expected
    assert found.retryable is retryable
    assert "sig=1" not in found.operator_message
    if expected not in (errors.NotFound, errors.AlreadyExists, errors.InvalidArgument):
        assert fault.is_passing(exc) is retryable


def test_without_boto3_the_message_says_what_to_install():
    hidden = (
        "import sys; sys.modules['boto3'] = None\n"
        "from imagesvc.backend import kind, loader\n"
        "print(loader.load(kind.find('storage'), ['s3'])['s3'].cause)"
    )
    done = subprocess.run(
        [sys.executable, "-c", hidden], capture_output=True, text=True, check=True
    )
    assert "the s3 driver needs boto3: pip install 'imagesvc[s3]'" in done.stdout


def test_it_names_its_bucket_and_key_and_hides_the_key():
    options = options_of(
        S3Storage,
        {
            "endpoint_urls": ["http://s3:8333"],
            "bucket": "images",
            "access_key": "a",
            "secret_key": "b",
        },
    )
    own = S3Storage(options, backend_id="main").own_bucket()
    assert own == storage.OwnBucket(("http://s3:8333",), "images", "a")
    assert "access_key" not in repr(own)
