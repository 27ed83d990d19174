"""Exports into a bucket of the caller's, against a real S3."""

import hashlib
import json
import random
import subprocess

import pytest
import sqlalchemy as sa

from imagesvc import errors
from imagesvc.db import image_disk, image_table
from imagesvc.domain.image import ImageDisk
from imagesvc.interface.storage import OwnBucket
from imagesvc.manager import bucket as buckets
from imagesvc.manager import image_copy
from imagesvc.stream import bucket, bucket_upload, fetch_address
from imagesvc.worker import conversion
from tests import disk_image, s3_server
from tests.api.caller import Caller
from tests.api.native.customer import BUCKET, ROOT, Customer
from tests.api.native.test_object_store import everything

DATA = random.Random(3).randbytes(300_000)
# Part sizes that small images have several of; S3 takes no smaller ones.
PART = 5 << 20
# What is asked for -> what qemu-img calls it, and the word of tests.disk_image.
WANTED = {
    "raw": ({"format": "raw"}, "raw"),
    "qcow2": ({"format": "qcow2"}, "qcow2"),
    "qcow2 zlib": ({"format": "qcow2", "compression": "zlib"}, "qcow2"),
    "qcow2 none": ({"format": "qcow2", "compression": "none"}, "qcow2"),
    "vmdk": ({"format": "vmdk"}, "vmdk"),
    "vhd": ({"format": "vhd"}, "vhd"),
    "vhd fixed": ({"format": "vhd", "subformat": "fixed"}, "vhd-fixed"),
    "vhdx": ({"format": "vhdx"}, "vhdx"),
    "vdi": ({"format": "vdi"}, "vdi"),
}


@pytest.fixture(scope="module")
def shared(tmp_path_factory, s3_place):
    """A customer for what no engine sees."""
    folder = tmp_path_factory.mktemp("export")
    made = Customer(folder, f"sqlite:///{folder}/imagesvc.sqlite", s3_place)
    yield made
    made.close()


@pytest.fixture(autouse=True)
def _own_folder(request):
    """Each test of the shared customer looks at its own objects alone."""
    if "shared" in request.fixturenames:
        made = request.getfixturevalue("shared")
        made.prefix = hashlib.sha256(request.node.name.encode()).hexdigest()[:32]


def export(customer, image_id, *, work=True, name="out", caller=None, **values):
    """Export; the answer, or the job after the worker's work."""
    body = {
        "image_id": image_id, "object_store_id": customer.store_id, "bucket": BUCKET,
        "key": customer.key(name), **values,
    }  # fmt: skip
    found = (caller or customer.owner).request("POST", f"{ROOT}/exports", body)
    if not work:
        return found
    assert found.status_code == 202, found.text
    customer.several.work()
    return customer.job(found.json["job"]["id"])


def refused(found, status, reason):
    """An error of our own form."""
    assert (found.status_code, found.json["error"]["reason"]) == (status, reason), found.text


def whole_machine(customer, *disks):
    """An image with several disks, as a capture of a whole server will make them."""
    image_id = customer.owner.active(disks[0])
    others = [customer.owner.active(data) for data in disks[1:]]
    with customer.service.database.write() as conn:
        for number, other in enumerate(others, 1):
            (found,) = image_disk.list_for(conn, other)
            values = {name: getattr(found, name) for name in ImageDisk.__slots__}
            image_disk.delete_for(conn, other)
            image_disk.insert_disk(
                conn, image_id, ImageDisk(**{**values, "index": number, "role": "data"})
            )
        table = image_table.TABLE
        conn.execute(sa.update(table).where(table.c.id == image_id).values(kind="whole-machine"))
    for other in others:
        assert customer.owner.request("DELETE", f"/v2/images/{other}").status_code == 204
    return image_id


