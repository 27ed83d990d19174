"""Images from a bucket of the caller's and from URLs, against a real S3 and real web servers."""

import gzip
import hashlib
import lzma
import socket
import typing

import pytest
import zstandard

from imagesvc.api.native import image_import
from imagesvc.interface.storage import OwnBucket
from imagesvc.stream import bucket
from imagesvc.worker import reaper
from tests import hostile_image, s3_server
from tests.api.caller import Caller
from tests.api.native.customer import BUCKET, ROOT, Customer
from tests.api.native.test_object_store import everything
from tests.web_server import answer, serving

DATA = bytes(range(256)) * 4100
QCOW2 = hostile_image.qcow2(data=b"inside")
# Each case through one of the doors: behind them is the same pipe.
HOSTILE = [
    (name, ("bucket", "url")[number % 2])
    for number, (name, case) in enumerate(sorted(hostile_image.CASES.items()))
    if case.declared in typing.get_args(image_import.SourceFormat)
]
PACKERS = {"gzip": gzip.compress, "xz": lzma.compress, "zstd": zstandard.compress}


def refused(found, status, reason=None):
    """An error of our own form."""
    assert found.status_code == status, found.text
    assert reason in (None, found.json["error"]["reason"])


def failed(customer, image, job, *words):
    """The job failed with this cause, and the image with it; no bytes are left."""
    assert (job["state"], image["status"]) == ("failed", "killed")
    assert all(word in job["cause"] for word in words), job["cause"]
    assert customer.owner.get(f"/v2/images/{image['id']}/file").status_code in (204, 404, 409)
    reaper.run(customer.service)
    assert customer.several.keys("plain") == []


@pytest.fixture
def alone(tmp_path, s3_place):
    """A customer of a service on SQLite, for what no engine sees."""
    made = Customer(tmp_path, f"sqlite:///{tmp_path}/imagesvc.sqlite", s3_place)
    yield made
    made.close()


def test_an_object_of_a_bucket_becomes_an_image(customer):
    customer.lay(DATA)
    digest = {"algorithm": "sha256", "value": hashlib.sha256(DATA).hexdigest()}
    image, job = customer.bring(
        disk_format="raw", digest=digest, size_bytes=len(DATA), tags=["a"], os_type="linux",
        properties={"hw_x": "y"}, kind="data-disk", min_disk_gib=3,
    )  # fmt: skip
    assert (job["state"], job["type"], job["percent"]) == ("done", "create-from-bucket", 100.0)
    assert (image["status"], image["size"], image["disk_format"]) == ("active", len(DATA), "raw")
    assert (image["tags"], image["hw_x"], image["min_disk"]) == (["a"], "y", 3)
    assert image["visibility"] == "private"
    assert customer.owner.get(f"/v2/images/{image['id']}/file").content == DATA
    actions = [one["action"] for one in customer.owner.get(f"{ROOT}/audit").json["events"]]
    assert {"image_import:create", "image_import:complete"} <= set(actions)


def test_the_same_key_gives_the_first_job(customer):
    customer.lay(DATA)
    source = {
        "type": "bucket", "object_store_id": customer.store_id, "bucket": BUCKET,
        "key": customer.key("image"),
    }  # fmt: skip
    body = {"name": "once", "source": source, "disk_format": "raw"}
    found = [
        customer.owner.request(
            "POST", f"{ROOT}/imports", body, headers={"Idempotency-Key": "k"}
        ).json
        for _ in range(2)
    ]
    assert found[0]["job"]["id"] == found[1]["job"]["id"]
    assert len(customer.owner.listed()) <= 1


@pytest.mark.parametrize("name", ["qcow2", "iso"])
def test_a_format_that_nobody_said_is_found(alone, name):
    data = QCOW2 if name == "qcow2" else hostile_image.disc()
    alone.lay(data)
    image, job = alone.bring()
    assert (job["state"], image["status"], image["disk_format"]) == ("done", "active", name), job


