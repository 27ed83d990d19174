"""Object stores, imports and exports through the `imagesvc` command, with a real S3."""

import contextlib
import hashlib
import uuid

import pytest

from tests import s3_server
from tests.client.conftest import started

pytestmark = pytest.mark.slow

BUCKET = "commands"
DATA = bytes(range(256)) * 5000
FETCH = "[fetch]\nallowed_ports = 443,{port}\nallowed_networks = 127.0.0.1/32\n"


@pytest.fixture(scope="module")
def service(tmp_path_factory, s3_place):
    """A running service that may reach the S3 server, and a key to it called mine."""
    folder = tmp_path_factory.mktemp("bucket")
    client = s3_place.client()
    with contextlib.suppress(client.exceptions.BucketAlreadyOwnedByYou):
        client.create_bucket(Bucket=BUCKET)
    secret = folder / "secret"
    secret.write_text(f"{s3_server.SECRET}\n")
    port = s3_place.endpoints[0].rpartition(":")[2]
    with started(folder, more=FETCH.format(port=port)) as found:
        found.s3 = client
        found.json(
            "object-store", "create", "mine", "--endpoint", s3_place.endpoints[0], "--access-key",
            s3_server.KEY, "--secret-key-file", secret, "--bucket", BUCKET, command="imagesvc",
        )  # fmt: skip
        yield found


def test_an_image_goes_into_a_bucket_and_comes_back(service):
    key = uuid.uuid4().hex
    service.s3.put_object(Bucket=BUCKET, Key=key, Body=DATA)
    digest = hashlib.sha256(DATA).hexdigest()
    made = service.json(
        "image", "import", f"i-{key}", "--object", f"mine/{BUCKET}/{key}", "--disk-format", "raw",
        "--digest", f"sha256:{digest}", "--size", str(len(DATA)), "--property", "a=b", "--wait",
        command="imagesvc",
    )  # fmt: skip
    assert made["state"] == "done"
    shown = service.json("image", "show", made["image_id"])
    assert (shown["status"], shown["size"], shown["properties"]["a"]) == ("active", len(DATA), "b")
    place = f"mine/{BUCKET}/{key}-out/disk.qcow2"
    done = service.run(
        "imagesvc", "--os-cloud", "demo", "image", "export", f"i-{key}", place, "--to", "qcow2",
        "--wait", "-f", "json",
    )  # fmt: skip
    assert "export-image" in done.stderr.decode()
    found = service.s3.get_object(Bucket=BUCKET, Key=f"{key}-out/disk.qcow2")["Body"].read()
    assert found.startswith(b"QFI\xfb")
    assert hashlib.sha256(found).hexdigest() in done.stdout.decode()
    again = service.run(
        "imagesvc", "--os-cloud", "demo", "image", "export", made["image_id"], place, "--wait",
        check=False,
    )  # fmt: skip
    assert again.returncode == 1
    assert "already" in again.stderr.decode()


def test_a_url_becomes_an_image(service):
    key = uuid.uuid4().hex
    service.s3.put_object(Bucket=BUCKET, Key=key, Body=DATA)
    url = service.s3.generate_presigned_url("get_object", {"Bucket": BUCKET, "Key": key}, 600)
    made = service.json(
        "image", "import", "of-a-url", "--url", url, "--disk-format", "raw", "--to", "vmdk", "--wait",
        command="imagesvc",
    )  # fmt: skip
    assert service.json("image", "show", made["image_id"])["disk_format"] == "vmdk"


def test_object_stores_are_listed_shown_and_forgotten(service):
    made = service.json(
        "object-store", "create", "other", "--endpoint", "https://s3.example.com", "--access-key", "a",
        "--secret-key-file", service.folder / "secret", command="imagesvc",
    )  # fmt: skip
    listed = service.json("object-store", "list", command="imagesvc")
    assert [(one["Name"], one["Buckets"]) for one in listed] == [("mine", BUCKET), ("other", "all")]
    shown = service.imagesvc("object-store", "show", "other")
    assert s3_server.SECRET not in shown
    service.imagesvc("object-store", "delete", made["id"])
    assert len(service.json("object-store", "list", command="imagesvc")) == 1
    absent = service.run(
        "imagesvc", "--os-cloud", "demo", "object-store", "show", "other", check=False
    )
    assert "No object store other was found." in absent.stderr.decode()


def test_words_that_make_no_sense_are_refused_before_anything_is_asked(service):
    for words in (
        ("image", "import", "x", "--object", "mine/only"),
        ("image", "import", "x", "--url", "http://x/", "--digest", "0123"),
        ("image", "import", "x", "--url", "http://x/", "--property", "a"),
    ):
        found = service.run("imagesvc", "--os-cloud", "demo", *words, check=False)
        assert found.returncode == 1, words