def test_the_stored_bytes_lie_in_the_bucket_with_their_digest(customer, tmp_path):
    image_id = customer.owner.active(DATA)
    job = export(customer, image_id)
    assert (job["state"], job["cause"], job["percent"]) == ("done", None, 100.0)
    digest = hashlib.sha256(DATA).hexdigest()
    assert customer.objects() == {"out": DATA, "out.sha256": f"{digest}  out\n".encode()}
    (told,) = job["result"]["objects"]
    assert (told["sha256"], told["size_bytes"], told["key"]) == (
        digest, len(DATA), customer.key("out"),
    )  # fmt: skip
    for name, data in customer.objects().items():
        (tmp_path / name).write_bytes(data)
    subprocess.run(["sha256sum", "--check", "out.sha256"], cwd=tmp_path, check=True)
    actions = [one["action"] for one in customer.owner.get(f"{ROOT}/audit").json["events"]]
    assert "export:create" in actions


def test_an_object_of_many_parts_is_whole(shared, monkeypatch):
    monkeypatch.setattr(bucket_upload, "PART_BYTES", PART)
    for extra in (-1, 0, 1):
        data = random.Random(extra).randbytes(3 * PART + extra)
        image_id = shared.owner.active(data)
        assert export(shared, image_id, name=f"out{extra}")["cause"] is None
        assert shared.objects()[f"out{extra}"] == data


@pytest.mark.parametrize("name", WANTED)
def test_a_disk_stays_the_same_in_every_format(shared, tmp_path, name):
    raw = disk_image.make_raw(tmp_path)
    values, word = WANTED[name]
    source = "raw" if word.startswith("qcow2") else "qcow2"
    image_id = shared.owner.active(disk_image.convert(raw, source), disk_format=source)
    job = export(shared, image_id, **values)
    assert job["cause"] is None
    made = tmp_path / "made"
    made.write_bytes(shared.objects()["out"])
    assert disk_image.same(raw, made, word) is True
    # And back, as another image.
    source = {
        "type": "bucket", "object_store_id": shared.store_id, "bucket": BUCKET,
        "key": shared.key("out"),
    }  # fmt: skip
    image, job = shared.bring(source, disk_format=values["format"], format_wanted="raw")
    assert job["cause"] is None
    back = shared.owner.get(f"/v2/images/{image['id']}/file").content
    assert back == raw.read_bytes()


def test_an_empty_image_is_exported(shared):
    image_id = shared.owner.active(b"")
    assert export(shared, image_id)["cause"] is None
    assert shared.objects()["out"] == b""


def test_what_is_there_is_left_alone_unless_it_is_said(customer):
    customer.lay(b"mine", "out")
    image_id = customer.owner.active(DATA)
    job = export(customer, image_id)
    assert job["state"] == "failed"
    assert "already" in job["cause"]
    assert customer.objects() == {"out": b"mine"}
    assert export(customer, image_id, overwrite=True)["cause"] is None
    assert customer.objects()["out"] == DATA


def test_a_digest_of_somebody_else_is_left_alone(shared):
    shared.lay(b"mine", "out.sha256")
    job = export(shared, shared.owner.active(DATA))
    assert "already" in job["cause"]
    assert shared.objects() == {"out.sha256": b"mine"}


@pytest.mark.parametrize("size", [1000, 3 * PART])
def test_an_object_that_comes_meanwhile_is_left_alone(shared, monkeypatch, size):
    monkeypatch.setattr(bucket_upload, "PART_BYTES", PART)
    check = bucket_upload.BucketUpload._check_free

    def late(self):
        check(self)
        shared.lay(b"mine", "out")

    monkeypatch.setattr(bucket_upload.BucketUpload, "_check_free", late)
    job = export(shared, shared.owner.active(b"x" * size))
    assert (job["state"], shared.objects()) == ("failed", {"out": b"mine"}), job["cause"]


def test_a_whole_machine_is_an_object_a_disk_and_a_manifest(shared):
    image_id = whole_machine(shared, DATA, DATA[::-1])
    job = export(shared, image_id, name="machine")
    assert job["cause"] is None
    found = shared.objects()
    assert set(found) == {
        "machine/disk-0.raw", "machine/disk-0.raw.sha256", "machine/disk-1.raw",
        "machine/disk-1.raw.sha256", "machine/manifest.json",
    }  # fmt: skip
    assert found["machine/disk-1.raw"] == DATA[::-1]
    manifest = json.loads(found["machine/manifest.json"])
    assert [one["role"] for one in manifest["disks"]] == ["system", "data"]
    assert [one["sha256"] for one in manifest["disks"]] == [
        hashlib.sha256(data).hexdigest() for data in (DATA, DATA[::-1])
    ]
    assert manifest["image"]["id"] == image_id
    assert job["result"]["manifest"] == shared.key("machine/manifest.json")
    one = export(shared, image_id, name="one", disk=1)
    assert one["cause"] is None
    assert shared.objects()["one"] == DATA[::-1]
    assert export(shared, image_id, work=False, disk=2).status_code == 404