def test_a_found_format_is_one_that_the_operator_takes(tmp_path, s3_place):
    more = "[image]\ndisk_formats = raw\n"
    one = Customer(tmp_path, f"sqlite:///{tmp_path}/x.sqlite", s3_place, more)
    one.lay(hostile_image.disc())
    failed(one, *one.bring(), "disk_format must be one of: raw")
    one.lay(QCOW2)
    image, job = one.bring(format_wanted="raw")
    assert (job["cause"], image["status"], image["disk_format"]) == (None, "active", "raw")
    one.close()


@pytest.mark.parametrize("disk_format", ["qcow", "qed"])
def test_a_container_holds_no_disk_that_would_have_to_be_converted(alone, disk_format):
    found = alone.bring(work=False, container_format="ova", disk_format=disk_format)
    refused(found, 400, "invalid-request")
    assert alone.owner.listed() == []


@pytest.mark.parametrize("packer", PACKERS)
def test_what_is_packed_is_unpacked(alone, packer):
    packed = PACKERS[packer](QCOW2)
    alone.lay(packed)
    digest = {"algorithm": "sha512", "value": hashlib.sha512(packed).hexdigest()}
    image, job = alone.bring(digest=digest, size_bytes=len(packed))
    assert (job["cause"], image["status"], image["disk_format"]) == (None, "active", "qcow2")
    assert alone.owner.get(f"/v2/images/{image['id']}/file").content == QCOW2


def test_raw_has_to_be_said(alone):
    alone.lay(DATA)
    failed(alone, *alone.bring(), "say disk_format")


@pytest.mark.parametrize(
    "values",
    [
        {"digest": {"algorithm": "sha256", "value": "0" * 64}},
        {"digest": {"algorithm": "md5", "value": "0" * 32}},
        {"size_bytes": len(DATA) + 1}, {"size_bytes": len(DATA) - 1},
    ],
)  # fmt: skip
def test_other_bytes_than_expected_are_no_image(customer, values):
    customer.lay(DATA)
    failed(
        customer,
        *customer.bring(disk_format="raw", **values),
        "expected" if "size_bytes" in values else "digest",
    )


@pytest.mark.parametrize(
    ("store", "place", "words"),
    [
        ({}, {"key": "absent"}, ("no object absent in bucket customer",)),
        ({}, {"bucket": "no-such-bucket"}, ("no bucket no-such-bucket",)),
        ({"secret_key": "wrong"}, {}, ("secret key does not belong",)),
        ({"access_key": "unknown"}, {}, ("does not know the access key",)),
        ({"access_key": "stranger"}, {}, ("may not do that in bucket customer",)),
    ],
    ids=["key", "bucket", "secret", "access key", "rights"],
)  # fmt: skip
def test_what_the_bucket_refuses_is_told(alone, store, place, words):
    alone.lay(DATA)
    source = {
        "type": "bucket", "bucket": BUCKET, "key": alone.key("image"),
        "object_store_id": alone.keep(**store) if store else alone.store_id, **place,
    }  # fmt: skip
    image, job = alone.bring(source, disk_format="raw")
    failed(alone, image, job, *words)
    assert s3_server.SECRET not in str(job)


@pytest.mark.parametrize("how", ["dead", "silent", "no S3"])
def test_an_endpoint_that_does_not_work_is_told_in_time(tmp_path, s3_place, monkeypatch, how):
    monkeypatch.setattr(bucket, "PAUSE_S", 0.01)

    def script(_, connection):
        if how == "silent":
            connection.recv(1)
        connection.sendall(answer(b"hello", status="500 Oops"))

    with serving(script) as web:
        port = web.port
        if how == "dead":
            with socket.create_server(("127.0.0.1", 0)) as listener:
                port = listener.getsockname()[1]
        one = Customer(
            tmp_path, f"sqlite:///{tmp_path}/x.sqlite", s3_place, ports=[port], answer_s=0.3
        )
        store = one.keep(endpoint=f"http://127.0.0.1:{port}")
        source = {"type": "bucket", "object_store_id": store, "bucket": BUCKET, "key": "x"}
        image, job = one.bring(source, disk_format="raw")
        failed(one, image, job, "could not reach the object store")
        assert str(port) not in job["cause"]
        one.close()


def test_an_object_that_changes_while_it_is_read_is_noticed(alone, monkeypatch):
    alone.lay(DATA)
    read = bucket.BucketBody.read
    laid = []

    def change(self, size):
        if not laid:
            laid.append(alone.lay(DATA[::-1]))
        return read(self, size)

    monkeypatch.setattr(bucket.BucketBody, "read", change)
    alone.several.service.conf.set_override("retry_s", 0, "worker")
    image, job = alone.bring(disk_format="raw")
    # The second try reads the new object, and all of it.
    assert (job["state"], image["status"]) == ("done", "active")
    assert alone.owner.get(f"/v2/images/{image['id']}/file").content == DATA[::-1]


@pytest.fixture(scope="module")
def shared(tmp_path_factory, s3_place):
    """A customer for all hostile images, which leave nothing to each other."""
    folder = tmp_path_factory.mktemp("hostile")
    made = Customer(folder, f"sqlite:///{folder}/imagesvc.sqlite", s3_place)
    yield made
    made.close()


@pytest.mark.parametrize(("name", "door"), HOSTILE)
def test_hostile_bytes_are_refused_at_these_doors_as_anywhere(shared, name, door):
    case = hostile_image.CASES[name]
    key = shared.lay(case.data)
    url = shared.s3.generate_presigned_url("get_object", {"Bucket": BUCKET, "Key": key}, 600)
    source = {"type": "url", "url": url} if door == "url" else None
    image, job = shared.bring(source, disk_format=case.declared)
    if case.accepted:
        assert image["status"] == "active", job["cause"]
        shared.owner.request("DELETE", f"/v2/images/{image['id']}")
    else:
        failed(shared, image, job)


def test_bytes_of_a_url_become_an_image_and_the_url_stays_a_secret(tmp_path, s3_place, caplog):
    caplog.set_level("DEBUG")
    with serving(lambda _, connection: connection.sendall(answer(QCOW2))) as web:
        one = Customer(tmp_path, f"sqlite:///{tmp_path}/x.sqlite", s3_place, ports=[web.port])
        url = web.url("/image?X-Amz-Signature=very-secret")
        image, job = one.bring({"type": "url", "url": url})
        assert (job["cause"], job["type"]) == (None, "create-from-url")
        assert (image["status"], image["disk_format"]) == ("active", "qcow2")
        seen = everything(one.service) + caplog.text + str(job)
        assert "very-secret" not in seen
        one.close()


def test_a_signed_url_of_a_bucket_is_a_url(alone):
    alone.lay(QCOW2)
    url = alone.s3.generate_presigned_url(
        "get_object", {"Bucket": BUCKET, "Key": alone.key("image")}, 600
    )
    image, job = alone.bring({"type": "url", "url": url})
    assert (job["cause"], image["status"]) == (None, "active")


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:22/x", "http://169.254.169.254/", "file:///etc/passwd", "x"]
)
def test_a_url_that_may_not_be_asked_is_refused_at_once(alone, url):
    refused(alone.bring({"type": "url", "url": url}, work=False), 400, "url-refused")
    assert alone.owner.listed() == []


def test_another_projects_object_store_is_not_found(alone):
    other = Caller(alone.several.app)
    source = {
        "type": "bucket", "object_store_id": alone.store_id, "bucket": BUCKET, "key": "x",
    }  # fmt: skip
    body = {"name": "x", "source": source}
    refused(other.request("POST", f"{ROOT}/imports", body), 404, "object-store-not-found")