def test_a_failed_export_takes_back_what_it_made(shared):
    shared.lay(b"mine", "machine/disk-1.raw")
    image_id = whole_machine(shared, DATA, DATA[::-1])
    job = export(shared, image_id, name="machine")
    assert job["state"] == "failed"
    assert shared.objects() == {"machine/disk-1.raw": b"mine"}


@pytest.mark.parametrize("how", ["cancelled", "deleted", "deactivated"])
def test_an_export_that_is_not_wanted_any_more_ends(shared, monkeypatch, how):
    monkeypatch.setattr(bucket_upload, "PART_BYTES", PART)
    image_id = shared.owner.active(b"y" * (2 * PART))
    answer = export(shared, image_id, work=False).json
    path = f"{ROOT}/jobs/{answer['job']['id']}"
    acts = {
        "cancelled": ("POST", f"{path}/cancel"),
        "deleted": ("DELETE", f"/v2/images/{image_id}"),
        "deactivated": ("POST", f"/v2/images/{image_id}/actions/deactivate"),
    }
    commit = bucket_upload.BucketUpload._begin

    def begin(self):
        commit(self)
        shared.owner.request(*acts[how])

    monkeypatch.setattr(bucket_upload.BucketUpload, "_begin", begin)
    shared.several.work()
    job = shared.job(answer["job"]["id"])
    assert job["state"] == ("cancelled" if how == "cancelled" else "failed")
    assert how.rstrip("d")[:5] in job["cause"].lower()
    assert (shared.objects(), shared.unfinished()) == ({}, [])


@pytest.mark.parametrize(
    ("store", "place", "words"),
    [
        ({}, {"bucket": "no-such-bucket"}, "no bucket no-such-bucket"),
        ({"secret_key": "wrong"}, {}, "secret key does not belong"),
        ({"access_key": "unknown"}, {}, "does not know the access key"),
        ({"access_key": "stranger"}, {}, "may not do that"),
    ],
    ids=["bucket", "secret", "access key", "rights"],
)
def test_what_the_bucket_refuses_is_told(shared, store, place, words):
    image_id = shared.owner.active(DATA)
    store_id = shared.keep(**store) if store else shared.store_id
    job = export(shared, image_id, object_store_id=store_id, **place)
    assert job["state"] == "failed"
    assert words in job["cause"]


def test_an_endpoint_that_breaks_off_is_tried_again(shared, monkeypatch):
    monkeypatch.setattr(bucket_upload, "PART_BYTES", PART)
    monkeypatch.setattr(bucket, "PAUSE_S", 0.01)
    send, lost = bucket.Bucket._send, []

    def once(self, method, url, headers, body):
        answer = send(self, method, url, headers, body)
        if len(lost) < 2 and method != "HEAD" and "uploadId" in url.target:
            lost.append(method)  # it came there, and the answer did not come back
            raise OSError("lost")
        return answer

    monkeypatch.setattr(bucket.Bucket, "_send", once)
    data = random.Random(9).randbytes(2 * PART + 5)
    assert export(shared, shared.owner.active(data))["cause"] is None
    assert shared.objects()["out"] == data
    assert lost == ["PUT", "PUT"]


@pytest.mark.parametrize("size", [1000, 2 * PART])
def test_an_upload_of_somebody_else_at_the_same_key_lives_on(shared, monkeypatch, size):
    monkeypatch.setattr(bucket_upload, "PART_BYTES", PART)
    begun = []

    def begin():
        key = shared.key("out")
        begun.append(shared.s3.create_multipart_upload(Bucket=BUCKET, Key=key)["UploadId"])

    opened = conversion.opened

    def failing(*args):  # after the first run noted what it is about to write
        if begun:
            return opened(*args)
        begin()
        raise errors.BucketAway(operator_message="away")

    monkeypatch.setattr(conversion, "opened", failing)
    data = b"z" * size
    assert export(shared, shared.owner.active(data))["cause"] is None
    assert shared.objects()["out"] == data
    assert shared.unfinished() == [shared.key("out")]
    shared.s3.abort_multipart_upload(Bucket=BUCKET, Key=shared.key("out"), UploadId=begun[0])


def test_the_answer_of_the_last_request_may_be_lost(shared, monkeypatch):
    monkeypatch.setattr(bucket_upload, "PART_BYTES", PART)
    send, lost = bucket.Bucket._send, []

    def once(self, method, url, headers, body):
        answer = send(self, method, url, headers, body)
        if not lost and method == "POST" and "uploadId" in url.target:
            lost.append(method)
            raise OSError("lost")
        return answer

    monkeypatch.setattr(bucket.Bucket, "_send", once)
    data = random.Random(9).randbytes(2 * PART)
    assert export(shared, shared.owner.active(data))["cause"] is None
    assert (shared.objects()["out"], lost) == (data, ["POST"])


def test_who_may_not_read_an_image_may_not_export_it(shared):
    image_id = shared.owner.active(DATA)
    other = Caller(shared.several.app)
    refused(export(shared, image_id, work=False, caller=other), 404, "image-not-found")
    reader = Caller(shared.several.app, shared.owner.project, "reader")
    refused(export(shared, image_id, work=False, caller=reader), 403, "forbidden")
    queued = shared.owner.create()["id"]
    refused(export(shared, queued, work=False), 409, "no-content")
    shared.owner.request("POST", f"/v2/images/{image_id}/actions/deactivate")
    refused(export(shared, image_id, work=False), 403, "image-deactivated")


def unshared(shared):
    """The id of an image that others share with the customer, and what ends that."""
    other = Caller(shared.several.app)
    image_id = other.active(DATA)
    other.share(image_id, shared.owner.project)
    path = f"/v2/images/{image_id}/members/{shared.owner.project}"
    return image_id, lambda: other.request("DELETE", path)


def test_what_is_not_shared_any_more_is_not_exported(shared):
    image_id, unshare = unshared(shared)
    job = export(shared, image_id, work=False).json["job"]
    assert unshare().status_code == 204
    shared.several.work()
    assert (shared.job(job["id"])["state"], shared.objects()) == ("failed", {})


def test_an_export_is_not_retried_by_who_may_not_begin_it(shared):
    image_id, unshare = unshared(shared)
    admin = Caller(shared.several.app, shared.owner.project, "admin", "member")
    jobs = [export(shared, image_id, work=False).json["job"]]
    assert unshare().status_code == 204
    jobs += [export(shared, image_id, work=False, caller=admin).json["job"]]
    for job in jobs:
        path = f"{ROOT}/jobs/{job['id']}"
        assert shared.owner.request("POST", f"{path}/cancel").status_code == 202
        refused(shared.owner.request("POST", f"{path}/retry"), 404, "image-not-found")
    shared.several.work()
    assert shared.objects() == {}


def test_the_owner_of_an_image_learns_nothing_of_the_buckets_of_others(shared):
    other = Caller(shared.several.app)
    image_id = other.active(DATA)
    other.share(image_id, shared.owner.project)
    job = export(shared, image_id)
    assert job["cause"] is None
    query = "action=export:create"
    told = other.get(f"{ROOT}/audit", query_string=query)
    assert [one["target_id"] for one in told.json["events"]] == [image_id]
    assert job["id"] in told.text
    for secret in (BUCKET, shared.prefix, shared.store_id):
        assert secret not in told.text
        assert secret in shared.owner.get(f"{ROOT}/audit", query_string=query).text


def test_the_secret_key_is_nowhere_after_the_work(shared, caplog):
    caplog.set_level("DEBUG")
    store_id = shared.keep(name="watched")
    job = export(shared, shared.owner.active(DATA), object_store_id=store_id)
    source = {
        "type": "bucket", "object_store_id": store_id, "bucket": BUCKET, "key": shared.key("out"),
    }  # fmt: skip
    image, brought = shared.bring(source, disk_format="raw")
    wrong = export(shared, image["id"], object_store_id=store_id)  # the key is taken
    assert (job["state"], brought["state"], wrong["state"]) == ("done", "done", "failed")
    seen = everything(shared.service) + caplog.text + str((job, brought, wrong))
    seen += shared.owner.get(f"{ROOT}/audit").text
    assert store_id in seen
    assert s3_server.SECRET not in seen
    assert "X-Amz-Signature" not in seen