@pytest.mark.parametrize("key", ["../images/x", "a//b", "/a", "a/./b", "a\\b", "a\n", "x/"])
def test_a_key_that_could_be_a_path_is_refused(alone, key):
    source = {
        "type": "bucket", "object_store_id": alone.store_id, "bucket": BUCKET, "key": key,
    }  # fmt: skip
    refused(alone.bring(source, work=False), 400, "invalid-request")


def test_a_reader_imports_nothing(alone):
    reader = Caller(alone.several.app, alone.owner.project, "reader")
    source = {"type": "url", "url": f"{alone.place.endpoints[0]}/x"}
    body = {"name": "x", "source": source}
    refused(reader.request("POST", f"{ROOT}/imports", body), 403, "forbidden")
    public = {"name": "x", "source": source, "visibility": "public"}
    refused(alone.owner.request("POST", f"{ROOT}/imports", public), 403, "forbidden")
    assert alone.owner.listed() == []


def test_a_bucket_that_the_object_store_is_not_for_is_refused(alone):
    store = alone.keep(buckets=["another"])
    source = {"type": "bucket", "object_store_id": store, "bucket": BUCKET, "key": "x"}
    refused(alone.bring(source, work=False), 403, "forbidden")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_the_services_own_bucket_is_refused(alone, monkeypatch, host):
    endpoint = alone.place.endpoints[0].replace("127.0.0.1", host)
    own = OwnBucket((endpoint,), BUCKET, "another-key")
    monkeypatch.setattr(alone.service.backends.storage(), "own_bucket", lambda: own)
    refused(alone.bring(work=False), 403, "forbidden")


def test_only_endpoints_that_the_operator_names_are_taken(tmp_path, s3_place):
    endpoint = s3_place.endpoints[0]
    more = f"[object_store]\nallowed_endpoints = {endpoint}\n"
    one = Customer(tmp_path, f"sqlite:///{tmp_path}/x.sqlite", s3_place, more)
    one.lay(QCOW2)
    image, _ = one.bring()
    assert image["status"] == "active"
    body = {"name": "x", "endpoint": "https://s3.example.com", "access_key": "a", "secret_key": "b"}
    refused(one.owner.request("POST", f"{ROOT}/object-stores", body), 400, "url-refused")
    one.close()


def test_a_job_whose_object_store_is_forgotten_fails(alone):
    alone.lay(QCOW2)
    started = alone.bring(work=False).json
    path = f"{ROOT}/object-stores/{alone.store_id}"
    assert alone.owner.request("DELETE", path).status_code == 204
    alone.several.work()
    job, image = alone.job(started["job"]["id"]), alone.image(started["image_id"])
    failed(alone, image, job, "No object store")


def test_a_failed_import_can_be_run_again(customer):
    started = customer.bring(work=False).json
    customer.several.work()
    job_id, image_id = started["job"]["id"], started["image_id"]
    assert customer.image(image_id)["status"] == "killed"
    customer.lay(QCOW2)
    assert customer.owner.request("POST", f"{ROOT}/jobs/{job_id}/retry").status_code == 202
    customer.several.work()
    assert customer.image(image_id)["status"] == "active", customer.job(job_id)["cause"]


def test_a_cancelled_import_leaves_no_image(customer):
    customer.lay(QCOW2)
    started = customer.bring(work=False).json
    path = f"{ROOT}/jobs/{started['job']['id']}/cancel"
    assert customer.owner.request("POST", path).status_code == 202
    customer.several.work()
    assert customer.image(started["image_id"])["status"] == "killed"
    assert customer.job(started["job"]["id"])["state"] == "cancelled"


def test_a_full_project_is_told_at_once(customer):
    admin = Caller(customer.several.app, None, "admin", "member")
    limits = {"stored_bytes": 100}
    path = f"{ROOT}/quota/{customer.owner.project}"
    assert admin.request("PUT", path, limits).status_code == 200
    refused(customer.bring(size_bytes=101, work=False), 413, "quota-exceeded")
    customer.lay(QCOW2)
    failed(customer, *customer.bring(), "Quota")