@pytest.mark.parametrize("near", [True, False], ids=["file", "socket"])
@pytest.mark.parametrize(
    ("source", "name"),
    [("raw", None), ("raw", "qcow2"), ("raw", "vhd fixed"), ("qcow2", "raw"), ("qcow2", "vmdk")],
)
def test_an_image_that_is_damaged_is_not_exported(
    shared, tmp_path, monkeypatch, source, name, near
):
    if not near:  # as a store that is not on this host
        monkeypatch.setattr(image_copy, "local_path", lambda *_: None)
    raw = disk_image.make_raw(tmp_path)
    data = disk_image.convert(raw, source)
    image_id = shared.owner.active(data, disk_format=source)
    (key,) = [key for key in shared.several.keys("plain") if image_id in key]
    path = shared.service.backends.storage("plain").path(key)
    path.chmod(0o600)
    guest = data.index(raw.read_bytes()[:512])  # no tool finds fault with the guest's own bytes
    path.write_bytes(data[:guest] + bytes([data[guest] ^ 1]) + data[guest + 1 :])
    job = export(shared, image_id, **(WANTED[name][0] if name else {}))
    assert (job["state"], shared.objects()) == ("failed", {})
    assert "does not give back what was written" in job["cause"]
    path.write_bytes(data)


def test_a_public_image_is_exported_by_anybody_with_a_key_of_its_own(shared):
    admin = Caller(shared.several.app, None, "admin", "member")
    image_id = admin.active(DATA, visibility="public")
    assert export(shared, image_id)["cause"] is None
    other = Caller(shared.several.app)
    refused(
        export(shared, image_id, work=False, caller=other), 404, "object-store-not-found"
    )  # fmt: skip


@pytest.mark.parametrize(
    "values",
    [
        {"format": "raw", "compression": "zlib"}, {"compression": "zlib"}, {"format": "qed"},
        {"format": "vhdx", "subformat": "fixed"}, {"key": "../x"}, {"bucket": "X"}, {"disk": -1},
        {"key": "k" * 1020},
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(shared, values):
    image_id = shared.owner.active(DATA)
    assert export(shared, image_id, work=False, **values).status_code == 400


def own_elsewhere(shared, monkeypatch, resolve):
    """The service's own bucket has the customer's name, at a host that has to be resolved."""
    own = OwnBucket(("http://own.example",), BUCKET, "another-key")
    monkeypatch.setattr(shared.service.backends.storage(), "own_bucket", lambda: own)
    monkeypatch.setattr(fetch_address, "resolve", resolve)


def test_names_are_looked_up_while_others_write(shared, monkeypatch):
    made = []

    def resolve(host, port):
        made.append(shared.owner.create()["id"])
        return ["192.0.2.7"]

    own_elsewhere(shared, monkeypatch, resolve)
    monkeypatch.setattr(buckets, "_LOOKUP_S", 1.0)
    image_id = shared.owner.active(DATA)
    assert export(shared, image_id, work=False).status_code == 202
    assert shared.bring(work=False, disk_format="raw").status_code == 202
    assert len(made) == 2
    monkeypatch.undo()
    shared.several.work()


def test_a_bucket_is_refused_as_long_as_nobody_knows_whose_it_is(shared, monkeypatch):
    def resolve(host, port):
        raise OSError("no answer")

    own_elsewhere(shared, monkeypatch, resolve)
    image_id = shared.owner.active(DATA)
    refused(export(shared, image_id, work=False), 502, "bucket-away")
    refused(shared.bring(work=False, disk_format="raw"), 502, "bucket-away")


def test_the_services_own_bucket_is_no_target(shared, monkeypatch):
    own = OwnBucket((shared.place.endpoints[0],), BUCKET, "another-key")
    monkeypatch.setattr(shared.service.backends.storage(), "own_bucket", lambda: own)
    refused(export(shared, shared.owner.active(DATA), work=False), 403, "forbidden")
